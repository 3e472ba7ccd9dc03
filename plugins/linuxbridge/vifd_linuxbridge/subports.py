"""Sub-ports of trunks on bridges of the kernel: each is a VLAN device on its parent's tap.

The kernel gives tagged frames of a tap to the VLAN device of their tag before the tap's own bridge
sees them, and the VLAN device is a port of the sub-port's network, filtered as any tap. Only what
the parent's guard admits comes that far: a tag is admitted last, when all else of its sub-port is
in force, and refused again before its device goes or is made anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from vifd.drivers import Bridging, Device, VlanSpec
from vifd.plugin import guest, tap
from vifd_linuxbridge import marks
from vifd_linuxbridge.batch import Batch, Work
from vifd_linuxbridge.guarding import admitted
from vifd_linuxbridge.plugging import Plugging, forward, join, leave, set_guards
from vifd_linuxbridge.removal import abandon
from vifd_linuxbridge.trunking import Trunks, Way

LOG = logging.getLogger(__name__)

#: Makes the works of ports of the ledger.
Works = Callable[[Iterable[str]], Batch]


class Tags:
    """Which tags of the parents of a call the kernel gives to VLAN devices.

    :param parents: makes their works
    :param guarding: whether this kernel guards devices
    """

    def __init__(
        self, bridging: Bridging, trunks: Trunks, parents: Works, *, guarding: bool
    ) -> None:
        self._bridging = bridging
        self._trunks = trunks
        self._parents = parents
        self._guarding = guarding

    def settle(self, works: Iterable[Work], *, without: Iterable[Work] = ()) -> None:
        """Bring the guards of the parents of sub-ports to what these are; those of other sub-ports
        are left as they are.

        :param without: those whose frames shall not come in now, whatever they are
        """
        refused = {(w.way.parent, w.way.vlan) for w in without if isinstance(w.way, Way)}
        mine = {(w.way.parent, w.way.vlan) for w in works if isinstance(w.way, Way)} | refused
        batch = self._parents(dict.fromkeys(parent for parent, _ in mine))
        if not self._guarding or not batch.works:
            return
        have = self._bridging.guards([w.device for w in batch])
        changed = []
        for work in batch:
            program = have.get(work.device)
            own = frozenset(v for parent, v in mine - refused if parent == work.id)
            others = frozenset(v for v in admitted(program) if (work.id, v) not in mine)
            work.tags = (self._trunks.passing(work.id) & own) | (others & work.named)
            if work.device in have and program != work.program():
                changed.append(work)
        set_guards(self._bridging, batch, changed)
        for error in batch.failed.values():
            raise error


class _OnTrunks(Plugging):
    """What both kinds have.

    :param tags: of their parents
    """

    def __init__(self, *given: Any, tags: Tags, **more: Any) -> None:
        super().__init__(*given, **more)
        self.tags = tags


class SubPlugging(_OnTrunks):
    """One ``plug`` call for sub-ports that a parent's device is there for."""

    def run(self) -> Batch:
        """Take all steps: those of every port, and what lets its frames in."""
        super().run()
        self.batch.together("trunk", self.tags.settle)
        for work in self.batch:
            work.names = replace(work.names, plugged=True)
        return self.batch

    def _arrivals(self) -> None:
        """It comes from no other back end."""

    def _taps(self) -> None:
        """The VLAN devices. While one is made, its parent's guard keeps its frames back: the host
        would take them for its own."""
        below = {w.device: way.device for w in self.batch if isinstance(way := w.way, Way)}
        there = self.bridging.get([*below, *below.values()])
        anew = [w for w in self.batch if vlan_problem(w, there)]
        for work in self.batch:
            work.item.undo.push("trunk", partial(self.tags.settle, (), without=[work]))
            if work.device not in there:
                back = partial(tap.remove, self.links, work.device, work.id)
                work.item.undo.push("device", back)
        self.batch.together("trunk", lambda works: self.tags.settle((), without=works), anew)
        # two may have changed tags, and the kernel has one device for each
        self.batch.together("device", lambda works: tap.remove_all(self.links, works), anew)
        for work in anew:
            self.batch.together("device", self._make, [work])
        self.taps.before = {w.device: there[w.device].link for w in self.batch
                            if w.device in there and w not in anew}  # fmt: skip

    def _make(self, works: Sequence[Work]) -> None:
        for work in works:
            if (spec := vlan_spec(work)) is not None:
                self.bridging.make(spec)


class Waiting(_OnTrunks):
    """The same for those that no parent's device is there for: their filters, and nothing else."""

    def run(self) -> Batch:
        """Take all steps."""
        self._filters()
        self.batch.together("device", lambda works: tap.remove_all(self.links, works))
        self.batch.together("answers", self._silence)
        abandon(self.batch, self.networks)
        for work in self.batch:
            work.names = replace(work.names, plugged=True)
        return self.batch

    def _silence(self, works: Sequence[Work]) -> None:
        if self.answering is not None:
            self.answering.silence(works)


def vlan_spec(work: Work) -> VlanSpec | None:
    """The VLAN device of a sub-port as it shall be."""
    if not isinstance(work.way, Way):
        return None
    mac, alias = guest.tap_mac(work.item.attachment.mac), marks.port_alias(work.id)
    return VlanSpec(work.device, alias, work.mtu, work.way.device, work.way.vlan, mac)


def vlan_problem(work: Work, there: Mapping[str, Device]) -> str:
    """What is not as wanted of it, or the empty string.

    :param there: with the parent's tap
    """
    device, spec = there.get(work.device), vlan_spec(work)
    if device is None or spec is None:
        return "missing"
    below = there.get(spec.parent)
    link = device.link
    if link.kind != "vlan" or link.alias != spec.alias:
        return f"kind {link.kind or 'physical'}, alias {link.alias!r}"
    if below is None or device.parent != below.link.ifindex:
        return f"not on {spec.parent}"
    if device.number != spec.vlan_id:
        return f"VLAN {device.number}"
    if (link.mac, link.mtu) != (spec.mac, spec.mtu):
        return f"address {link.mac}, MTU {link.mtu}"
    if not link.up and below.link.up:
        return "down"
    return "IPv6 is on" if link.ipv6 else ""


# --- with their parents ---------------------------------------------------------------------------


def open_with(bridging: Bridging, batch: Batch, tags: Tags, *, guarding: bool) -> None:
    """Their parent was opened: those that are open themselves pass from now on."""
    opened = [w for w in batch if w.item.open and w.joins()]
    if guarding:
        set_guards(bridging, batch, opened)
    join(bridging, batch, opened)
    batch.together("forwarding", lambda works: forward(bridging, works), opened)
    batch.together("trunk", tags.settle, opened)


def close_with(bridging: Bridging, batch: Batch, *, guarding: bool) -> None:
    """Their parent is about to be closed."""
    batch.together("close", lambda works: leave(bridging, works))
    if guarding:
        there = bridging.get([w.device for w in batch])
        set_guards(bridging, batch, [w for w in batch if w.device in there])


def stand(batch: Batch) -> tuple[Batch, Batch]:
    """Those that a parent's device is there for, and those that wait for one."""
    on = [w for w in batch if isinstance(w.way, Way)]
    return Batch(on, dict(batch.failed)), Batch([w for w in batch if w not in on])


def told(batch: Batch) -> None:
    """Nobody asked for these ports: what failed, their own checks find and mend."""
    for port_id, error in batch.failed.items():
        LOG.warning(
            "%s: a sub-port did not follow its parent: %s. Next: its next check finds it and it is "
            "plugged again. port=%s", error.code, error.message, port_id,
        )  # fmt: skip
