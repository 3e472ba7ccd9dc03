"""A host whose physical network is reached by a switch and by a bridge of the kernel alike, with a
place far away on it, and a guest whose port moves between the two."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support.stream import Stream
from unit.docs import document, port_id
from vifd.testing import frames
from vifd.testing.crafted import rarp
from vifd.testing.daemon import Vifd
from vifd.testing.guests import PacketGuest, TapGuest
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge.testing import quiet_netfilter

WIRE, EX, LB, FAR = "wire0", "mex0", "mlb0", "mfar0"
FAR_MAC, FAR_IP = "02:00:00:00:fa:01", "10.0.0.200"
#: By which a frame is known that the guest may not send.
LIE = b"vifd-lie:"
KINDS = 5
OPTIONS: dict[str, dict[str, object]] = {
    "ovs": {"bridge_mappings": "physnet1:br-phys"},
    "linuxbridge": {"physical_interface_mappings": f"physnet1:{LB}"},
    "garbage": {"grace": 0.1, "interval": 0},
    "engine": {"retry_first": 0.05},
}


def ip(*words: str) -> str:
    return subprocess.run(
        ["ip", *words], capture_output=True, text=True, check=True, timeout=60
    ).stdout


@contextlib.contextmanager
def cabled(ovs: PrivateOvs) -> Iterator[None]:
    """A physical network, made of a bridge of its own: one cable to the switch, one for bridges of
    the kernel, one to the place far away."""
    quiet_netfilter()
    ip("link", "add", WIRE, "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
    try:
        for name in (EX, LB, FAR):
            ip("link", "add", name, "type", "veth", "peer", "name", f"w-{name}")
            ip("link", "set", f"w-{name}", "master", WIRE)
            for end in (name, f"w-{name}"):
                ip("link", "set", end, "up")
        ip("link", "set", WIRE, "up")
        ovs.vsctl("add-br", "br-phys", "--", "set", "bridge", "br-phys", OF_DATAPATH)
        ovs.vsctl("add-port", "br-phys", EX)
        ovs.wait_for_carrier(EX)
        yield
    finally:
        for name in (EX, LB, FAR, WIRE):
            subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)
        ovs.vsctl("--if-exists", "del-br", "br-phys")


def flat(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A port on that network."""
    segment = {"network_type": "flat", "physical_network": "physnet1"}
    return document(number, network__segment=segment, **changes)


def move(vifd: Vifd, to: str, number: int = 1, **more: Any) -> tuple[int, Any]:
    return vifd.call("POST", f"/v1/ports/{port_id(number)}/backend?timeout=60", {"to": to, **more})


class Scene:
    """A daemon, a guest on port 1, and somebody far away."""

    def __init__(self, vifd: Vifd, ovs: PrivateOvs) -> None:
        self.vifd, self.ovs = vifd, ovs
        self.device = f"tap{port_id(1)[:11]}"
        #: frames that the guest sent and that nobody got
        self.refused = 0

    @property
    def port(self) -> Any:
        return self.vifd.get(f"/v1/ports/{port_id(1)}")

    def there(self, payload: bytes) -> bytes:
        """A frame of the guest for the place far away."""
        mac = document(1)["port"]["mac_address"]
        return frames.udp(mac, FAR_MAC, "10.0.0.1", FAR_IP, payload=payload)

    def back(self, payload: bytes) -> bytes:
        mac = document(1)["port"]["mac_address"]
        return frames.udp(FAR_MAC, mac, FAR_IP, "10.0.0.1", payload=payload)

    def lie(self, payload: bytes) -> bytes:
        """One of the frames that the guest may not send, each kind in its turn."""
        mac, other = document(1)["port"]["mac_address"], "02:00:00:00:0b:ad"
        kinds = (
            frames.udp(mac, FAR_MAC, "10.0.0.66", FAR_IP, payload=LIE),
            frames.udp(other, FAR_MAC, "10.0.0.1", FAR_IP, payload=LIE),
            frames.arp_request(mac, "10.0.0.66", FAR_IP) + LIE,
            rarp(3, other) + LIE,
            frames.udp(mac, FAR_MAC, "10.0.0.1", FAR_IP, payload=LIE, sport=67, dport=68),
        )
        return kinds[payload[-1] % KINDS] + payload


class _Ears(PacketGuest):
    """Hears what the guest may not send, and nothing else."""

    def drain(self) -> list[bytes]:
        return [frame for frame in super().drain() if LIE in frame]


class Lies(Stream):
    """What the guest may not send; nobody waits for its arrival."""

    def close(self, patience: float = 0.1) -> None:
        super().close(patience)


@contextlib.contextmanager
def talking(scene: Scene, *, lying: bool = True) -> Iterator[tuple[Stream, Stream]]:
    """Frames in both directions every 10 ms.

    :param lying: the guest also sends what it may not; that none of it arrives is looked at after
    """
    with TapGuest(scene.device) as guest, PacketGuest(FAR) as far, _Ears(FAR) as ears:
        until(lambda: "UP" in ip("-br", "link", "show", scene.device), "the tap has a carrier")
        with contextlib.ExitStack() as stack:
            there = stack.enter_context(Stream(guest, far, scene.there))  # type: ignore[arg-type]
            back = stack.enter_context(Stream(far, guest, scene.back))  # type: ignore[arg-type]
            go_on(there, back)
            lies = Lies(guest, ears, scene.lie)  # type: ignore[arg-type]
            if lying:
                stack.enter_context(lies)
                until(lambda: len(lies.sent) > KINDS, "each kind was sent")
            yield there, back
            go_on(there, back)
        assert lies.arrived == {}, f"of {len(lies.sent)} frames that are refused these passed"
        scene.refused += len(lies.sent)


def go_on(*streams: Stream) -> None:
    """Frames of each go on arriving."""
    before = [len(stream.arrived) for stream in streams]
    until(
        lambda: all(len(s.arrived) > n + 20 for s, n in zip(streams, before, strict=True)),
        "frames still pass",
    )


def left_on_switch(ovs: PrivateOvs) -> list[str]:
    """What of port 1 is on the switch: its row, and flows that name it or its number."""
    ports = ovs.vsctl("list-ports", "br-int").split() if "br-int" in ovs.bridges() else []
    found = [name for name in ports if name == f"tap{port_id(1)[:11]}"]
    if "br-int" in ovs.bridges():
        dumped = ovs.ofctl("dump-flows", "br-int", "--no-stats").splitlines()
        mac = document(1)["port"]["mac_address"]
        found += [x.strip() for x in dumped if mac in x or "dl_src=fa:16:3e" in x]
    return found


def _said(*argv: str) -> str:
    """What a program says, whatever becomes of it."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout


def left_on_bridges(device: str, say: Callable[..., str] = _said) -> list[str]:
    """What of a port is left of the kernel's bridges: its rules, its guard, its bridge.

    :param say: runs a program where the port is
    """
    rules = say("nft", "list", "ruleset", "bridge").splitlines()
    found = [line for line in rules if device in line]
    found += say("tc", "filter", "show", "dev", device, "ingress").splitlines()
    devices = say("ip", "-br", "link").splitlines()
    found += [line.split()[0] for line in devices if line.startswith("brq")]
    return found


def make(directory: Path, ovs: PrivateOvs, **more: dict[str, object]) -> Vifd:
    """The daemon."""
    return Vifd(directory, ovs, {**OPTIONS, **more})
