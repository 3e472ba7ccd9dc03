"""Two hosts with libvirt, Open vSwitch and vifd each, a guest that moves, and a third place.

The cables end in a bridge of the kernel. On the third place a plain switch that learns, as a top of
rack has it, or as a host behind a tunnel that knows nobody. A world of one host alone is for ports
that change their back end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from support.checksums import whole
from support.moving import caller, wire
from unit.docs import NETWORK, document, port_id
from vifd.model.trunks import SUB_PORT_OWNER
from vifd.testing.bootable import Host, HostOvs, Machine
from vifd.testing.netns import Namespace
from vifd.testing.sandbox import OF_DATAPATH, Daemon, PrivateOvs
from vifd.testing.wait import PATIENCE, until

VLAN = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 101}
VXLAN = {"network_type": "vxlan", "segmentation_id": 5001}
FLAT = {"network_type": "flat", "physical_network": "physnet1"}
GENEVE = {"network_type": "geneve", "segmentation_id": 7}
SEGMENTS = {"vlan": VLAN, "vxlan": VXLAN, "flat": FLAT, "ovn": GENEVE}
CERTIFICATES = Path(__file__).parents[1] / "certificates"
#: Of the third place.
ADDRESS = "10.0.0.9"
GUEST = "10.0.0.1"
#: Of a guest with a trunk: the sub-port's number, its tag, its network's VLAN and the addresses.
SUB_PORT, TAG, SUB_VLAN = 2, 301, 102
SUB_GUEST, SUB_ADDRESS = "10.0.1.1", "10.0.1.9"
MTU = 1400


_OFF = "csum='off' tso4='off' tso6='off' ecn='off' ufo='off'"
_PLAIN = f"<driver><host {_OFF} gso='off' mrg_rxbuf='off'/><guest {_OFF}/></driver>"


def _without_vlan_filter(text: str) -> str:
    """QEMU 7.2 forgets with a migration which VLANs its card was told of, and drops them all."""
    words = ("-global", "virtio-net-pci.ctrl_vlan=off")
    line = "".join(f"<qemu:arg value='{word}'/>" for word in words)
    named = text.replace(
        "<domain ", "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' ", 1
    )
    return named.replace("</domain>", f"<qemu:commandline>{line}</qemu:commandline></domain>")


def routed(arguments: tuple[str, ...]) -> list[str]:
    """A switch with tunnels knows the routes of its namespace."""
    return [word for word in arguments if word != "--disable-system-route"]


class Switch(HostOvs):
    """Of a host."""

    def _daemon(self, name: str, *arguments: str, ready: str) -> Daemon:
        return super()._daemon(name, *routed(arguments), ready=ready)


class FarSwitch(PrivateOvs):
    """Of the third place."""

    def _daemon(self, name: str, *arguments: str, ready: str) -> Daemon:
        return super()._daemon(name, *routed(arguments), ready=ready)


class Fabric(contextlib.ExitStack):
    """The cables: ``uplink`` for the guests' networks, ``aside`` for their memory."""

    def __init__(self) -> None:
        super().__init__()
        self.space = self.enter_context(Namespace("fabric"))
        for bridge in ("uplink", "aside"):
            self.ip("link", "add", bridge, "type", "bridge")
            self.ip("link", "set", bridge, "up")

    def ip(self, *arguments: str) -> None:
        self.space.command(["ip", *arguments])

    def has(self, name: str) -> bool:
        """Whether there is such an end of a cable."""
        return f" {name}@" in self.space.command(["ip", "link"]).stdout

    def lay(self, bridge: str, pid: str, device: str, name: str) -> None:
        """A cable from a bridge to a device in the namespace of a process; one that ended in a
        namespace that is going goes with it."""
        until(lambda: not self.has(name), f"the cable {name} of an earlier life is gone")
        self.ip("link", "add", name, "master", bridge, "type", "veth", "peer", "name", device)
        self.ip("link", "set", device, "netns", pid)
        self.ip("link", "set", name, "up")


