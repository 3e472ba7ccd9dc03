"""Everything that an explanation is made from: a value, put together by whoever can read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vifd.hypervisor import GuestInterface
from vifd.model import Attachment, PortRecord, Report
from vifd.model.event import Event
from vifd.model.family import Family


@dataclass(frozen=True)
class Serving:
    """The plugin that serves the port, as the daemon knows it.

    :param health: of its last probe; empty where it was not probed
    :param refusal: why it was not admitted, as an error object
    :param hangs: what it has been doing for too long, and since when
    """

    health: str = ""
    reasons: Sequence[str] = ()
    refusal: Mapping[str, Any] | None = None
    hangs: str = ""


@dataclass(frozen=True)
class Subject:
    """A port, and what is known of it.

    :param report: what was read for this answer, or the last report
    :param asked: whether the host was read for this answer
    :param unasked: why it was not
    :param running: whether the daemon runs
    :param repair: whether it repairs what another program changed
    :param unwritable: why the journal cannot be written: what cannot be recorded is not done
    :param held: whether it waits until somebody approves what an upgrade changes
    :param retry_in: seconds until the next attempt of a port whose last one failed
    :param guest: the interface of the guest that uses the device
    :param hypervisor: whether the hypervisor could be asked
    :param unenforced: features that are asked for and that nothing enforces
    :param waiting: the status that the network service has not taken yet, or empty
    :param unreachable: why the network service takes nothing
    :param service: its name
    :param events: of this port, newest first
    :param trunk: the ports that it belongs to by a trunk
    """

    record: PortRecord
    now: float
    report: Report | None = None
    asked: bool = False
    unasked: str = ""
    running: bool = True
    serving: Serving = Serving()
    repair: bool = True
    unwritable: str = ""
    held: bool = False
    retry_in: float | None = None
    guest: GuestInterface | None = None
    hypervisor: bool = False
    unenforced: Sequence[str] = ()
    waiting: str = ""
    unreachable: str = ""
    service: str = ""
    events: Sequence[Event] = ()
    trunk: Family | None = None

    @property
    def attachment(self) -> Attachment:
        """What is wanted of it."""
        return self.record.doc.attachment

    @property
    def passing(self) -> bool | None:
        """Whether traffic passes; ``None`` where that is not known."""
        return self.report.passing if self.report else None

    @property
    def device(self) -> str:
        """The guest-facing device, planned or made."""
        made = self.record.wiring or self.record.names
        return made.device if made else ""

    @property
    def details(self) -> Mapping[str, Any]:
        """The plugin's own names and numbers."""
        made = self.record.wiring or self.record.names
        return made.details if made else {}

    @property
    def bridge(self) -> str:
        """The bridge that the port stands on, or what to say instead."""
        return str(self.details.get("bridge") or "the bridge")
