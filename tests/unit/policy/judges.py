"""Both back ends as functions from a sender and a frame to a verdict, with the table's ports."""

from __future__ import annotations

from collections.abc import Callable

from functional.spoofing.case import FABRIC, Station, attachments
from support.nftmachine import Machine
from unit.ovs.world import BRIDGE, UPLINK, World, port
from vifd.drivers.nft.objects import Element
from vifd.testing import flowkey
from vifd.testing.attachments import flat
from vifd.testing.nft import FakeNft
from vifd_linuxbridge import ruleset
from vifd_linuxbridge.ruleset import TABLE

#: Whether a frame from the port with a MAC arrives.
Judge = Callable[[str, bytes], bool]


def on_open_vswitch(to: Station) -> Judge:
    """Arrives at a port beside the sender, or at the uplink for the fabric."""
    ports = {mac: port(a) for mac, a in attachments(segment=flat()).items()}
    world = World(ports.values())
    target = UPLINK if to is FABRIC else ports[to.mac].ofport

    def passes(sender: str, frame: bytes) -> bool:
        packet = {**flowkey.parse(frame), "in_port": ports[sender].ofport}
        journey = world.pipeline.send(BRIDGE, packet)
        assert not journey.failure
        assert not journey.ambiguous
        if int.from_bytes(frame[:1]) & 1 or to is FABRIC:
            return target in {sent.port for sent in journey.sent}
        return bool(journey.sent)

    return passes


def on_linux_bridge(to: Station) -> Judge:
    """Gets from the sender's tap to that of a port beside it, or to the uplink."""
    nft = FakeNft()
    taps = {mac: f"tap{n}" for n, mac in enumerate(attachments())}
    filters = [ruleset.port_filter(a, taps[mac], opened=True) for mac, a in attachments().items()]
    nft.apply(TABLE, ruleset.install(filters, ruleset.base(False)))
    elements = {
        (s.name, key): Element(s.name, key, verdict)
        for s in ruleset.SETS
        for key, verdict in nft.list_elements(TABLE, s.name).items()
    }
    machine = Machine(nft.list_chains(TABLE), elements)
    out = "eth1" if to is FABRIC else taps[to.mac]
    return lambda sender, frame: machine.forwards(frame, taps[sender], out)
