"""What nova says of a port is all that is needed on a host that OVN wires."""

from __future__ import annotations

from functional.test_ovn import Host, doc, host, pings, tap
from unit.docs import port_id
from vifd.testing.guests import TapGuest

__all__ = ["host"]


def test_computes_part_alone_makes_a_port_that_ovn_wires(host: Host) -> None:
    for number in (1, 2):
        wanted = doc(number)
        said = {
            "version": "1.0", "instance": wanted["instance"], "vif_type": "ovs",
            "mac_address": wanted["port"]["mac_address"], "mtu": wanted["network"]["mtu"],
            "network_id": wanted["network"]["id"], "device": tap(number),
        }  # fmt: skip
        path = f"/v1/ports/{port_id(number)}/instance"
        status, answer = host.vifd.call(
            "PUT", f"{path}?wait=active&timeout=60&take_over=true", said
        )
        assert status in (200, 201), answer
        assert (answer["plugin"], answer["status"]) == ("ovn", "ACTIVE")
    with TapGuest(tap(1)) as one, TapGuest(tap(2)) as two:
        host.ovs.wait_for_carrier(tap(1), tap(2))
        pings(one, two, 1, 2)
    assert host.vifd.call("DELETE", f"/v1/ports/{port_id(1)}/instance?wait=gone")[0] == 204
    assert host.vifd.call("GET", f"/v1/ports/{port_id(1)}")[0] == 404
