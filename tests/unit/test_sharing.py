"""Options of one bridge that two plugins have: said in one group, they hold for both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from vifd.daemon import config, parts
from vifd.daemon.rereading import Configuration
from vifd.plugin import Sharing, VifPlugin
from vifd.testing.plugin import FakePlugin
from vifd_ovs import options as ovs_options
from vifd_ovs.bridge import overlay
from vifd_ovs.plugin import OvsPlugin
from vifd_vhostuser import options as vhost_options
from vifd_vhostuser.plugin import VhostUserPlugin

BOTH: tuple[type[VifPlugin], ...] = (VhostUserPlugin, OvsPlugin)
SETTINGS: dict[type[VifPlugin], Any] = {
    OvsPlugin: ovs_options.settings, VhostUserPlugin: vhost_options.settings,
}  # fmt: skip


def load(path: Path, text: str) -> Any:
    file = path / "agent.conf"
    file.write_text(text)
    return config.load(["--config-file", str(file)], cfg.ConfigOpts())


def read(path: Path, text: str, used: tuple[type[VifPlugin], ...] = BOTH) -> dict[str, Any]:
    """The settings of each plugin in use, as the daemon makes them."""
    conf = load(path, text)
    shared = config.share(conf, used)
    groups = {cls: config.register_plugin(conf, cls, shared) for cls in used}
    return {cls.plugin_name: SETTINGS[cls](group) for cls, group in groups.items()}


#: Of every option: what is said of it, and where it is found in the settings.
SAID = {
    "integration_bridge": ("br-x", lambda s: s.bridge == "br-x"),
    "create_bridge": ("false", lambda s: s.create_bridge is False),
    "secure_bridge": ("true", lambda s: s.secure is True),
    "bridge_mappings": ("physnet1:br-ex", lambda s: s.mappings == {"physnet1": "br-ex"}),
    "ofport_range": ("9-11", lambda s: s.ofports == (9, 11)),
    "local_ip": ("192.0.2.1", lambda s: s.overlay.local == {4: "192.0.2.1"}),
    "tunnel_types": ("gre", lambda s: s.overlay.types == ("gre",)),
    "vxlan_udp_port": ("8472", lambda s: s.overlay.udp["vxlan"] == 8472),
    "geneve_udp_port": ("6082", lambda s: s.overlay.udp["geneve"] == 6082),
    "dont_fragment": ("false", lambda s: s.overlay.dont_fragment is False),
    "tunnel_csum": ("true", lambda s: s.overlay.checksum is True),
}  # fmt: skip


def test_every_option_of_the_bridge_is_shared() -> None:
    sharing = vhost_options.SHARING
    assert set(SAID) == sharing.options | {sharing.object}
    assert {option.dest for option in overlay.OPTIONS} <= set(SAID)


@pytest.mark.parametrize("name", SAID)
def test_what_one_group_says_holds_for_both(tmp_path: Path, name: str) -> None:
    value, holds = SAID[name]
    found = read(tmp_path, f"[ovs]\n{name} = {value}\n")
    assert holds(found["ovs"])
    assert holds(found["vhostuser"])
    found = read(tmp_path, f"[vhostuser]\n{name} = {value}\n")
    assert holds(found["vhostuser"])
    # the bridge is named by the group of its own plugin alone: another name is another bridge
    assert holds(found["ovs"]) is (name != "integration_bridge")


@pytest.mark.parametrize("name", SAID)
def test_a_plugin_that_is_not_in_use_says_nothing(tmp_path: Path, name: str) -> None:
    value, holds = SAID[name]
    assert not holds(read(tmp_path, f"[ovs]\n{name} = {value}\n", BOTH[:1])["vhostuser"])
    assert not holds(read(tmp_path, f"[vhostuser]\n{name} = {value}\n", BOTH[1:])["ovs"])


@pytest.mark.parametrize("name", sorted(vhost_options.SHARING.options))
def test_another_bridge_has_its_own(tmp_path: Path, name: str) -> None:
    value, holds = SAID[name]
    other = "[vhostuser]\nintegration_bridge = br-dpdk\n"
    found = read(tmp_path, f"[ovs]\n{name} = {value}\n{other}")
    assert not holds(found["vhostuser"])
    found = read(tmp_path, f"{other}{name} = {value}\n")
    assert not holds(found["ovs"])


#: What stands for the default of each, said by an operator.
ELSE = {
    "create_bridge": "true", "secure_bridge": "false", "bridge_mappings": "",
    "local_ip": "192.0.2.2", "tunnel_types": "vxlan,gre,geneve", "vxlan_udp_port": "4789",
    "geneve_udp_port": "6081", "dont_fragment": "true", "tunnel_csum": "false",
}  # fmt: skip


@pytest.mark.parametrize("name", ELSE)
def test_a_contradiction_names_both_options(tmp_path: Path, name: str) -> None:
    text = f"[ovs]\n{name} = {SAID[name][0]}\n[vhostuser]\n{name} = {ELSE[name]}\n"
    with pytest.raises(cfg.Error) as caught:
        read(tmp_path, text)
    for said in (f"[ovs] {name} is ", f"[vhostuser] {name} is ", "integration_bridge br-int"):
        assert said in str(caught.value)
    # of two bridges both hold, and so they do where only one of the plugins is in use
    read(tmp_path, f"{text}integration_bridge = br-dpdk\n")
    read(tmp_path, text, BOTH[:1])


def test_the_same_said_otherwise_is_no_contradiction(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "[ovs]\nbridge_mappings = a:br-a, b:br-b\nlocal_ip = 192.0.2.1,fd31::1\n"
        "tunnel_types = gre,vxlan\nofport_range = 9-11\nintegration_bridge = br-int\n"
        "[vhostuser]\nbridge_mappings = b : br-b,a:br-a\nlocal_ip = FD31:0::1,192.0.2.1\n"
        "tunnel_types = vxlan,gre\nofport_range = 20-30\nmax_queues = 2\nport_timeout = 30\n",
    )
    assert found["ovs"].mappings == found["vhostuser"].mappings
    # ranges of numbers, queues and deadlines are each plugin's own
    assert [found[name].ofports for name in ("ovs", "vhostuser")] == [(9, 11), (20, 30)]
    assert [found[name].max_queues for name in ("ovs", "vhostuser")] == [8, 2]
    assert [found[name].port_timeout for name in ("ovs", "vhostuser")] == [10.0, 30.0]


@pytest.mark.parametrize("group", ["ovs", "vhostuser"])
def test_a_bad_value_is_met_by_the_plugins_not_by_the_daemon(tmp_path: Path, group: str) -> None:
    conf = load(
        tmp_path, f"[{group}]\ntunnel_types = token-ring\nintegration_bridge = {'x' * 16}\n"
    )
    shared = config.share(conf, BOTH)
    cls = {cls.plugin_name: cls for cls in BOTH}[group]
    with pytest.raises(cfg.Error, match=r"token-ring|x{16}"):
        SETTINGS[cls](config.register_plugin(conf, cls, shared))


def test_a_reload_with_a_contradiction_keeps_the_old(tmp_path: Path) -> None:
    conf = load(tmp_path, "[ovs]\nlocal_ip = 192.0.2.1\n")
    shared = config.share(conf, BOTH)
    configuration = Configuration(conf)

    def judge(fresh: Any) -> parts.Changeable:
        config.agree(fresh, shared)
        return parts.Changeable.of(fresh)

    text = "[engine]\ncheck_interval = 7\n[ovs]\nlocal_ip = 192.0.2.1\n[vhostuser]\nlocal_ip = "
    (tmp_path / "agent.conf").write_text(f"{text}192.0.2.2\n")
    assert configuration.again(judge) is None
    assert "[vhostuser] local_ip is 192.0.2.2" in configuration.reading.problem
    assert conf.engine.check_interval == 60
    (tmp_path / "agent.conf").write_text(f"{text}192.0.2.1\n")
    new = configuration.again(judge)
    assert new is not None
    assert new.check_interval == 7


class Broken(FakePlugin):
    plugin_name = "broken"
    shares = Sharing("ovs", "integration_bridge", frozenset({"local_ip", "no_such"}))

    @classmethod
    def options(cls) -> list[cfg.Opt]:
        raise RuntimeError("none today")


class Strange(FakePlugin):
    plugin_name = "strange"
    shares = "ovs"  # type: ignore[assignment]


def test_a_plugin_that_fails_costs_itself_alone(tmp_path: Path) -> None:
    conf = load(tmp_path, "[ovs]\nlocal_ip = 192.0.2.1\n")
    (pair,) = config.share(conf, [Broken, Strange, *BOTH])
    assert pair.group == "vhostuser"
