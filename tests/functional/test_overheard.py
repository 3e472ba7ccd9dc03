"""What rules of the packet filter hand over, on a real kernel: frames, limits, who may listen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functional.groups.packets import first
from functional.groups.table import PEER, PORT
from functional.linux_scene import LinuxScene
from vifd.drivers.nft.driver import Nft
from vifd.drivers.nft.objects import COPIED, Chain, Change, Element, Overheard
from vifd.errors import BackendUnavailable
from vifd.policy import headers
from vifd.policy.logged import Logged
from vifd.policy.rule import Direction
from vifd.testing import frames as f
from vifd.testing.attachments import attachment
from vifd.testing.guests import TapGuest
from vifd.testing.wait import until
from vifd_linuxbridge import groupbase, telling
from vifd_linuxbridge.groupbase import Judged
from vifd_linuxbridge.telling import Told, Word

TABLE, NOBODY = "vifd-test", dict.fromkeys(Direction, ())


@pytest.fixture
def scene() -> Iterator[LinuxScene]:
    with LinuxScene() as scene:
        yield scene
        scene.nft.delete_table(TABLE)


@pytest.fixture
def heard(scene: LinuxScene) -> list[Overheard]:
    found: list[Overheard] = []
    scene.nft.overhear(found.append)
    return found


def refuse(scene: LinuxScene, *ports: str, rate: int = 1000, burst: int = 1000) -> None:
    """Hold ports to no group at all, and log what that refuses: it takes no connections."""
    logged = Logged(dropped=True)
    chains = [c for c in groupbase.base() if c.name != "track"]
    elements: list[Element] = []
    for port in ports:
        device = scene.device(port)
        judged = Judged(1, NOBODY, NOBODY).with_logs(port, logged, rate, burst)
        rules = telling.port_rules(device, judged)
        chains += [Chain(name, made) for name, made in rules.items()]
        elements += groupbase.elements(device)
    scene.nft.apply(TABLE, Change(sets=groupbase.SETS, chains=chains, add=elements))


def pair(scene: LinuxScene) -> tuple[list[str], list[TapGuest]]:
    wanted = [attachment(1), attachment(2)]
    return [a.id for a in wanted], scene.guests(*wanted)


def test_what_is_refused_is_handed_over_with_who_and_which_way(
    scene: LinuxScene, heard: list[Overheard]
) -> None:
    ids, guests = pair(scene)
    refuse(scene, ids[0])
    long = f.udp(PORT.mac, PEER.mac, PORT.ip4, PEER.ip4, sport=900, dport=9, payload=bytes(1000))
    out = [long, *(first("tcp:80", PORT, PEER, version, 901) for version in (4, 6))]
    inward = [first("udp:53", PEER, PORT, version, 902) for version in (4, 6)]
    guests[0].send(f.arp_request(PORT.mac, PORT.ip4, PEER.ip4))  # which every guest needs
    for frame in out:
        guests[0].send(frame)
    for frame in inward:
        guests[1].send(frame)
    until(lambda: len(heard) == 5, "five frames", told=lambda: heard)
    told = [(telling.told(one), one.length) for one in heard]
    expected = [(Told(ids[0], Word.DROP, Direction.EGRESS), len(frame)) for frame in out]
    expected += [(Told(ids[0], Word.DROP, Direction.INGRESS), len(frame)) for frame in inward]
    assert sorted(map(str, told)) == sorted(map(str, expected))
    for one, frame in zip(heard, [*out, *inward], strict=True):
        assert one.frame == frame[: 14 + COPIED]
        assert headers.read(one.frame) == headers.read(frame)


def test_no_more_than_the_limit_and_the_rest_is_counted(
    scene: LinuxScene, heard: list[Overheard]
) -> None:
    ids, guests = pair(scene)
    refuse(scene, ids[0], rate=1, burst=5)
    chain = telling.dropped_chain(scene.device(ids[0]))
    for number in range(50):
        guests[0].send(first("tcp:80", PORT, PEER, 4, 1000 + number))

    def kept() -> int:
        return scene.nft.counted(TABLE, [chain])[chain][0]

    until(lambda: len(heard) + kept() == 50, "each is heard or counted",
          told=lambda: (len(heard), kept()))  # fmt: skip
    assert len(heard) >= 5
    assert kept() >= 1


def test_one_program_alone_hears_and_others_are_told(isolated: object) -> None:
    one, other = Nft(), Nft()
    try:
        one.overhear(lambda _: None)
        assert one.deafened() is None
        assert "another program" in (other.deafened() or "")
        with pytest.raises(BackendUnavailable, match="another program"):
            other.overhear(lambda _: None)
        one.close()
        assert other.deafened() is None
    finally:
        other.close()
