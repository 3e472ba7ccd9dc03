"""Physical networks, tunnels and vnic types, as the plugins' own probes tell them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vifd.capabilities import names
from vifd.capabilities.findings import Findings
from vifd.plugin import Advert, Health, Probe, Uplink


@dataclass
class Networks:
    """What the plugins reach. Everything is in memory already.

    :param probes: the last answers of the plugins' probes; none of those not probed yet
    :param installed: every plugin that was admitted, with its advert
    """

    probes: Callable[[], Mapping[str, Probe]]
    installed: Callable[[], Mapping[str, Advert]]
    name: str = "plugins"
    interval: float = 60.0

    def probe(self, found: Findings) -> None:
        """See :class:`vifd.capabilities.findings.Source`."""
        probes, adverts = self.probes(), self.installed()
        _ways(found, "physical network", names.physnet, _by_name(probes, "physical_networks"))
        _ways(found, "tunnel type", names.tunnel, _by_name(probes, "tunnels"))
        self._vnic_types(found, probes, adverts)
        self._memory(found, probes)
        if set(probes) >= set(adverts):
            mapping = "bridge_mappings or physical_interface_mappings of a plugin in agent.conf"
            found.whole(names.PHYSNET_PREFIX, "no plugin maps it", mapping)
            found.whole(names.TUNNEL_PREFIX, "no plugin has an endpoint", "local_ip in agent.conf")
            found.whole(names.VNIC_TYPE_PREFIX, "no plugin serves it", "a plugin that does")

    # A plugin that is taken on request only makes no promise for others.
    def _vnic_types(
        self, found: Findings, probes: Mapping[str, Probe], adverts: Mapping[str, Advert]
    ) -> None:
        served: dict[str, list[str]] = {}
        for plugin, probe in probes.items():
            if plugin in adverts and not adverts[plugin].on_request:
                for kind in adverts[plugin].vnic_types:
                    able = probe.health is not Health.UNAVAILABLE
                    served.setdefault(kind, []).extend([plugin] * able)
        for kind, plugins in sorted(served.items()):
            evidence = f"plugins that serve it and are usable: {', '.join(plugins) or 'none'}"
            missing = "a usable plugin; see what each of them lacks"
            found.judge(names.vnic_type(kind), bool(plugins), evidence, missing, plugins)

    def _memory(self, found: Findings, probes: Mapping[str, Probe]) -> None:
        option = "file_backed_memory"
        told = {
            p: bool(probe.facts[option]) for p, probe in probes.items() if option in probe.facts
        }
        if told:
            evidence = ", ".join(f"[{p}] {option} = {str(v).lower()}" for p, v in told.items())
            missing = f"a hypervisor that backs every guest's memory by files; then {option} = true"
            found.judge(names.FILE_BACKED_MEMORY, any(told.values()), evidence, missing)


#: By name, by plugin.
_Ways = Mapping[str, Mapping[str, Uplink]]


def _by_name(probes: Mapping[str, Probe], which: str) -> _Ways:
    ways: dict[str, dict[str, Uplink]] = {}
    for plugin, probe in probes.items():
        for name, uplink in getattr(probe, which).items():
            ways.setdefault(name, {})[plugin] = uplink
    return ways


def _ways(found: Findings, kind: str, call: Callable[[str], str], ways: _Ways) -> None:
    for name, uplinks in sorted(ways.items()):
        states = [uplink.up for uplink in uplinks.values()]
        present = any(up is not False for up in states)
        value = {plugin: _value(uplink) for plugin, uplink in uplinks.items()}
        evidence = f"{kind} {name}: {'; '.join(_words(uplinks.items()))}"
        missing = "; ".join(dict.fromkeys(u.problem for u in uplinks.values() if u.problem))
        found.judge(call(name), present, evidence, missing, value)


def _value(uplink: Uplink) -> dict[str, Any]:
    value: dict[str, Any] = {"device": uplink.device, "up": uplink.up, "mtu": uplink.mtu}
    if uplink.local_ip:
        value["local_ip"] = uplink.local_ip
    if uplink.devices:
        value["devices"] = list(uplink.devices)
    if uplink.problem:
        value["problem"] = uplink.problem
    return value


def _words(uplinks: Iterable[tuple[str, Uplink]]) -> list[str]:
    link = {True: "up", False: "down", None: "link unknown"}
    return [
        f"{plugin} by {u.device}, {link[u.up]}, MTU {u.mtu or 'unknown'}" for plugin, u in uplinks
    ]
