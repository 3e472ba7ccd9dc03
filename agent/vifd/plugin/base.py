"""The base class of plugins."""

from __future__ import annotations

import abc
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from oslo_config import cfg

from vifd.errors import BackendUnfit, NotRestorable, ReleaseUnsupported, VifError
from vifd.model import Attachment, Evidence, Report, Vif, Wiring
from vifd.model.counted import Counted
from vifd.openflow.monitor import Update
from vifd.plugin.advert import Advert
from vifd.plugin.health import Probe
from vifd.plugin.host import Host
from vifd.plugin.item import Item, Observed, Outcomes, Recalled, Requirement
from vifd.plugin.ledger import Entry
from vifd.plugin.marked import Desired, Key, Marked
from vifd.plugin.meanings import Meanings
from vifd.plugin.sets import SetChange
from vifd.plugin.sharing import Sharing

#: Version of this contract, ``major.minor``: a plugin must name the same major, and a minor not
#: newer than this one.
CONTRACT_VERSION = "1.0"

#: The entry-point group in which plugins are found.
GROUP = "vifd.plugins"

#: The verbs that a class must have to be admitted.
VERBS = (
    "describe", "probe", "requires", "name", "vif", "plug", "activate", "deactivate", "check",
    "unplug", "observe",
)  # fmt: skip


