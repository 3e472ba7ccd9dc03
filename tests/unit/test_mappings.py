"""Options that map physical networks."""

from __future__ import annotations

import pytest
from oslo_config import cfg

from vifd.plugin import mappings
from vifd_linuxbridge import options as bridge_options
from vifd_ovs import options as ovs_options
from vifd_vhostuser import options as vhost_options


def test_pairs():
    found = mappings("bridge_mappings", [" physnet1 : br-ex", "b:br-b"])
    assert found == {"physnet1": "br-ex", "b": "br-b"}


@pytest.mark.parametrize("entry", ["physnet1", ":br", "p:", "a:b:c", ""])
def test_malformed(entry):
    with pytest.raises(ValueError, match=r"^bridge_mappings: .*physical_network:bridge"):
        mappings("bridge_mappings", [entry], "bridge")


def test_one_bridge_under_two_names():
    with pytest.raises(
        ValueError, match=r"bridge br-ex is given to a and to b.*a bridge of its own"
    ):
        mappings("bridge_mappings", ["a:br-ex", "b: br-ex"], "bridge")


def test_twice():
    with pytest.raises(ValueError, match=r"^x: p:a and p:b map one physical network twice: take "):
        mappings("x", ["p:a", "p:b"])


BOTH = {
    "a network": ("physnet1:br-ex", "physnet1 is mapped twice, ", "of another name"),
    "a device": ("other:eth1", "eth1 is mapped twice, ", "take the other one out"),
}


@pytest.mark.parametrize(("entry", "what", "mend"), BOTH.values(), ids=BOTH)
def test_in_both_options_of_linux_bridge(entry, what, mend):
    conf = cfg.ConfigOpts()
    conf.register_opts(bridge_options.OPTIONS)
    conf([])
    conf.set_override("physical_interface_mappings", ["more:eth2", "physnet1:eth1"])
    conf.set_override("bridge_mappings", ["flat:br-flat"])
    assert bridge_options.settings(conf).physnets == ["flat", "more", "physnet1"]
    conf.set_override("bridge_mappings", ["flat:br-flat", entry])
    with pytest.raises(ValueError, match=f"^{what}") as refused:
        bridge_options.settings(conf)
    text = str(refused.value)
    for words in ("physical_interface_mappings = physnet1:eth1", f"bridge_mappings = {entry}"):
        assert words in text
    assert text.endswith(mend)


@pytest.mark.parametrize("plugin", [ovs_options, vhost_options], ids=["ovs", "vhostuser"])
def test_a_bridge_in_itself(plugin):
    conf = cfg.ConfigOpts()
    conf.register_opts(plugin.OPTIONS)
    conf([])
    conf.set_override("bridge_mappings", ["physnet1:br-int"])
    conf.set_override("integration_bridge", "br-int")
    with pytest.raises(ValueError, match="physnet1 leads to br-int, which is the integration"):
        plugin.settings(conf)
