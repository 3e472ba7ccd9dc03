"""A port with security groups that the journal lost keeps its rules until it is taken over."""

from __future__ import annotations

from functional.groups.packets import first
from functional.groups.rig import FakeRig
from functional.groups.table import GROUP, PEER, PORT
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, flat

RULE = {"direction": "ingress", "protocol": "udp", "port_range_min": 53, "port_range_max": 53}


def heard(rig: FakeRig, sport: int) -> list[bool]:
    """Unicast and broadcast to the port that a rule is for, and to one that none is for."""
    return [
        rig.arrives("peer", frame, "port")
        for dport in (53, 54)
        for frame in (
            first(f"udp:{dport}", PEER, PORT, 4, sport),
            f.udp(PEER.mac, f.BROADCAST, PEER.ip4, "255.255.255.255", sport=sport, dport=dport),
        )
    ]


def test_it_keeps_them():
    with FakeRig() as rig:
        rig.say(GROUP, RULE)
        rig.plug(port=attachment(1, segment=flat(), security_groups=[GROUP]),
                 peer=attachment(2, segment=flat()))  # fmt: skip
        assert heard(rig, 900) == [True, True, False, False]
        number = rig.number("port")
        del rig.ledger.records[rig.names["port"]]
        rig.restart()
        numbers = {"port": number}
        known = rig.number
        rig.number = lambda name: numbers.get(name) or known(name)  # type: ignore[method-assign]
        assert not rig.ledger.plug(attachment(3, segment=flat()))
        assert not rig.ledger.findings()
        assert heard(rig, 901) == [True, True, False, False]
        rig.tell(rig.sets.group(GROUP))
        assert not rig.ledger.plug(attachment(4, segment=flat(), security_groups=[GROUP]))
        assert heard(rig, 902)[2:] == [False, False]