class Mover(Machine):
    """The guest: it calls the third place, and says nothing by itself."""

    def __init__(
        self, host: Host, number: int, vif: dict[str, Any], calls: str = ADDRESS, *,
        trunk: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(host, number, 0, vif)
        own = f"vifd.peer=none vifd.calls={calls}"
        own += f" vifd.tag={TAG} vifd.sub={SUB_GUEST}/24" if trunk else ""
        self._line = self._line.replace("vifd.peer=10.0.0.0", own)

    def xml(self) -> str:
        path = f"<source path='{self.serial}'/>"
        text = super().xml().replace(path, path.replace("/>", " append='on'/>"))
        # a switch in user space drops what has no checksum yet
        text = text.replace("<model type='virtio'/>", f"<model type='virtio'/>{_PLAIN}")
        return text if f"vifd.tag={TAG}" not in self._line else _without_vlan_filter(text)

    @property
    def gave_up(self) -> bool:
        """Whether its kernel did, as now and then under TCG."""
        return "panic" in self.text or "not a head" in self.text


def as_peers(number: int) -> dict[str, Any]:
    """Options of a host whose agent knows the other's."""
    name, there = {1: ("one", 2), 2: ("two", 1)}[number]
    return {"migration": {
        "peers": f"172.30.0.{there}:7443", "peer_listen": f"172.30.0.{number}:7443",
        "peer_certificate": CERTIFICATES / f"{name}.pem", "peer_key": CERTIFICATES / f"{name}.key",
        "peer_authority": CERTIFICATES / "authority.pem",
    }}  # fmt: skip


def of_guest(number: int = 1) -> str:
    """The id of a guest; see :class:`vifd.testing.bootable.Machine`."""
    return f"00000000-0000-4000-8000-{number:012x}"


class MovingHost:
    """One of the two hosts.

    :ivar seen: where its frames are written down
    """

    def __init__(self, world: World, number: int, options: dict[str, Any]) -> None:
        self.number, self._world = number, world
        self.address = f"172.31.0.{number}"
        self.aside = f"172.30.0.{number}"
        self.host = Host(world.disk / f"h{number}", options, Switch)
        self.vifd, self.ovs = self.host.vifd, self.host.ovs
        self.seen = self.host.disk / "frames"
        #: devices by the bridge of the cables that they end in, and the name of the other end
        self.cables = {"eth0": ("uplink", f"u{number}"), "eth1": ("aside", f"a{number}")}
        #: done each time before its vifd starts
        self.prepare: Callable[[], object] = lambda: None
        self._watch: subprocess.Popen[bytes] | None = None
        self.connection: Any = None

    def up(self) -> None:
        """Power, cables, switch, vifd and libvirt."""
        self.host.boot()
        self.host.run("hostname", f"host{self.number}")
        for device, (bridge, name) in self.cables.items():
            self._world.fabric.lay(bridge, str(self.host.pid), device, name)
            self.ip("link", "set", device, "up")
        self.ip("addr", "add", f"{self.aside}/24", "dev", "eth1")
        self.host.ovs.start()
        self.ovs.vsctl("--may-exist", "add-br", "br-up", "--", "set", "Bridge", "br-up",
                       OF_DATAPATH, "--", "--may-exist", "add-port", "br-up", "eth0",
                       )  # fmt: skip
        # a bridge that the database knows from an earlier life is made when the switch gets to it
        until(lambda: "br-up" in self.host.run("ip", "-brief", "link"), "br-up is there")
        self.ip("addr", "add", f"{self.address}/24", "dev", "br-up")
        self.ip("link", "set", "br-up", "up")
        self.prepare()
        self.vifd.start(3 * PATIENCE)
        self.vifd.ready()
        self.host.libvirtd.start()
        self.connection = self.host.connection()
        until(lambda: self.vifd.get("/v1/status")["hypervisor"]["connected"], "vifd hears libvirt")

    def ip(self, *arguments: str) -> None:
        self.host.run("ip", *arguments)

    def write_down(self, *devices: str) -> None:
        """Write down the frames of these devices from now on."""
        self._end_watch()
        self.seen.unlink(missing_ok=True)
        argv = [*self.host.enter, sys.executable, "-S", "-E", wire.__file__, str(self.seen)]
        self._watch = self._world.start(subprocess.Popen, [*argv, *devices])
        until(lambda: self.seen.exists() and self.seen.read_text(), "frames are written down")

    def _end_watch(self) -> None:
        """The one that watches, whom the one that is known brought into the host."""
        if self._watch is None or self._watch.poll() is not None:
            return
        outer = self._watch.pid
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        for one in map(int, children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGTERM)
        self._watch.wait()

    def cut(self) -> None:
        """Cut its power and its cables: nobody hears of its end. :meth:`up` again.

        QEMU on the other host may hold a guest until TCP gives up, a quarter of an hour by default:
        here that is seconds.
        """
        for other in self._world.hosts:
            other.host.run("sysctl", "-qw", "net.ipv4.tcp_retries2=3")
        cables = [name for _, name in self.cables.values()]
        for cable in cables:
            self._world.fabric.ip("link", "set", cable, "down")
        self._off(self.host.cut)
        # what a dead end's connections had to say keeps its network for a while
        for cable in cables:
            with contextlib.suppress(subprocess.CalledProcessError):
                self._world.fabric.ip("link", "delete", cable)

    def close(self) -> None:
        self._off(self.host.close)

    def _off(self, end: Callable[[], None]) -> None:
        end()
        if self.connection is not None:
            with contextlib.suppress(Exception):
                self.connection.close()
        self.connection = None
        if self._watch is not None:
            self._watch.wait()

    # --- ports ---

    def port(self, number: int = 1) -> Any:
        return self.vifd.get(f"/v1/ports/{port_id(number)}")

    def call(self, verb: str, number: int = 1) -> Any:
        """A verb of a port's, which must be taken."""
        status, answer = self.vifd.call("POST", f"/v1/ports/{port_id(number)}/{verb}")
        assert status < 300, answer
        return answer

    def wanted(self, role: str, number: int = 1) -> dict[str, Any]:
        """The document of a port."""
        made = document(
            number, role=role, network__segment=SEGMENTS[self._world.kind], network__mtu=MTU,
            instance__id=of_guest(number), instance__name=f"guest{number}",
        )  # fmt: skip
        if self._world.trunk:
            named = {"port_id": port_id(SUB_PORT), "segmentation_id": TAG,
                     "segmentation_type": "vlan"}  # fmt: skip
            made["port"]["trunk_details"] = {"trunk_id": port_id(0xF001), "sub_ports": [named]}
        return made

    def _sub_port(self) -> dict[str, Any]:
        """The document of the trunk's sub-port: the guest's VLAN device has the card's address."""
        network = {**VLAN, "segmentation_id": SUB_VLAN}
        made = document(
            SUB_PORT, network={"id": f"{NETWORK[:-1]}2", "mtu": MTU, "segment": network},
            port__device_owner=SUB_PORT_OWNER, fixed_ips=[{"ip_address": SUB_GUEST}],
            port__mac_address=document(1)["port"]["mac_address"],
        )  # fmt: skip
        del made["instance"]
        return made

    def plug(self, role: str, number: int = 1) -> Any:
        """Plug a port, and wait until it is proven."""
        wanted = self.wanted(role, number)
        status, port = self.vifd.call("PUT", f"/v1/ports/{port_id(number)}", wanted)
        assert status in (200, 201, 202), port
        if self._world.trunk:
            path = f"/v1/ports/{port_id(SUB_PORT)}"
            status, answer = self.vifd.call("PUT", path, self._sub_port())
            assert status in (200, 201, 202), answer
        phase = "LIVE" if role == "ACTIVE" else "READY"
        until(lambda: self.port(number)["phase"] == phase, f"the port is {phase}", 3 * PATIENCE)
        return self.port(number)

    def know(self, *others: str) -> None:
        """Have other tunnel endpoints of the network; who is behind them is not known."""
        body = {"endpoints": [{"address": address} for address in others]}
        status, answer = self.vifd.call("PUT", f"/v1/networks/{NETWORK}/forwarding", body)
        assert status < 300, answer


class Third(contextlib.ExitStack):
    """The third place: a switch that learns, and who talks to the guest.

    :ivar heard: where the calls are written down
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self.address = "172.31.0.9"
        self.heard = world.disk / "heard"
        self._calls = caller.Reader(self.heard)
        self.space = self.enter_context(Namespace("third"))
        self.space.command(["true"])
        pid = self.enter_context(_Sleeper(self.space)).pid
        world.fabric.lay("uplink", str(pid), "eth0", "u9")
        self.space.command(["ip", "link", "set", "eth0", "up"])
        self.ovs = self.space.run(FarSwitch, world.disk / "o9")
        self.callback(self.space.run, self.ovs.close)
        self.space.run(self.ovs.start)
        # it learns from frames that go by flows it has when it next looks at these: after half a
        # second, which would be taken for the migration's; 100 ms is the least that it takes
        self.ovs.vsctl("set", "Open_vSwitch", ".", "other_config:max-revalidator=100")
        # its cable is no end of it, although the kernel hears what comes in by it, too
        self.space.command(["sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1"])
        world.join(self)
        self.space.command(["ip", "addr", "add", f"{ADDRESS}/24", "dev", "peer0"])
        self.space.command(["ip", "link", "set", "peer0", "mtu", "1400", "up"])
        # a checksum that is left to the device is computed by nobody
        self.space.run(whole, "peer0")
        #: what is heard over the sub-port of a guest with a trunk
        self._sub_heard = world.disk / "heard-sub"
        self._sub_calls = caller.Reader(self._sub_heard)
        if world.trunk:
            self._on_sub_network()

    def _on_sub_network(self) -> None:
        self.ovs.vsctl("add-port", "br", "peer1", f"tag={SUB_VLAN}",
                       "--", "set", "Interface", "peer1", "type=internal")  # fmt: skip
        self.space.command(["ip", "addr", "add", f"{SUB_ADDRESS}/24", "dev", "peer1"])
        self.space.command(["ip", "link", "set", "peer1", "mtu", str(MTU), "up"])

    def learns(self, *tag: str) -> None:
        """Be on the physical network."""
        self.ovs.vsctl("add-br", "br", "--", "set", "Bridge", "br", OF_DATAPATH,
                       "--", "add-port", "br", "eth0", "--", "add-port", "br", "peer0", *tag,
                       "--", "set", "Interface", "peer0", "type=internal")  # fmt: skip

    def underlay(self) -> None:
        """Have an address between the hosts."""
        self.ovs.vsctl("add-br", "br-up", "--", "set", "Bridge", "br-up", OF_DATAPATH,
                       "--", "add-port", "br-up", "eth0")  # fmt: skip
        self.space.command(["ip", "addr", "add", f"{self.address}/24", "dev", "br-up"])
        self.space.command(["ip", "link", "set", "br-up", "up"])

    def tunnels(self) -> None:
        """Be behind tunnels to both hosts."""
        self.underlay()
        self.ovs.vsctl("add-br", "br", "--", "set", "Bridge", "br", OF_DATAPATH,
                       "--", "add-port", "br", "peer0", "--", "set", "Interface", "peer0",
                       "type=internal")  # fmt: skip
        for number in (1, 2):
            name = f"vx{number}"
            self.ovs.vsctl("add-port", "br", name, "--", "set", "Interface", name, "type=vxlan",
                           f"options:remote_ip=172.31.0.{number}", "options:key=5001",
                           "--", "set", "Port", name, "protected=true")  # fmt: skip

    def talk(self, heard: Path | None = None, guest: str = GUEST, *more: str) -> None:
        """Talk to a guest from now on; see :mod:`support.moving.caller`."""
        argv = [sys.executable, "-S", "-E", caller.__file__, str(heard or self.heard), guest, *more]
        process = self.space.run(subprocess.Popen, argv)
        self.callback(process.wait)
        self.callback(process.terminate)

    def talk_to_sub_port(self) -> None:
        """The same over the sub-port of a guest with a trunk: pings alone."""
        self.talk(self._sub_heard, SUB_GUEST, SUB_ADDRESS)

    def listening(self) -> caller.Heard:
        """What was heard so far."""
        return self._calls.read()

    def listening_to_sub_port(self) -> caller.Heard:
        """The same over the sub-port."""
        return self._sub_calls.read()


class _Sleeper:
    """A process that keeps a namespace's place by number."""

    def __init__(self, space: Namespace) -> None:
        self._process = space.run(subprocess.Popen, ["sleep", "infinity"])
        self.pid = self._process.pid

    def __enter__(self) -> _Sleeper:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


class World(contextlib.ExitStack):
    """All of it.

    :param kind: of the network: ``vlan``, ``vxlan`` or ``flat``; see also :mod:`.ovnworld`
    :param options: of the hosts' vifd, by the number of the host
    :param numbers: of the hosts
    :param trunk: whether the guest has a second network over its card
    """

    def __init__(
        self, disk: Path, kind: str = "vlan",
        options: Callable[[int], dict[str, Any]] = lambda _number: {},
        numbers: Sequence[int] = (1, 2), *, trunk: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.disk, self.kind, self.trunk = disk, kind, trunk
        self.fabric = self.enter_context(Fabric())
        self._starter = self.enter_context(Namespace("starter"))
        self.hosts = [MovingHost(self, n, self._options(n, options(n))) for n in numbers]
        for host in self.hosts:
            self.callback(host.close)

    def _options(self, number: int, more: dict[str, Any]) -> dict[str, Any]:
        ovs: dict[str, Any] = {"bridge_mappings": "physnet1:br-up"}
        if self.kind == "vxlan":
            ovs = {"local_ip": f"172.31.0.{number}"}
        return {
            "plugins": {"enabled_plugins": "ovs"},
            **more,
            "ovs": {**ovs, **more.get("ovs", {})},
        }

    def start(self, call: Any, argv: list[str]) -> Any:
        """Start something on a thread that lives as long as this."""
        return self._starter.run(call, argv)

    def join(self, third: Third) -> None:
        """Have the third place on the network."""
        if self.kind == "vxlan":
            third.tunnels()
        else:
            third.learns(*(["tag=101"] if self.kind == "vlan" else []))

    def up(self) -> None:
        """The hosts and the third place."""
        for host in self.hosts:
            host.up()
        self.third = self.enter_context(Third(self))
        if self.kind == "vxlan":
            for host, other in (self.hosts, self.hosts[::-1]):
                host.know(self.third.address, other.address)

    def guest(self) -> Any:
        """Start the guest on the first host, and the talk with it; its domain."""
        port = self.hosts[0].plug("ACTIVE")
        self.machine = Mover(self.hosts[0].host, 1, port["vif"], trunk=self.trunk)
        # who talks on two networks is called on one of them alone
        self.third.talk(None, GUEST, *([ADDRESS] if self.trunk else []))
        if self.trunk:
            self.third.talk_to_sub_port()
        return self.start_guest()

    def start_guest(self) -> Any:
        """Start the guest on the first host, where its port is; its domain."""
        talked = len(self.third.listening().tcp)
        self.machine.serial.unlink(missing_ok=True)
        domain = self.hosts[0].connection.createXML(self.machine.xml(), 0)
        until(lambda: len(self.third.listening().tcp) > talked + 20, "the guest talks",
              4 * PATIENCE)  # fmt: skip
        return domain
