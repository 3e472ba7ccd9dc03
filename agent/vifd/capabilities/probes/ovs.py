"""Open vSwitch: what its database and its control socket say."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vifd.capabilities import names
from vifd.capabilities.findings import Findings
from vifd.drivers import OpenFlow, Ovsdb, Tracer

#: What connections are followed with: their state, zones that keep networks apart, and marks.
_CONNTRACK = re.compile(r"^(CT (?:state|zone|mark): (Yes|No))", re.MULTILINE)


@dataclass
class OpenVswitch:
    """The switch of this host. What it cannot be asked without a bridge stays unknown.

    :param ours: the integration bridges; the first that is there is asked for its datapath
    """

    ovsdb: Ovsdb
    openflow: OpenFlow
    tracer: Tracer
    ours: Callable[[], Sequence[str]]
    name: str = "openvswitch"
    interval: float = 60.0

    def probe(self, found: Findings) -> None:
        """See :class:`vifd.capabilities.findings.Source`."""
        if not self.ovsdb.connected():
            missing = "Open vSwitch: install openvswitch-switch and start it"
            evidence = "its database cannot be reached ([openvswitch] ovsdb_connection)"
            found.lacks(names.OVS, evidence, missing)
            found.lacks(names.OVS_DPDK, evidence, missing)
            return
        root = self.ovsdb.facts()
        self._root(found, root)
        with found.asking(names.OVS_CONNTRACK, names.OVS_METERS):
            self._datapath(found, root)

    def _root(self, found: Findings, root: dict[str, Any]) -> None:
        version = str(root.get("ovs_version") or "")
        found.has(names.OVS, f"its database tells version {version or 'none'}", version)
        for kind in root.get("datapath_types") or ():
            found.has(names.ovs_datapath(kind), "datapath_types of its database", kind)
        for kind in root.get("iface_types") or ():
            found.has(names.ovs_interface(kind), "iface_types of its database", kind)
        evidence, missing = "it is not in the list in its database", "another Open vSwitch"
        if root.get("datapath_types"):
            found.whole(names.OVS_DATAPATH_PREFIX, evidence, missing)
        if root.get("iface_types"):
            found.whole(names.OVS_INTERFACE_PREFIX, evidence, missing)
        self._dpdk(found, root)

    def _dpdk(self, found: Findings, root: dict[str, Any]) -> None:
        asked = (root.get("other_config") or {}).get("dpdk-init", "not set")
        ready = bool(root.get("dpdk_initialized"))
        evidence = f"dpdk_initialized is {str(ready).lower()}, other_config:dpdk-init is {asked}"
        missing = (
            "an Open vSwitch that is built with DPDK, large pages set aside, then "
            "other_config:dpdk-init=true and a restart of the switch; vifd never sets it"
        )
        found.judge(
            names.OVS_DPDK, ready, evidence, missing, root.get("dpdk_version") if ready else None
        )

    def _datapath(self, found: Findings, root: dict[str, Any]) -> None:
        ours = self.ours()
        bridge = next((b for b in ours if self.ovsdb.bridge(b) is not None), None)
        if bridge is None:
            text = f"it is asked of a bridge, and none is there (of {', '.join(ours) or 'none'})"
            found.unknown(names.OVS_CONNTRACK, text)
            found.unknown(names.OVS_METERS, text)
            return
        answer = self.tracer.call("dpif/show-dp-features", bridge)
        told = _CONNTRACK.findall(answer)
        present = all(word == "Yes" for _, word in told) if told else None
        said = ", ".join(line for line, _ in told) or "nothing told of CT"
        evidence = f"dpif/show-dp-features {bridge}: {said}"
        missing = (
            "a datapath that tracks connections, with zones and marks: the kernel's from 4.3 on "
            "(CONFIG_NF_CONNTRACK_ZONES), or netdev"
        )
        found.judge(names.OVS_CONNTRACK, present, evidence, missing)
        self._meters(found, bridge)

    def _meters(self, found: Findings, bridge: str) -> None:
        count = self.openflow.max_meters(bridge)
        evidence = f"bridge {bridge} tells of {count} meters"
        missing = "a datapath with meters: the kernel's from 4.18 on, or netdev"
        found.judge(names.OVS_METERS, count > 0, evidence, missing, count)
