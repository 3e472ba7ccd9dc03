"""Plug: the tap devices of a batch, between the flows and the switch ports."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from vifd.drivers import PortRow, PortSpec
from vifd.plugin import Host, Item
from vifd.plugin.tap import Taps
from vifd_ovs import hybrid
from vifd_ovs.bridge import marks, masters
from vifd_ovs.bridge.batch import Batch, Work
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.hearing import Hearing
from vifd_ovs.bridge.plugging import End, Ground, Rows
from vifd_ovs.bridge.switch import Switch
from vifd_ovs.options import Settings
from vifd_ovs.removal import ends


class Plugging:
    """One ``plug`` call."""

    def __init__(
        self, plugin: str, host: Host, settings: Settings, bridges: Bridges, items: Sequence[Item]
    ) -> None:
        self.plugin = plugin
        self.drivers = host.drivers
        self.batch = Batch.of(items)
        self._ground = Ground(host, bridges, self.batch, settings.ofports)
        self._taps = Taps(self.drivers.links, self.batch, settings)
        end = End(self._spec, self._stale, partial(ends, self.drivers.links))
        self._rows = Rows(self.drivers, self.batch, end, bridges.timeout)
        self._ids: dict[str, dict[str, str]] = {}

    def run(self, switches: dict[str, Switch]) -> Batch:
        """Take all steps."""
        self._ground.lay(switches)
        self._rows.bring_home()
        self._overrule_mtus()
        self._taps.make()
        self.batch.together("hybrid", partial(hybrid.part, self.drivers))
        self.batch.together("device", self._leave_masters)
        self.batch.together("host", Hearing(self.drivers).settle)
        self._rows.ensure()
        self._rows.numbers(switches)
        # Adding a port can take down a device that was up. The switch says which; reading every
        # device would wait for the switch's own work on them.
        self._taps.up([w for w in self.batch.works if self._rows.got[w.id].admin_state != "up"])
        hybrid.announce(self.drivers, [w for w in self.batch.works if w.names.adopted])
        self._taps.plugged()
        return self.batch

    def _leave_masters(self, works: Sequence[Work]) -> None:
        masters.leave(self.drivers, [self._taps.links[work.id] for work in works])

    def _overrule_mtus(self) -> None:
        """A request of another program goes first: the switch would set the device back to it."""
        for bridge, works in self.batch.bridges().items():
            specs = [s for s in (self._mtu_only(w) for w in works) if s is not None]
            if specs:
                self.drivers.ovsdb.ensure_ports(bridge, specs)

    def _mtu_only(self, work: Work) -> PortSpec | None:
        """The port as it is, with the MTU that is ours, where another one is requested."""
        row = self.drivers.ovsdb.port(work.device)
        mtu = work.item.attachment.network.mtu
        if row is None or not marks.belongs(row, work.id) or row.mtu_request in (None, mtu):
            return None
        return PortSpec(work.device, ofport=row.ofport_request, tag=row.tag, mtu=mtu)

    def _stale(self, work: Work, _row: PortRow) -> bool:
        """Whether the switch may hold a device that is no longer there."""
        known = work.item.wiring is not None or work.names.adopted
        plugged = known and work.names.ifindex
        return self._taps.fresh(work) or plugged != self._taps.links[work.id].ifindex

    def _spec(self, work: Work) -> PortSpec:
        row = self.drivers.ovsdb.port(work.device)
        mtu = work.item.attachment.network.mtu
        return PortSpec(
            work.device,
            ofport=work.names.ofport,
            tag=work.names.row_tag(opened=work.item.open),
            # the device's MTU is ours to set; only a request of another program must be overruled
            mtu=mtu if row is not None and row.mtu_request not in (None, mtu) else None,
            external_ids={**self._external_ids(work), **self._index(work)},
        )

    def _external_ids(self, work: Work) -> dict[str, str]:
        ids = self._ids.get(work.id)
        if ids is None:
            ids = marks.row_ids(work.item.attachment, work.names, self.plugin)
            self._ids[work.id] = ids
        return ids

    def _index(self, work: Work) -> dict[str, str]:
        """What tells the device, should the journal be lost, from one that is made anew."""
        link = self._taps.links.get(work.id)
        return {marks.INDEX: str(link.ifindex)} if link is not None else {}
