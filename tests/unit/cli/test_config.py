"""``vifctl config from-neutron``: the stock agent's files, read as it reads them."""

import configparser
from pathlib import Path

import pytest

from vifd.cli import stockconf
from vifd.cli.app import Vifctl

NEUTRON = """
[DEFAULT]
host = compute-7
my_ip = 192.0.2.7
transport_url = rabbit://n:p%40ss@broker:5672/neutron
[agent]
report_interval = 15
[oslo_messaging_rabbit]
rabbit_quorum_queue = true
"""
OVS = """
[ovs]
local_ip = $my_ip
integration_bridge = br-x
bridge_mappings = physnet1:br-a,
    physnet2:br-b
[AGENT]
tunnel_types = vxlan,gre
l2_population = True
[securitygroup]
firewall_driver = openvswitch
"""


def made(*texts: str) -> stockconf.Made:
    return stockconf.configuration(stockconf.Files((f"f{n}", t) for n, t in enumerate(texts)))


def test_both_files_in_one():
    groups = made(NEUTRON, OVS).groups
    assert groups["DEFAULT"]["host"] == "compute-7"
    assert groups["network"] == {"service": "neutron"}
    assert (
        groups["network_neutron"]
        | {
            "transport_url": "rabbit://n:p%40ss@broker:5672/neutron",
            "report_interval": "15",
            "tunnel_types": "vxlan,gre",
            "local_ip": "192.0.2.7",
            "l2_population": "True",
            "security_groups": "true",
        }
        == groups["network_neutron"]
    )
    # The driver reports it, the plugin does it.
    assert groups["ovs"] | {"tunnel_types": "vxlan,gre", "local_ip": "192.0.2.7"} == groups["ovs"]
    assert groups["ovs"]["bridge_mappings"] == "physnet1:br-a, physnet2:br-b"
    assert groups["oslo_messaging_rabbit"] == {"rabbit_quorum_queue": "true"}


def test_the_later_file_wins_and_groups_are_named_in_any_case():
    groups = made("[agent]\nreport_interval=5\n", "[AGENT]\nreport_interval=9\n").groups
    assert groups["network_neutron"]["report_interval"] == "9"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${my_ip}", "192.0.2.7"),
        ("$DEFAULT.my_ip", "192.0.2.7"),
        ("$none", "$none"),
        ("a$$b", "a$b"),
    ],
)
def test_references_are_those_of_oslo_config(text, value):
    files = stockconf.Files([("f", f"[DEFAULT]\nmy_ip=192.0.2.7\n[ovs]\nlocal_ip={text}\n")])
    assert files.get("ovs", "local_ip") == value


def test_what_refers_to_itself_ends():
    files = stockconf.Files([("f", "[DEFAULT]\na=$b\nb=$a\n")])
    assert (files.get("DEFAULT", "a") or "").startswith("$")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("firewall_driver = noop", "false"),
        ("firewall_driver = neutron.agent.firewall.NoopFirewallDriver", "false"),
        ("firewall_driver = iptables_hybrid", "true"),
        ("firewall_driver = openvswitch\nenable_security_group = False", "false"),
        ("", "true"),
    ],
)
def test_groups_are_in_force_as_they_were(text, value):
    groups = made(f"[securitygroup]\n{text}\n").groups
    assert groups["network_neutron"]["security_groups"] == value


def test_what_has_no_counterpart_is_told():
    text = "[agent]\nenable_distributed_routing=True\nextensions=qos,log\n"
    remarks = made(text + "[securitygroup]\nfirewall_driver=iptables_hybrid\n").remarks
    assert len(remarks) == 3
    assert remarks[0].startswith("[AGENT] enable_distributed_routing = True: ")
    assert made("[agent]\nenable_distributed_routing=False\nextensions=qos\n").remarks == []


def test_the_text_is_read_back_as_it_was_meant():
    text = made("[DEFAULT]\ntransport_url = rabbit://u:a$$b@h/\n").text()
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    assert parser["network_neutron"]["transport_url"] == "rabbit://u:a$$b@h/"


def test_the_command_prints_it_and_tells_the_rest(tmp_path: Path, capsys):
    file = tmp_path / "agent.ini"
    file.write_text(NEUTRON + OVS.replace("= openvswitch", "= iptables_hybrid"))
    assert Vifctl().run(["config", "from-neutron", str(file)]) == 0
    told = capsys.readouterr()
    assert "[network]\nservice = neutron\n" in told.out
    assert "# Not carried over: [securitygroup]" in told.out
    assert "not carried over: [securitygroup] firewall_driver" in told.err


def test_a_file_that_is_none_is_wrong_use(tmp_path: Path, capsys):
    file = tmp_path / "agent.ini"
    file.write_text("bridge_mappings\n[ovs\n")
    assert Vifctl().run(["config", "from-neutron", str(file)]) == 2
    assert Vifctl().run(["config", "from-neutron", str(tmp_path / "none")]) == 2
    assert "vifctl: " in capsys.readouterr().err
