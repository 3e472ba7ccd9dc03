"""A host with ports in security groups, on fakes or on a real switch, to which frames are sent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from contract import ovs as make
from functional.scene import Scene
from vifd.model import Attachment
from vifd.model.sets import SetKind
from vifd.plugin import Host, VifPlugin
from vifd.plugin.logged import LogDesk
from vifd.plugin.sets import SetChange
from vifd.testing import flowkey
from vifd.testing import frames as f
from vifd.testing.guests import Guest, arrivals, equal_to
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd.testing.sandbox import DATAPATH, PrivateOvs
from vifd.testing.sets import MemorySets
from vifd.testing.wait import until

PHYSICAL = ["physnet1:br-phys"]
_FAR = "02:00:00:00:00:fa"


class Rig(contextlib.ExitStack):
    """Ports by name, and whether a frame that one sends arrives at another. ``wire`` is the other
    end of the cable of the physical network."""

    sets: MemorySets
    ledger: Ledger
    names: dict[str, str]
    #: the fact that tells of a rule which is not as wanted
    finding = "flows.groups"

    def plug(self, **ports: Attachment) -> None:
        """Plug ports by name, and have their groups know them."""
        self.names |= {name: a.id for name, a in ports.items()}
        failed = self.ledger.plug(*ports.values())
        assert not failed, failed
        self.tell(*self.sets.told(self.ledger.records))

    def put(self, kind: str, set_id: str, **said: Any) -> None:
        """Say a set."""
        self.tell(self.sets.put(SetKind(kind), set_id, **said))

    def say(self, group: str, *rules: dict[str, Any], **said: Any) -> None:
        """Say a security group."""
        self.tell(self.sets.group(group, *rules, **said))

    def tell(self, *changes: SetChange) -> None:
        """Have the plugin do what changed, and wait until it is in force."""
        self.ledger.plugin.refresh(changes)
        self.settle()

    def settle(self) -> None:
        """Wait until packets go by the flows as they are."""

    def number(self, name: str) -> int:
        """The OpenFlow number of a port."""
        return int(self.ledger.records[self.names[name]].names.details["ofport"])

    def restart(self) -> None:
        """The daemon ends and comes back."""
        self.ledger = self.ledger.restart()

    def changes(self) -> int:
        """How many changes were made to the rules since the last restart."""
        plugin: Any = self.ledger.plugin
        return sum(switch.readback.sent for switch in plugin._switches.values())

    def state(self) -> set[str]:
        """All that is installed."""
        return {str(x) for x in self.ledger.drivers.openflow.dump("br-int", 0, 0)}

    def damage(self) -> None:
        """Somebody takes a rule away."""
        openflow = self.ledger.drivers.openflow
        rules = [x for x in openflow.dump("br-int", 0, 0) if x.table == 182]
        openflow.apply("br-int", delete=rules[:1])

    def unlog(self) -> set[str]:
        """Somebody takes away what limits the lines of logs; what is found of it."""
        openflow = self.ledger.drivers.openflow
        # the meter takes the flow that names it along
        openflow.set_meters("br-int", delete=[*openflow.meters("br-int")])
        return {"flows.port", "log.limit"}

    def reconnect(self) -> None:
        """The daemon is connected to what it works on again."""
        self.ledger.plugin.reconnected("br-int")

    def connections(self, name: str) -> Callable[[], list[str]]:
        """The connections of a port, to be asked also when it is gone."""
        number = self.number(name)
        return lambda: self.zone(number)

    def zone(self, number: int) -> list[str]:
        """The connections in a zone."""
        raise NotImplementedError

    def forget(self) -> None:
        """Forget every connection."""
        zones = [self.number(name) for name in self.names]
        self.ledger.drivers.openflow.flush_zones("br-int", zones)

    def arrives(self, sender: str, frame: bytes, receiver: str) -> bool:
        """Send a frame; whether it arrives."""
        raise NotImplementedError

    def take(self) -> None:
        """Have every guest read what has arrived."""

    def throw(self, sender: str, frame: bytes) -> None:
        """Send a frame, whatever becomes of it."""
        raise NotImplementedError


class FakeRig(Rig):
    """Fakes that keep state.

    :param options: of the plugin's group
    """

    def __init__(self, *, logs: LogDesk | None = None, **options: Any) -> None:
        super().__init__()
        self.machine = FakeMachine()
        self.machine.add_bridge("br-phys")
        self.sets, self.names = MemorySets(), {}
        settings = {"bridge_mappings": PHYSICAL, **options}
        self.ledger = Ledger(
            self.machine.drivers, lambda host: make.plugin(host, **settings), sets=self.sets,
            logs=logs,
        )  # fmt: skip

    def number(self, name: str) -> int:
        if name != "wire":
            return super().number(name)
        rows = self.machine.ovsdb.ports("br-int")
        return next(row.ofport or 0 for row in rows if row.type == "patch")

    def zone(self, number: int) -> list[str]:
        return [str(ends) for ends in self.machine.openflow.connections.zones.get(number, {})]

    def throw(self, sender: str, frame: bytes) -> None:
        packet = {**flowkey.parse(frame), "in_port": self.number(sender)}
        self.machine.openflow.carry("br-int", packet, len(frame), frame)

    def arrives(self, sender: str, frame: bytes, receiver: str) -> bool:
        openflow = self.machine.openflow
        packet = {**flowkey.parse(frame), "in_port": self.number(sender)}
        journey = openflow.carry("br-int", packet, len(frame), frame)
        assert not journey.failure, journey.failure
        for visit in journey.ambiguous:
            same = {(r.actions, r.goto) for r in visit.rivals}
            assert visit.flow is not None
            assert same == {(visit.flow.actions, visit.flow.goto)}, visit
        return self.number(receiver) in {sent.port for sent in journey.sent}


class Sending(Rig):
    """A rig with guests that send and receive.

    :ivar guests: by name
    """

    guests: dict[str, Guest]
    #: In how many turns a frame may be overtaken by one that came after it.
    turns = 0
    _count = 0

    def throw(self, sender: str, frame: bytes) -> None:
        self.guests[sender].send(frame)

    def take(self) -> None:
        for guest in self.guests.values():
            guest.drain()

    def arrives(self, sender: str, frame: bytes, receiver: str) -> bool:
        self._count += 1
        if arrives_before_probe(self, sender, frame, receiver, self._count):
            return True
        return any(self._comes_later(sender, frame, receiver) for _ in range(self.turns))

    def _comes_later(self, sender: str, frame: bytes, receiver: str) -> bool:
        self._count += 1
        self.line_up()
        return arrives_before_probe(self, sender, frame, receiver, self._count, again=True)

    def line_up(self) -> None:
        """Have what is sent next come after what is still on its way."""


class RealRig(Sending):
    """A private Open vSwitch, guests on taps.

    With the kernel's datapath a packet for which no flow is cached goes through the switch's
    process, once for each zone that follows it, and others overtake it meanwhile.

    :param wire: the far end of the physical network's cable, if there is one
    """

    turns = 0 if DATAPATH == "netdev" else 4

    def __init__(
        self, ovs: PrivateOvs, wire: Guest | None, *, logs: LogDesk | None = None, **options: Any
    ) -> None:
        super().__init__()
        self.sets, self.names = MemorySets(), {}
        settings = {"bridge_mappings": PHYSICAL, **options} if wire else options
        self.scene = self.enter_context(Scene(ovs))
        self.ledger = self.scene.ledger = Ledger(
            self.scene.machine.drivers, lambda host: self._plugin(host, settings), sets=self.sets,
            logs=logs,
        )  # fmt: skip
        self.guests = {"wire": wire} if wire else {}

    def _plugin(self, host: Host, options: dict[str, Any]) -> VifPlugin:
        return make.plugin(host, **options)

    def _guest(self, port_id: str) -> Guest:
        return self.scene.guest(port_id)

    def plug(self, **ports: Attachment) -> None:
        super().plug(**ports)
        for name, a in ports.items():
            if name not in self.guests:
                self.guests[name] = self._guest(a.id)

    def settle(self) -> None:
        self.scene.settle()

    def restart(self) -> None:
        super().restart()
        self.scene.ledger = self.ledger

    def heal(self) -> None:
        """Plug every port again, as the engine does once the switch is back."""
        until(lambda: not self.ledger.carry_out([*self.ledger.records]), "every port is back")

    def line_up(self) -> None:
        # what comes next takes the same queue
        self.scene.machine.drivers.tracer.forget()

    def zone(self, number: int) -> list[str]:
        lines = self.scene.ovs.appctl("dpctl/dump-conntrack", f"zone={number}").splitlines()
        return [line for line in lines if line]


def arrives_before_probe(
    rig: Any, sender: str, frame: bytes, receiver: str, count: int, *, again: bool = False
) -> bool:
    """A probe for an address, which passes any rules, tells that nothing else will come.

    :param count: other than that of the probes before
    :param again: the frame was sent before
    """
    nobody = f"10.200.{count >> 8 & 255}.{count & 255}"
    mac = _FAR if sender == "wire" else rig.ledger.records[rig.names[sender]].attachment.mac
    last = f.arp_request(mac, "0.0.0.0", nobody)
    there = arrivals(
        rig.guests[receiver], sent=[] if again else [(rig.guests[sender], frame)],
        sentinel=(rig.guests[sender], last), expect=equal_to(last[:42]), rounds=1, fresh=not again,
    )  # fmt: skip
    # a bridge that follows connections takes the padding off
    return any(other[: len(frame)].ljust(len(frame), b"\0") == frame for other in there)
