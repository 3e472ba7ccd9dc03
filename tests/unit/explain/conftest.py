"""What plugins declare of their facts is known, and as it was afterwards."""

from __future__ import annotations

import pytest

from vifd.explain import causes
from vifd.plugin import VifPlugin
from vifd_linuxbridge.plugin import LinuxBridgePlugin
from vifd_ovn.plugin import OvnPlugin
from vifd_ovs.plugin import OvsPlugin
from vifd_vhostuser.plugin import VhostUserPlugin

PLUGINS: dict[str, type[VifPlugin]] = {
    "ovs": OvsPlugin,
    "vhostuser": VhostUserPlugin,
    "linuxbridge": LinuxBridgePlugin,
    "ovn": OvnPlugin,
}


@pytest.fixture(autouse=True)
def _plugins_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {name: causes.Causes(plugin.meanings()) for name, plugin in PLUGINS.items()}
    monkeypatch.setattr(causes, "_declared", declared)