class VifPlugin(abc.ABC):
    """Base class of every plugin; see :mod:`vifd.plugin` for the law.

    :cvar plugin_name: the plugin's name; equal to its entry point's
    :cvar contract_version: the version of the contract it was written for
    :cvar plugin_version: its own version
    :cvar preference: where the operator names no order, plugins with a smaller one come first
    :cvar listens: whether it calls ``host.announced``
    :cvar shares: options that are about an object which another plugin serves as well
    :param host: drivers and the ledger
    :param conf: the plugin's own option group, ``[<name>]`` of agent.conf
    """

    plugin_name: ClassVar[str]
    contract_version: ClassVar[str] = CONTRACT_VERSION
    plugin_version: ClassVar[str] = "0"
    preference: ClassVar[int] = 100
    shares: ClassVar[Sharing | None] = None
    listens: ClassVar[bool] = False

    def __init__(self, host: Host, conf: Any) -> None:
        self.host = host
        self.conf = conf

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        """The oslo.config options of the plugin's group, which has the plugin's name."""
        return ()

    def fingerprint(self) -> str:
        """A fingerprint of how ports are made: another one where the same port, on the same host,
        would now be made in another way. The upgrade guard looks at the host before it is changed.

        Need not be given: the version of the plugin counts as well.
        """
        return ""

    @classmethod
    @abc.abstractmethod
    def describe(cls) -> Advert:
        """What the plugin can do in principle."""

    @classmethod
    def meanings(cls) -> Meanings:
        """What the plugin's own facts mean, where ``port explain`` shall say more than their
        names. Optional, pure."""
        return Meanings()

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

    def obstacles(self, attachment: Attachment, wiring: Wiring) -> Iterable[VifError]:
        """What forbids to bring a port that was made to this document as it stands: a device that
        a guest has open and that would have to be made anew, say. Asked before the document is
        taken, on any thread; reads only, and little.
        """
        del attachment, wiring
        return ()

    def recall(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Recalled | None:
        """The names of this port if it stands on the host with this plugin's marks, although the
        journal does not know it: what the marks tell, held against what :meth:`name` would choose.
        ``plug`` takes the port over by them as it stands. Reads only.

        :param taken: the ledger, including the ports named before in the same batch
        :returns: ``None``: there is nothing to be taken over, so the port is named and made anew
        """
        del attachment, taken
        return None

    def refresh(self, changes: Sequence[SetChange]) -> Collection[str]:
        """Bring what shared sets made on this host to what they are now: the difference in one
        transaction, at a cost in proportion to the change. Called once for all changes that wait,
        before ports are served; repeating it, or a change of which nothing is on this host,
        changes nothing. ``host.sets`` and ``host.ledger`` have the sets and ports as they are now.

        :returns: the ports whose traffic it changed; they are read back next
        :raises VifError: it failed as a whole; it is called again with the same changes, joined by
            what came meanwhile, and the ports that depend on them are plugged again
        """
        del changes
        return ()

    def announce(self, batch: Sequence[Item]) -> None:  # noqa: B027 - most have nobody to tell
        """Tell the networks of these open ports where their addresses are now, on every way that a
        frame of theirs would go (``vifd.policy.announcing``): they may have been elsewhere before.
        Best effort, and quick: traffic passes already, and what is not told is learned from the
        guest's next frame."""

    def reconnected(self, bridge: str) -> None:  # noqa: B027 - most plugins have nothing to do
        """The switch of this bridge restarted under ports that were proven: bring back at once what
        it lost with that, as the ledger has it; every port is checked afterwards."""

    def leans_on(self, wiring: Wiring) -> Iterable[str]:
        """Devices, bridges and switch ports, besides the port's own device, that ``check`` reads
        for it: a change of one of them has the port looked at. From memory, because it is asked for
        every port whenever something of the host changes, and on any thread."""
        del wiring
        return ()

    def concerned_by(self, update: Update) -> bool:
        """Whether a flow of somebody else that came, changed or went may stand between a port's
        frames and the flows of this plugin. Asked for each, on the driver's thread."""
        del update
        return False

    def pulse(self, timeout: float) -> list[Evidence]:
        """What the plugin works through and does not answer now, as findings; empty where all
        answers. Called on a thread of its own, while the lane may be busy or hang.

        :param timeout: seconds that each may take
        """
        del timeout
        return []

    def counters(self, batch: Sequence[Item]) -> Mapping[str, Counted]:
        """What was counted of the frames of these ports, as the host has it now; a port of which
        nothing is there is left out. A counter that began anew says less than before: the daemon
        goes on from the sum. Changes nothing. Called on a thread of its own, beside all other
        verbs, so that it may take a second.

        :raises VifError: it cannot be read now
        """
        del batch
        return {}

    def unlogged(self, ports: Collection[str]) -> Mapping[str, int]:
        """How many packets of ports the plugin's own limit kept from ``host.logs``, since it was
        made. Changes nothing. Called on a thread of its own.

        :raises VifError: it cannot be read now
        """
        del ports
        return {}

    # --- optional: ports of other programs ---

    def ports_of_others(self) -> Mapping[str, str] | None:
        """Ports that other programs made, and keep, on what this plugin serves, by the port's id
        that they bear: the device's name, which the document names under ``hosted``. ``None``: it
        cannot be told now, and nothing is concluded from that. From memory, on any thread.
        """
        return {}

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

    # --- optional: adoption, and its way back ---

    def claim(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring | None:
        """The names and numbers of a port that somebody else plugged, as it stands; reads only.
        ``plug`` with these names takes it over in place. ``None``: there is none here.

        :raises VifError: it cannot be taken over without cutting its traffic
        """
        del attachment, taken
        return None

    def release_problem(self, item: Item) -> str:
        """Why this port, as it stands, had better not be given back: because its traffic would be
        cut, or nobody knows whose it was. Empty where it can be. Reads only."""
        del item
        return ""

    def release(self, batch: Sequence[Item]) -> Outcomes:
        """Give every port of the batch back in place: marks, flows and filters of ours go, the
        device and the switch port stay, as they were before :meth:`claim`, and no frame is lost.
        What is gone, or another program's already, is no error; repeating it converges.

        ``open`` of an item says whether its traffic passes.
        """
        return {
            i.id: ReleaseUnsupported(facts={"plugin": self.plugin_name}, port=i.id) for i in batch
        }

    # --- optional: to another back end, and from one, under a running guest ---

    def take(
        self, attachment: Attachment, taken: Mapping[str, Entry], device: str
    ) -> Wiring | None:
        """The names and numbers by which ``plug`` takes over a tap that another plugin of this
        daemon serves: the same tap, at the last moment, with filters and flows in force before.
        Reads only. Called on any thread, while nobody else chooses names.

        :param device: the port's tap, which bears its mark
        :returns: ``None``: this plugin takes over no taps; see :attr:`Advert.takes_over`
        :raises VifError: it cannot take this one
        """
        del attachment, taken, device
        return None

    def hand_over(self, batch: Sequence[Item]) -> Outcomes:
        """Remove what is left of ports that another plugin serves now, or was to serve: all that
        ``unplug`` would remove, but for their devices, which are in use elsewhere. What is gone is
        no error; repeating it converges. See :attr:`Advert.hands_over`.
        """
        problem = "its plugin does not say how a port leaves it"
        facts = {"have": self.plugin_name, "wanted": "another plugin", "problem": problem}
        return {item.id: BackendUnfit(facts=facts, port=item.id) for item in batch}


def _not_told_apart(marked: Marked, what: str) -> NotRestorable:
    problem = f"its plugin does not say how it would be {what}"
    return NotRestorable(facts={"object": str(marked.key), "problem": problem})
