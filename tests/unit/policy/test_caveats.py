"""What a back end cannot tell apart stands in its enforcement report."""

from __future__ import annotations

import pytest

from vifd.capabilities.enforcement import report
from vifd.policy import spoofing
from vifd.testing.attachments import attachment
from vifd_linuxbridge.plugin import LinuxBridgePlugin
from vifd_ovs.bridge.policy_match import expressible
from vifd_ovs.plugin import OvsPlugin
from vifd_vhostuser.plugin import VhostUserPlugin


def note(plugin, **port) -> str:
    entries = report(attachment(1, **port), plugin.describe(), plugin="p")
    return next(e.note for e in entries if e.feature == "port_security")


@pytest.mark.parametrize("plugin", [OvsPlugin, VhostUserPlugin])
def test_open_vswitch(plugin):
    rules = (*spoofing.REFUSED, *spoofing.UNPROVEN, *spoofing.UNADDRESSED, *spoofing.ADDRESSED)
    blind = [rule.what for rule in rules if not expressible(rule.match)]
    assert blind == ["an IGMP query"]
    assert "IGMP queries to one multicast group" in note(plugin)


def test_linux_bridge():
    assert "authentication header" in note(LinuxBridgePlugin)
    assert "IGMP" not in note(LinuxBridgePlugin)


def test_a_port_without_port_security_hears_nothing_of_it():
    assert "IGMP" not in note(OvsPlugin, port_security_enabled=False)
