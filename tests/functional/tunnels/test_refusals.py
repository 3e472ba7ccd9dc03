"""What a host without a tunnel for a network says, before a port is made and while it stands."""

from __future__ import annotations

from typing import Any

import pytest

from functional.tunnels.hosts import Fabric, VifdHost, behind, joined, underlay_ip
from functional.tunnels.traffic import segment
from vifd.model.sets import Endpoint
from vifd.testing.attachments import attachment


@pytest.fixture
def fabric(leaks):
    with Fabric() as made:
        yield made


def unmet(host: VifdHost, wanted) -> dict[str, str]:
    """The requirements that a host does not meet, with the error's code and text."""
    needs = host.ledger.plugin.requires(wanted)
    return {n.error.code: str(n.error) for n in needs if not n.met and n.error}


def test_needs_of_a_network(fabric):
    wanted = attachment(1, segment=segment(), mtu=1450)
    with VifdHost(fabric, 1, local_ip=[]) as host:
        assert "no local_ip" in unmet(host, wanted)["E_SEG_TYPE_UNSUPPORTED"]
        assert host.ledger.plugin.probe().tunnels == {}
    with VifdHost(fabric, 2, tunnel_types=["gre"]) as host:
        assert "gre" in unmet(host, wanted)["E_SEG_TYPE_UNSUPPORTED"]
        assert {*host.ledger.plugin.probe().tunnels} == {"gre"}
    with VifdHost(fabric, 3) as host:
        assert unmet(host, wanted) == {}
        assert "1450" in unmet(host, attachment(1, segment=segment(), mtu=1451))["E_PLUG_MTU"]
        assert unmet(host, attachment(1, segment=segment("gre"), mtu=1458)) == {}
        assert "E_PLUG_MTU" in unmet(host, attachment(1, segment=segment("gre"), mtu=1459))
        tunnels = host.ledger.plugin.probe().tunnels
        assert (tunnels["vxlan"].mtu, tunnels["gre"].mtu) == (1450, 1458)
        assert tunnels["vxlan"].local_ip == underlay_ip(3)
        assert tunnels["vxlan"].device == "br-und"
    with VifdHost(fabric, 4, version=6) as host:
        assert "1430" in unmet(host, attachment(1, segment=segment(), mtu=1431))["E_PLUG_MTU"]


def test_what_lies_with_the_host_is_told(leaks):
    with joined(1, 2) as (here, _):
        far = Endpoint(address="192.0.2.99")
        here.know(behind(2, 2), far)
        (port_id,) = here.plug(attachment(1, segment=segment(), mtu=1400))
        found = told(here, port_id)
        assert "192.0.2.99" in found["tunnel.route"]
        assert "tunnel.leaving" not in found
        assert "tunnel.arriving" not in found
        here.ip("link", "set", "br-und", "mtu", "1400")
        assert told(here, port_id)["tunnel.mtu"] == 1350
        here.ip("addr", "del", f"{underlay_ip(1)}/24", "dev", "br-und")
        found = told(here, port_id)
        assert underlay_ip(1) in found["tunnel.local_ip"]
        assert "tunnel.leaving" in found
        probe = here.ledger.plugin.probe()
        assert any(underlay_ip(1) in reason for reason in probe.reasons)
        assert probe.tunnels["vxlan"].up is False
        here.options["local_ip"] = []
        here.restart()
        assert told(here, port_id)["tunnel.type"] == []


def told(host: VifdHost, port_id: str) -> dict[str, Any]:
    """What somebody who asks is told of a port."""
    reports = host.space.run(lambda: host.ledger.check(port_id, thorough=True))
    return {e.fact: e.have for e in reports[port_id].findings}
