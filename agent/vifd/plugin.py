"""The plugin contract: the law for plugins in the tree and out of it.

A plugin is a class installed under the entry-point group ``vifd.plugins``. It turns attachments
into calls on the drivers of a :class:`Host`; it decides nothing about *when*. The verbs:

==============  ====================================================================================
``describe``    what it can do in principle; static
``probe``       whether it can work on this host now; reads only
``requires``    what it needs of host, flavor, image and instance for one attachment; pure
``name``        the names and numbers it will use; no effect, called before anything is made
``plug``        make it, closed; all or nothing per port; repeating it converges
``activate``    open traffic of plugged ports; repeating it changes nothing
``deactivate``  close traffic and keep everything; repeating it changes nothing
``check``       read everything back; changes nothing
``unplug``      remove it, from the stored names; best effort, repeatable, works on what is gone
``observe``     everything on this host that bears the plugin's mark; reads only
``reconnected`` a switch restarted: bring back at once what it lost; optional
==============  ====================================================================================

All verbs of one plugin are called on one native thread, its lane, never two at once. A verb may
block; the engine bounds it with a deadline and quarantines a lane that exceeds it. The batch verbs
take every port that was waiting: one netlink batch, one flow bundle, one OVSDB transaction. They
report per port (:data:`Outcomes`): a port that fails must not cost the others, and a verb that
raises has failed for every port of the batch.

Effects are registered with :attr:`Item.undo` on the line after they happened, or before them where
their answer can be lost. Plugins import from ``vifd.plugin``, ``batch``, ``model``, ``errors``,
``undo``, ``drivers``, ``guest``, ``linux``, ``nft``, ``openflow`` and ``ovs``; never from each
other, nor anything else of the agent.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from oslo_config import cfg

from vifd.drivers import Drivers
from vifd.errors import NotRestorable, VifError
from vifd.marked import Desired, Key, Marked
from vifd.model import Attachment, Report, Vif, Wiring
from vifd.undo import Undo
from vifd.vifs.kinds import Kind, kind_of

#: Version of this contract, ``major.minor``: a plugin must name the same major, and a minor not
#: newer than this one.
CONTRACT_VERSION = "1.0"

#: The entry-point group in which plugins are found.
GROUP = "vifd.plugins"


class Health(StrEnum):
    """Whether a plugin can work on this host now."""

    READY = "ready"
    DEGRADED = "degraded"  #: works, but something an operator should know of is lacking
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Uplink:
    """How this host reaches a physical network, or the underlay of a tunnel type.

    :param device: the bridge or interface it is mapped to
    :param up: whether its link is up; ``None`` where that cannot be read
    :param mtu: the largest MTU of a network that it carries, bytes; ``None`` where unknown
    :param local_ip: the tunnel endpoint's address, for a tunnel type
    :param devices: the interfaces whose links decide; a change of one of them is an event upon
        which the plugin is probed again
    :param problem: in words why it is not up, or cannot be used; empty where nothing is known
    """

    device: str
    up: bool | None = None
    mtu: int | None = None
    local_ip: str = ""
    devices: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Probe:
    """The answer of ``probe``: the state, and a reason for everything that lacks.

    :param physical_networks: by name, those that are mapped to something on this host, usable or
        not: see :attr:`Uplink.up`
    :param tunnels: by network type (``vxlan``…), those for which there is an endpoint
    """

    health: Health
    reasons: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    physical_networks: Mapping[str, Uplink] = field(default_factory=dict)
    tunnels: Mapping[str, Uplink] = field(default_factory=dict)


#: The health of a plugin before its first probe.
UNPROBED = Probe(Health.UNAVAILABLE, ["it was not probed yet"])


@dataclass(frozen=True)
class Advert:
    """What a plugin can do in principle.

    :param vif_types: served VIF types in order of preference, e.g. ``ovs``
    :param vnic_types: served values of ``port.vnic_type``
    :param network_types: served values of ``network.segment.network_type``
    :param features: what it enforces: ``port_security``, ``allowed_address_pairs``, ``multiqueue``…
    :param in_place: paths of the document that may change on a plugged port; a parent covers what
        is below it. ``plug`` is then called again with the old wiring in the item.
    :param on_request: it serves only documents that ask for it by name, and is never chosen for
        others: for plugins that cannot close a port, or prove it
    :param connectivity: what a port gives its guest: ``l2``, or ``l3`` where frames are routed
    :param profiles: by VIF type, the port profiles it understands, the preferred one first; where
        nothing is said, those usual for the type. Names are those of :mod:`vifd.vifs.vif`.
    :param installed: by class of VIF objects and port profiles, the newest version it has, read
        from classes of its own; where nothing is said, that of :mod:`vifd.vifs`
    """

    vif_types: tuple[str, ...]
    vnic_types: tuple[str, ...] = ("normal",)
    network_types: tuple[str, ...] = ()
    features: frozenset[str] = frozenset()
    in_place: frozenset[str] = frozenset()
    on_request: bool = False
    connectivity: str = "l2"
    profiles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    installed: Mapping[str, str] = field(default_factory=dict)

    def kind(self, vif_type: str) -> Kind:
        """The classes and versions in which it serves a VIF type; made from the classes."""
        return kind_of(vif_type, self.profiles.get(vif_type, ()), self.installed)


#: Paths of the document for :attr:`Advert.in_place`: what no plugin of this project wires. The
#: enforcement report says so of each, so they may change at any time.
REPORTED = (
    "port.ip_allocation", "port.security_groups", "port.qos_policy", "port.trunk_details",
    "port.trusted", "port.hints", "port.numa_affinity_policy", "port.propagate_uplink_status",
    "network.vlan_transparent", "network.qinq", "instance.numa_nodes",
)  # fmt: skip


@dataclass(frozen=True)
class Requirement:
    """Something an attachment needs for this plugin, and whether it is there.

    :param error: what to answer when it is not met
    :param note: what is to be said although it is met: that it could not be found out, say
    """

    name: str
    met: bool
    error: VifError | None = None
    note: str = ""


@dataclass
class Item:
    """One port of a batch.

    :param attachment: what is wanted
    :param names: what ``name`` answered, as persisted before the effects
    :param wiring: what an earlier ``plug`` made; ``None`` for a port that was never plugged
    :param open: whether traffic shall pass, for ``check``
    :param undo: where ``plug`` registers the way back of each effect
    :param deep: ``check`` shall also run the costly proofs (packet traces)
    :param interim: this ``check`` follows a ``plug`` and another one follows it, once the port is
        open: what the plug itself read back may stand, where nothing was changed since
    :param thorough: this ``check`` is for somebody who asks why, or this ``plug`` follows one that
        was in vain: no reading is too costly for it
    """

    attachment: Attachment
    names: Wiring
    wiring: Wiring | None = None
    open: bool = False
    undo: Undo = field(default_factory=Undo)
    deep: bool = True
    interim: bool = False
    thorough: bool = False

    @property
    def id(self) -> str:
        return self.attachment.id

    @property
    def made(self) -> Wiring:
        """The wiring if there is one, else the planned names: what ``unplug`` works from."""
        return self.wiring or self.names


#: Per port id: the wiring, or why there is none.
Outcomes = dict[str, Wiring | VifError]


@dataclass(frozen=True)
class Observed:
    """One port's worth of marked objects found on the host, journal or not.

    :param port_id: the id in the mark
    :param wiring: names rebuilt from what was found; enough for ``unplug``
    :param document: the attachment document as the marks still tell it, or ``None``; with it the
        daemon can take the port back after its journal was lost
    :param objects: readable names of what was found, for reports
    """

    port_id: str
    wiring: Wiring
    document: dict[str, Any] | None = None
    objects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A port of the journal as plugins may see it."""

    attachment: Attachment
    wiring: Wiring
    open: bool


