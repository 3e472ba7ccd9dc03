"""The trunk that a port belongs to, on the pages of ``vifctl``."""

from __future__ import annotations

from unit.api.client import document, uuid
from unit.cli.documents import plug
from vifd.cli.families import MOST, lines
from vifd.model.trunks import SUB_PORT_OWNER

TRUNK = uuid(0xF001)


def parent(*subs: tuple[int, int]):
    raw = document(1)
    raw["port"]["trunk_details"] = {
        "trunk_id": TRUNK,
        "sub_ports": [{"port_id": uuid(n), "segmentation_id": v, "segmentation_type": "vlan"}
                      for n, v in subs],
    }  # fmt: skip
    return raw


def sub_port(number: int):
    raw = document(number)
    raw["port"]["device_owner"] = SUB_PORT_OWNER
    return raw


def relative(number: int, problem: str = ""):
    return {"port": uuid(number), "name": "", "vlan": number, "status": "ACTIVE",
            "problem": problem}  # fmt: skip


def test_on_both_pages(vifctl):
    plug(vifctl, parent((2, 101), (3, 102)), sub_port(2))
    for verb in ("show", "explain"):
        of_parent = " ".join(vifctl("port", verb, uuid(1)).out.replace("|", " ").split())
        assert f"✗ sub-port {uuid(3)}, VLAN 102: not here; no document of it is" in of_parent
        assert f"✓ sub-port {uuid(2)} (web-2), VLAN 101: ACTIVE" in of_parent
        of_child = " ".join(vifctl("port", verb, uuid(2)).out.replace("|", " ").split())
        assert f"✓ sub-port of {uuid(1)} (web-1), VLAN 101: ACTIVE" in of_child
    answer = vifctl("port", "explain", uuid(1), "-f", "json").json["trunk"]
    assert (answer["trunk_id"], answer["parents"], len(answer["sub_ports"])) == (TRUNK, [], 2)


def test_nothing_of_it_on_the_page_of_an_ordinary_port(vifctl):
    plug(vifctl, document(1))
    assert "trunk" not in vifctl("port", "explain", uuid(1)).out
    assert "| trunk" not in vifctl("port", "show", uuid(1)).out
    assert list(lines(None)) == []


def test_of_many_those_that_are_not_as_wanted_come_first():
    subs = [relative(n, "it is gone" if n > 30 else "") for n in range(1, 51)]
    many = {"trunk_id": TRUNK, "parents": [], "sub_ports": subs}
    found = list(lines(many))
    assert len(found) == MOST + 1
    assert all("✗" in line for line in found[:-1])
    assert found[-1].startswith(f"  and {50 - MOST} more, {20 - MOST} of them not as wanted")
    assert list(lines({**many, "sub_ports": []})) == ["  no sub-port"]


def test_a_sub_port_that_nobody_has():
    found = lines({"trunk_id": "", "parents": [], "sub_ports": []})
    assert list(found) == ["✗ sub-port of no port of this host"]


def test_what_others_wrote_is_made_safe():
    bad = {**relative(2), "name": "a\x1b[2J\nb"}
    (line,) = lines({"trunk_id": TRUNK, "parents": [], "sub_ports": [bad]})
    assert "\x1b" not in line
    assert "\n" not in line
