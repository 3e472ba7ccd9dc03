"""Giving adopted ports back on a real switch with the whole daemon: they change hands while frames
pass, and none is lost."""

from __future__ import annotations

import contextlib
from typing import Any

from functional.test_adopt import (
    adopt,
    foreign,
    go_on,
    hello,
    machine,
    mapped,
    on_physnet,
    pair,
    reaches,
    vifd,
)
from support.stream import Stream
from unit.docs import document, port_id
from vifd.testing.daemon import Vifd
from vifd.testing.nursery import Nursery
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

__all__ = ["foreign", "machine", "mapped", "pair", "vifd"]


def release(vifd: Vifd, number: int, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    return vifd.call("POST", f"/v1/ports/{port_id(number)}/release?wait=gone&timeout=60", body)


def rows(ovs: PrivateOvs, name: str) -> list[str]:
    """Everything of a port that somebody set."""
    interface = [ovs.vsctl("get", "Interface", name, column).strip()
                 for column in ("external_ids", "ofport", "ofport_request", "mtu_request", "type",
                                "options", "mac_in_use")]  # fmt: skip
    return [*interface, ovs.vsctl("get", "Port", name, "tag").strip()]


def flows(ovs: PrivateOvs) -> str:
    """The flows of ports and networks of ours; those of the bridge stay."""
    dumped = ovs.ofctl("dump-flows", "br-int", "--no-stats").splitlines()
    # by what vifd itself asks the switch, no frame comes in
    dumped = [x for x in dumped if "in_port=CONTROLLER" not in x]
    return "\n".join(x for x in dumped if "cookie=0x76" in x and ("reg6" in x or "in_port" in x))


def test_no_frame_is_lost(ovs, machine, vifd, pair):
    """First one, while the other is still ours; then the other. Both are as they were."""
    one, two = pair
    names = ("tapone", "qvotwo")
    before = {name: rows(ovs, name) for name in names}
    links = machine.drivers.links.get(names)
    with Stream(one, two, hello(1, 2)) as there, Stream(two, one, hello(2, 1)) as back:
        until(lambda: len(there.arrived) > 20 and len(back.arrived) > 20, "frames pass")
        for number in (1, 2):
            assert adopt(vifd, number)[0] == 201
        assert {name: rows(ovs, name) for name in names} != before
        for number in (1, 2):
            assert release(vifd, number) == (204, None)
            go_on(there, back)
    assert there.lost == back.lost == []
    until(lambda: {name: rows(ovs, name) for name in names} == before, "the rows are as they were")
    for name, link in machine.drivers.links.get(names).items():
        was = links[name]
        assert (link.alias, link.mac, link.ifindex) == (was.alias, was.mac, was.ifindex)
    assert flows(ovs) == ""
    assert vifd.get("/v1/ports")["ports"] == []
    garbage = vifd.get("/v1/garbage")
    assert (garbage["orphans"], garbage["suspects"]) == ([], [])
    assert release(vifd, 1)[0] == 404


def test_no_frame_is_lost_where_networks_meet_on_a_physical_bridge(ovs, mapped, vifd):
    one, two = mapped
    before = {name: rows(ovs, name) for name in ("tapone", "taptwo")}
    with Stream(one, two, hello(1, 2)) as there, Stream(two, one, hello(2, 1)) as back:
        until(lambda: len(there.arrived) > 20 and len(back.arrived) > 20, "frames pass")
        for number in (1, 2):
            assert adopt(vifd, number, on_physnet(number))[0] == 201
        go_on(there, back)
        for number in (1, 2):
            assert release(vifd, number)[0] == 204
            go_on(there, back)
    assert there.lost == back.lost == []
    until(lambda: {n: rows(ovs, n) for n in before} == before, "the rows are as they were")


def test_a_guest_that_only_listens_is_reached_all_the_same(ovs, mapped, vifd):
    """The physical bridge has learned that its MAC is behind our patch port, and hears nothing
    else from the guest."""
    one, two = mapped
    reaches(two, one, hello(2, 1))
    assert adopt(vifd, 1, on_physnet(1))[0] == 201
    with Stream(two, one, hello(2, 1)) as back:
        until(lambda: len(back.arrived) > 20, "frames pass")
        assert release(vifd, 1)[0] == 204
        go_on(back)
    assert back.lost == []


def test_one_that_vifd_made_is_left_only_by_force(ovs, machine, vifd, pair):
    assert adopt(vifd, 1)[0] == 201
    status, port = vifd.plug(document(3))
    assert status == 201
    name = port["device"]
    status, error = release(vifd, 3)
    assert (status, error["code"]) == (409, "E_RELEASE_UNFIT")
    assert "vifd made it" in error["message"]
    assert release(vifd, 3, {"force": True})[0] == 204
    link = machine.drivers.links.get([name])[name]
    try:
        assert link.alias == ""
        assert name in ovs.vsctl("list-ports", "br-int").split()
        assert "vifd" not in ovs.vsctl("get", "Interface", name, "external_ids")
    finally:
        ovs.vsctl("del-port", name)
        # it is nobody's now, so the driver would not remove it
        machine.drivers.links.remark({name: (link.ifindex, f"vifd:{port_id(3)}")})
        machine.drivers.links.delete([name])


#: No release takes more effects than this.
MOST = 12


def test_killed_anywhere_it_converges_and_no_frame_is_lost(ovs, vifd, mapped, nursery: Nursery):
    """Dead before an effect is dead after the one before it."""
    one, two = mapped
    before = rows(ovs, "tapone")
    reaches(one, two, hello(1, 2))
    vifd.stop()
    reached = 0
    with Stream(one, two, hello(1, 2)) as there, Stream(two, one, hello(2, 1)) as back:
        for fatal in range(1, MOST):
            killed = _released_under_fire(vifd, nursery, fatal)
            with contextlib.closing(nursery.start(vifd)) as life:
                until(lambda: vifd.get("/v1/ports")["ports"] == [], "it is given back")
                until(lambda: rows(ovs, "tapone") == before, "it is as it was")
                assert flows(ovs).count("in_port") <= 1, "the guard of the patch port alone"
                go_on(there, back)
                life.stop()
            if not killed:
                break
            reached = fatal
    vifd.start()
    assert 3 <= reached < MOST - 1
    assert there.lost == back.lost == []


def _released_under_fire(vifd: Vifd, nursery: Nursery, fatal: int) -> bool:
    """Adopt port 1 and release it on a daemon that dies at an effect; whether it came to that."""
    with contextlib.closing(nursery.start(vifd)) as life:
        assert adopt(vifd, 1, on_physnet(1))[0] == 201
        life.order(fatal, "after")
        # The connection dies with the daemon.
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            assert release(vifd, 1)[0] == 204
        killed = len(life.effects) >= fatal
        if killed:
            life.wait()
        else:
            life.stop()
        return killed
