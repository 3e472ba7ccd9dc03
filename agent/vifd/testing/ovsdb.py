"""A database and a switch that exist only in memory."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vifd.drivers import Bridge, PortRow, PortSpec
from vifd.drivers.ovsdb_rules import (
    DEFAULT_PROTOCOLS,
    decided,
    member_clash,
    port_clash,
    unavailable,
    undecided,
)
from vifd.errors import BackendError, BridgeMissing
from vifd.testing.faults import Faults
from vifd.testing.links import FakeLinks

#: The number of a bridge's own port.
LOCAL = 65534
#: Types that stand for no device of the kernel.
TUNNELS = ("vxlan", "gre", "ip6gre", "geneve")
DEVICELESS = ("internal", "patch", "dpdkvhostuser", "dpdkvhostuserclient", *TUNNELS)

LOG = logging.getLogger(__name__)

Callback = Callable[[str, str], None]


class FakeOvsdb(Faults):
    """See :class:`vifd.drivers.Ovsdb`. Callbacks come at once, on the caller's thread.

    :param links: the devices that the switch finds; without them it finds every device
    """

    def __init__(self, links: FakeLinks | None = None) -> None:
        super().__init__()
        self._links = links
        self._bridges: dict[str, Bridge] = {}
        self._ports: dict[str, PortRow] = {}
        self._callbacks: list[Callback] = []
        self._connected = True
        self._switching = True
        self._lock = threading.RLock()
        self.transactions = 0
        #: whether no server was ever reached
        self.never = False
        #: What a test says of the switch beyond :meth:`facts`.
        self.root: dict[str, Any] = {}
        #: The columns of a vhost-user port as a DPDK switch has them.
        self.vhost: Callable[[PortRow], dict[str, Any]] = _no_dpdk
        if links is not None:
            links.subscribe(self._on_link)

    # What a test does to the host, past the driver.

    def stop(self) -> None:
        """Let the database server go away."""
        self._connected = False
        self._tell("disconnected", "")

    def start(self) -> None:
        """Let the database server come back, with its content."""
        self._connected = True
        self._tell("connected", "")

    def stop_switch(self) -> None:
        """Let ovs-vswitchd go away: the database goes on, and nobody acts on it."""
        self._switching = False

    def start_switch(self) -> None:
        """Let ovs-vswitchd come back and act on what it finds."""
        self._switching = True
        self._decide(list(self._ports))

    def change(self, name: str, **columns: Any) -> None:
        """Change a port's row behind the driver's back."""
        with self._lock:
            self._ports[name] = replace(self._ports[name], **columns)
        self._tell("port", name)

    def change_bridge(self, name: str, **columns: Any) -> None:
        """Change a bridge's row behind the driver's back."""
        with self._lock:
            self._bridges[name] = replace(self._bridges[name], **columns)
        self._tell("bridge", name)

    # Reading.

    def connected(self) -> bool:
        """See :class:`vifd.drivers.Ovsdb`."""
        return self._connected

    def facts(self) -> dict[str, Any]:
        """See :class:`vifd.drivers.Ovsdb`."""
        if self.never:
            return {}
        return {
            "ovs_version": "3.1.0",
            "db_version": "8.3.1",
            "datapath_types": ["netdev", "system"],
            "iface_types": ["internal", "patch", "system", "tap"],
            "dpdk_initialized": False,
            "system_id": "fake",
            "other_config": {},
            "external_ids": {"system-id": "fake"},
            **self.root,
        }

    def bridge(self, name: str) -> Bridge | None:
        """See :class:`vifd.drivers.Ovsdb`."""
        with self._lock:
            return self._bridges.get(name)

    def bridges(self) -> list[str]:
        """See :class:`vifd.drivers.Ovsdb`."""
        return sorted(self._bridges)

    def ports(self, bridge: str) -> list[PortRow]:
        """See :class:`vifd.drivers.Ovsdb`."""
        with self._lock:
            found = [port for port in self._ports.values() if port.bridge == bridge]
        return sorted(found, key=lambda port: port.name)

    def port(self, name: str) -> PortRow | None:
        """See :class:`vifd.drivers.Ovsdb`."""
        return self._ports.get(name)

    def port_with(self, interface: str) -> PortRow | None:
        """See :class:`vifd.drivers.Ovsdb`."""
        ports = list(self._ports.values())
        return next((p for p in ports if interface in (p.interfaces or (p.name,))), None)

    def wait_ports(self, names: Sequence[str], timeout: float) -> dict[str, PortRow]:
        """See :class:`vifd.drivers.Ovsdb`; never waits, because nothing here takes time."""
        with self._call("wait_ports"), self._lock:
            missing = [name for name in names if name not in self._ports]
            if missing:
                problem = f"there is no port {missing[0]}"
                raise BackendError(facts={"backend": "ovsdb", "problem": problem})
            late = [name for name in names if not decided(self._ports[name])]
            if late:
                raise undecided(late, timeout)
            return {name: self._ports[name] for name in names}

    def subscribe(self, callback: Callback) -> None:
        """See :class:`vifd.drivers.Ovsdb`."""
        self._callbacks.append(callback)

    def ping(self, timeout: float) -> str:
        """See :class:`vifd.drivers.Ovsdb`."""
        del timeout
        return "" if self.connected() else "it does not run"

    def close(self) -> None:
        """See :class:`vifd.drivers.Ovsdb`."""
        self._callbacks.clear()

    # Writing.

    def ensure_bridge(
        self,
        name: str,
        *,
        datapath_type: str,
        fail_mode: str,
        protocols: Sequence[str],
        external_ids: Mapping[str, str],
    ) -> bool:
        """See :class:`vifd.drivers.Ovsdb`."""
        with self._call("ensure_bridge"):
            self._require()
            there = self._bridges.get(name)
            if there is not None:
                self._complete(there, frozenset(protocols))
                if external_ids and external_ids.items() <= there.external_ids.items():
                    self._close_again(self._bridges[name], fail_mode)
                return False
            wanted = tuple(sorted(protocols))
            self._bridges[name] = Bridge(name, datapath_type, fail_mode, wanted, dict(external_ids))
            self._ports[name] = PortRow(name, name, type="internal", interfaces=(name,))
            self._committed([name])
            self._tell("bridge", name)
            return True

    def _close_again(self, bridge: Bridge, fail_mode: str) -> None:
        if bridge.fail_mode != fail_mode:
            self._bridges[bridge.name] = replace(bridge, fail_mode=fail_mode)
            self._committed([])
            self._tell("bridge", bridge.name)

    def _complete(self, bridge: Bridge, wanted: frozenset[str]) -> None:
        missing = wanted - frozenset(bridge.protocols)
        if missing:
            have = bridge.protocols or DEFAULT_PROTOCOLS
            both = tuple(sorted({*have, *missing}))
            self._bridges[bridge.name] = replace(bridge, protocols=both)
            self._committed([])
            self._tell("bridge", bridge.name)

    def set_fail_mode(self, name: str, mode: str) -> None:
        """See :class:`vifd.drivers.Ovsdb`."""
        with self._call("set_fail_mode"):
            self._require()
            if (there := self._bridges.get(name)) is not None:
                self._close_again(there, mode)

    def delete_bridge(self, name: str) -> None:
        """See :class:`vifd.drivers.Ovsdb`."""
        with self._call("delete_bridge"):
            self._require()
            if self._bridges.pop(name, None) is not None:
                self._remove([port.name for port in self.ports(name)])
                self._tell("bridge", name)

    def ensure_ports(self, bridge: str, specs: Sequence[PortSpec]) -> None:
        """See :class:`vifd.drivers.Ovsdb`."""
        if len({spec.name for spec in specs}) != len(specs):
            raise ValueError("a name occurs twice in one batch of ports")
        with self._call("ensure_ports"), self._lock:
            self._require()
            if bridge not in self._bridges:
                raise BridgeMissing(facts={"bridge": bridge}, stage="ovsdb")
            for spec in specs:
                there = self._ports.get(spec.name)
                if there is not None and there.bridge != bridge:
                    raise port_clash(spec.name, there.bridge, there.external_ids)
                other = self.port_with(spec.name) if there is None else None
                if other is not None:
                    raise member_clash(spec.name, other)
            rows = {spec.name: self._wanted(bridge, spec) for spec in specs}
            changed = [name for name, row in rows.items() if self._ports.get(name) != row]
            self._ports.update(rows)
            if changed:
                self._committed(changed)

    def _wanted(self, bridge: str, spec: PortSpec) -> PortRow:
        there = self._ports.get(spec.name) or PortRow(spec.name, bridge)
        row = replace(
            there,
            tag=spec.tag,
            vlan_mode="",
            trunks=(),
            interfaces=(spec.name,),
            type=spec.type,
            ofport_request=there.ofport_request if spec.ofport is None else spec.ofport or None,
            mtu_request=there.mtu_request if spec.mtu is None else spec.mtu or None,
            options={**there.options, **spec.options},
            external_ids={**there.external_ids, **spec.external_ids},
        )
        # The switch acts anew on what concerns it.
        number = row.ofport_request not in (None, there.ofport_request)
        asked = number or row.type != there.type
        if asked and self._switching:
            row = replace(row, ofport=None, error="")
        return row

    def delete_ports(self, bridge: str, names: Sequence[str]) -> None:
        """See :class:`vifd.drivers.Ovsdb`."""
        with self._call("delete_ports"):
            self._require()
            there = {port.name for port in self.ports(bridge)}
            self._remove([name for name in names if name in there])

    def set_external_ids(self, values: Mapping[str, Mapping[str, str | None]]) -> None:
        """See :class:`vifd.drivers.Ovsdb`."""
        with self._call("set_external_ids"), self._lock:
            self._require()
            missing = [name for name in values if name not in self._ports]
            if missing:
                problem = f"no interface {', '.join(missing)}"
                facts = {"backend": "ovsdb", "problem": problem, "missing": missing}
                raise BackendError(facts=facts, stage="ovsdb")
            for name, pairs in values.items():
                ids = {**self._ports[name].external_ids, **pairs}
                kept = {key: value for key, value in ids.items() if value is not None}
                self._ports[name] = replace(self._ports[name], external_ids=kept)
            self._committed(list(values))

    def _require(self) -> None:
        if not self._connected:
            raise unavailable("the connection was lost")

    def _remove(self, names: Iterable[str]) -> None:
        gone = [name for name in names if self._ports.pop(name, None)]
        if gone:
            self._committed([])
            for name in gone:
                self._tell("port", name)

    def _committed(self, names: Sequence[str]) -> None:
        self.transactions += 1
        self._decide(names)
        for name in names:
            self._tell("port", name)

    def _tell(self, kind: str, name: str) -> None:
        for callback in list(self._callbacks):
            try:
                callback(kind, name)
            except Exception:
                LOG.exception("a subscriber to ovsdb failed on %s %r", kind, name)

    # The switch.

    def _decide(self, names: Iterable[str]) -> None:
        if not self._switching:
            return
        with self._lock:
            for name in names:
                if name in self._ports:
                    self._ports[name] = self._decision(self._ports[name])

    def _decision(self, port: PortRow) -> PortRow:
        if port.type.startswith("dpdkvhostuser"):
            ofport = port.ofport if (port.ofport or -1) > 0 else self._number(port)
            columns = {"ofport": ofport, "error": "", "admin_state": "up", **self.vhost(port)}
            return replace(port, **columns)
        if port.type in TUNNELS and self._alike(port):
            error = f"could not add network device {port.name} to ofproto (File exists)"
            return replace(port, ofport=-1, error=error)
        link = self._links.peek(port.name) if self._links else None
        if self._links is not None and link is None and port.type not in DEVICELESS:
            error = f"could not open network device {port.name} (No such device)"
            return replace(port, ofport=-1, error=error, ifindex=None, mtu=None, link_state="")
        ofport = port.ofport if (port.ofport or -1) > 0 else self._number(port)
        state = "up" if link is None or link.carrier else "down"
        return replace(
            port,
            ofport=ofport,
            error="",
            ifindex=link.ifindex if link else port.ifindex or 0,
            mtu=link.mtu if link else None,
            mac_in_use=link.mac if link else port.mac_in_use,
            admin_state="up" if link is None or link.up else "down",
            link_state=state,
        )

    def _alike(self, port: PortRow) -> bool:
        """Whether a tunnel runs that packets for this one could not be told from."""
        same = ("remote_ip", "local_ip", "dst_port")
        return any(
            row.type == port.type and row.name != port.name and (row.ofport or -1) > 0
            and all(row.options.get(o) == port.options.get(o) for o in same)
            for row in self._ports.values()
        )  # fmt: skip

    def _number(self, port: PortRow) -> int:
        """The number that was asked for, or a free one where that is taken."""
        if port.name == port.bridge:
            return LOCAL
        taken = {row.ofport for row in self.ports(port.bridge) if row.name != port.name}
        if port.ofport_request is not None and port.ofport_request not in taken:
            return port.ofport_request
        return next(number for number in itertools.count(1) if number not in taken)

    def all_ports(self) -> list[PortRow]:
        """Every port of every bridge."""
        return list(self._ports.values())

    def decide(self, name: str) -> None:
        """Let the switch look at a port again."""
        self._decide([name])
        self._tell("port", name)

    def _on_link(self, name: str, exists: bool) -> None:
        port = self._ports.get(name)
        if port is None or port.type in DEVICELESS or not self._switching:
            return
        self._decide([name])
        self._tell("port", name)


def _no_dpdk(port: PortRow) -> dict[str, Any]:
    problem = "Address family not supported by protocol"
    return {"ofport": -1, "error": f"could not open network device {port.name} ({problem})"}
