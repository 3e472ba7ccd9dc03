"""What was made for a port, and the row of the journal that says it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from vifd.model.document import Document
from vifd.model.evidence import Report
from vifd.model.values import Phase, Role


class Wiring(Struct, frozen=True):
    """What a plugin made for an attachment; persisted and given back to check and unplug.

    :param device: the name of the guest-facing device, or the empty string
    :param details: the plugin's own names and numbers; JSON values only
    """

    plugin: str
    vif_type: str
    device: str
    details: dict[str, Any] = field(default_factory=dict)


class Vif(Struct, frozen=True):
    """What compute needs to write the guest's XML.

    :param type: libvirt's interface type: ``ethernet``, ``bridge``, ``vhostuser``…
    :param managed: whether libvirt may make and remove the device; ours are never managed
    """

    type: str
    device: str = ""
    mac_address: str = ""
    managed: bool = False
    model: str = "virtio"
    queues: int = 1
    mtu: int = 1500
    bridge: str = ""
    socket_path: str = ""
    socket_mode: str = ""


class Selection(Struct, frozen=True):
    """How a port came to its plugin: what was chosen, what else would do, and why the rest lost.

    :param vif_class: the class of the VIF object, and the version that both sides have
    :param profile: the class of its port profile, or the empty string
    :param usable: ``plugin/vif_type`` of every candidate that could serve it, the best first
    :param refused: the others: ``plugin``, ``vif_type``, ``error`` (an error object) and ``also``
        (further reasons, as error objects)
    :param enforcement: what the document asks for, and what enforces it, as when it was chosen
    :param notes: what was asked for and is without effect, or could not be found out
    :param asked: whether the document or a token named the candidate
    :param at: when it was chosen, seconds since the epoch
    """

    vif_class: str = ""
    version: str = ""
    profile: str = ""
    profile_version: str = ""
    usable: list[str] = []
    refused: list[dict[str, Any]] = []
    enforcement: list[dict[str, Any]] = []
    asked: bool = False
    at: float = 0.0
    notes: list[str] = []


class Origin(Struct, frozen=True):
    """The back end that a port was moved off, as long as anything of it may be left there.

    :param plugin: who served the port
    :param wiring: what that plugin made, or would have made
    :param back: the port does not go back there: it was moved back from it
    :param foreign: it was another program's port: where it cannot be proven, it is that again
    """

    plugin: str
    wiring: Wiring
    back: bool = False
    foreign: bool = False


class PortRecord(Struct, kw_only=True, frozen=True):
    """One row of the journal: what is wanted of a port and what is known of it.

    :param doc: the attachment document that is wanted
    :param applied: whether ``doc`` is what the plugin last carried out
    :param names: what the plugin will make, on disk before it is made
    :param wiring: what the plugin made; ``None`` until it was
    :param open: whether traffic passes
    :param removing: whether the port is to go
    :param released: of a port that is to go: it is given back as it stands, and not removed
    :param revision: grows with every change of this record on this host, never reused
    :param request_id: the request that caused the last change
    :param selection: how the plugin was chosen; ``None`` for a port that was taken over
    :param origin: where it was moved from; ``None`` once nothing of it is left there
    """

    doc: Document
    plugin: str
    vif_type: str
    phase: Phase = Phase.BOUND
    names: Wiring | None = None
    wiring: Wiring | None = None
    open: bool = False
    removing: bool = False
    released: bool = False
    applied: bool = False
    report: Report | None = None
    vif: Vif | None = None
    error: dict[str, Any] | None = None
    revision: int = 0
    updated_at: float = 0.0
    request_id: str = ""
    selection: Selection | None = None
    origin: Origin | None = None

    @property
    def id(self) -> str:
        return self.doc.attachment.port.id

    @property
    def role(self) -> Role:
        return self.doc.attachment.role