class Growing(dict[str, Entry]):
    """The ledger while a batch is named: ports are added to it, one by one.

    :ivar derived: what a plugin made of the entries so far, under a key of its own, so that it need
        not go through all of them for every port; emptied when an entry is replaced
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        super().__init__(entries)
        self.derived: dict[object, Any] = {}

    def __setitem__(self, port_id: str, entry: Entry) -> None:
        if port_id in self:
            self.derived.clear()
        super().__setitem__(port_id, entry)

    def __delitem__(self, port_id: str) -> None:
        self.derived.clear()
        super().__delitem__(port_id)


@dataclass(frozen=True)
class Host:
    """What the daemon hands to a plugin.

    :param drivers: links, OVSDB, OpenFlow, traces
    :param ledger: every port of this host that has names, of all plugins: what shares a bridge must
        know its neighbours, also after a restart
    :param careful: after an upgrade that was not approved yet: a verb shall change what belongs to
        its own ports and what they share, and nothing of others that it happens to find differing
    """

    drivers: Drivers
    ledger: Callable[[], Mapping[str, Entry]]
    hostname: str = ""
    clock: Callable[[], float] = time.time
    careful: Callable[[], bool] = lambda: False


class VifPlugin(abc.ABC):
    """Base class of every plugin; see the module's text for the law.

    :cvar plugin_name: the plugin's name; equal to its entry point's
    :cvar contract_version: the version of the contract it was written for
    :cvar plugin_version: its own version
    :cvar preference: where the operator names no order, plugins with a smaller one come first
    :param host: drivers and the ledger
    :param conf: the plugin's own option group, ``[<name>]`` of agent.conf
    """

    plugin_name: ClassVar[str]
    contract_version: ClassVar[str] = CONTRACT_VERSION
    plugin_version: ClassVar[str] = "0"
    preference: ClassVar[int] = 100

    def __init__(self, host: Host, conf: Any) -> None:
        self.host = host
        self.conf = conf

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        """The oslo.config options of the plugin's group, which has the plugin's name."""
        return ()

    def recipe(self) -> str:
        """A fingerprint of how ports are made: another one where the same port, on the same host,
        would now be made in another way. The upgrade guard looks at the host before it is changed.

        Need not be given: the version of the plugin counts as well.
        """
        return ""

    @classmethod
    @abc.abstractmethod
    def describe(cls) -> Advert:
        """What the plugin can do in principle."""

    @abc.abstractmethod
    def probe(self) -> Probe:
        """Whether the plugin can work on this host now. Reads only, answers in milliseconds."""

    @abc.abstractmethod
    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        """What this attachment needs, met or not. Pure: configuration and probe results only."""

    @abc.abstractmethod
    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        """Choose device names and numbers. No effect; the answer is on disk before ``plug``.

        :param taken: the ledger, including the ports named before in the same batch
        """

    @abc.abstractmethod
    def vif(self, attachment: Attachment, wiring: Wiring) -> Vif:
        """What compute needs for the guest's XML. Pure."""

    @abc.abstractmethod
    def plug(self, batch: Sequence[Item]) -> Outcomes:
        """Make every port of the batch, closed. Repeating it on a plugged port converges."""

    @abc.abstractmethod
    def activate(self, batch: Sequence[Item]) -> Outcomes:
        """Open traffic of plugged ports."""

    @abc.abstractmethod
    def deactivate(self, batch: Sequence[Item]) -> Outcomes:
        """Close traffic of plugged ports and keep everything else."""

    @abc.abstractmethod
    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        """Read every port back, in the order of the path a frame takes. Changes nothing."""

    @abc.abstractmethod
    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        """Remove every port of the batch from its stored names. What is gone is no error."""

    @abc.abstractmethod
    def observe(self) -> list[Observed]:
        """Everything on this host that bears this plugin's mark."""

    def reconnected(self, bridge: str) -> None:  # noqa: B027 - most plugins have nothing to do
        """The switch of this bridge restarted under ports that were proven: bring back at once what
        it lost with that, as the ledger has it; every port is checked afterwards."""

    # --- optional: garbage. A plugin without them leaves behind what nobody wants. ---

    def inventory(self) -> list[Marked]:
        """Every single object on this host that bears this plugin's mark; reads only.

        :raises VifError: it cannot be told now; nothing is concluded from that
        """
        return []

    def expected(self, entries: Mapping[str, Entry]) -> Desired:
        """What :meth:`inventory` would list if exactly these ports were plugged: the ports of all
        plugins, of which this one takes those that it understands. Pure."""
        del entries
        return {}

    def discard(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        """Remove orphaned objects, each only if it is still what was listed and nobody uses it.
        What is gone already is no error.

        :returns: what could not be removed, with the reason
        """
        return {o.key: _not_told_apart(o, "removed") for o in objects}

    def restore(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        """Put objects back that :meth:`discard` removed, closed.

        :returns: what could not be put back, with the reason
        """
        return {o.key: _not_told_apart(o, "put back") for o in objects}

    # --- optional: adoption ---

    def claim(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring | None:
        """The names and numbers of a port that somebody else plugged, as it stands; reads only.
        ``plug`` with these names takes it over in place. ``None``: there is none here.

        :raises VifError: it cannot be taken over without cutting its traffic
        """
        del attachment, taken
        return None


def _not_told_apart(marked: Marked, what: str) -> NotRestorable:
    problem = f"its plugin does not say how it would be {what}"
    return NotRestorable(facts={"object": str(marked.key), "problem": problem})


#: The verbs that a class must have to be admitted.
VERBS = (
    "describe", "probe", "requires", "name", "vif", "plug", "activate", "deactivate", "check",
    "unplug", "observe",
)  # fmt: skip
