"""Who holds a port to what it asks for, by plugin and by what its host has: the report, and the
refusal where the document must have it.

One line per host; a feature that is not named there is enforced. Minimum bandwidth is held by
nobody (docs/design/qos.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from contract import linuxbridge, noop, ovn, ovs, vhostuser
from functional.trunks.documents import details
from vifd.capabilities.enforcement import Level, report, unmet
from vifd.drivers.nft.expr import Over
from vifd.model import Attachment
from vifd.model.sets import GroupLog
from vifd.plugin import Advert, Host, VifPlugin
from vifd.testing.attachments import attachment, vlan
from vifd.testing.machines import FakeMachine

GROUP = "11111111-0000-4000-8000-000000000001"
LOG = "security_group_log"
LIMITS = tuple(f"qos.{kind}_limit.{way}" for kind in ("bandwidth", "packet_rate")
               for way in ("egress", "ingress"))  # fmt: skip
MARK, MINIMUM = "qos.dscp_marking.egress", "qos.minimum_bandwidth.egress"
GROUPS, TRUNK, TRANSPARENT, QINQ = "security_groups", "trunk", "vlan_transparent", "qinq"
EVERY = (*LIMITS, MARK, MINIMUM, GROUPS, LOG, TRUNK, TRANSPARENT, QINQ)
POLICY = {"rules": [
    *({"type": "bandwidth_limit", "max_kbps": 5000, "direction": d} for d in ("egress", "ingress")),
    *({"type": "packet_rate_limit", "max_kpps": 3, "direction": d} for d in ("egress", "ingress")),
    {"type": "dscp_marking", "dscp_mark": 46},
    {"type": "minimum_bandwidth", "min_kbps": 5},
]}  # fmt: skip


def no_limits(machine: FakeMachine) -> None:
    machine.nft.unknown = (Over,)


class Row(NamedTuple):
    """A host.

    :param make: the plugin
    :param lacks: what of the machine is not to be had
    :param without: by features that nobody enforces there, words of the reason
    """

    make: Callable[[Host], VifPlugin]
    lacks: Callable[[FakeMachine], object]
    without: Mapping[str, str]


def _vhostuser(host: Host) -> VifPlugin:
    return vhostuser.plugin(host, Path("/run/vifd-test"))


def whole(_: FakeMachine) -> None:
    """Nothing lacks."""


def no_meters(machine: FakeMachine) -> None:
    machine.openflow.most_meters = 0


def kernel_lacks(*what: str) -> Callable[[FakeMachine], None]:
    def lack(machine: FakeMachine) -> None:
        machine.bridging._missing.update(what)

    return lack


def nft_lacks(**what: str) -> Callable[[FakeMachine], None]:
    def lack(machine: FakeMachine) -> None:
        for name, text in what.items():
            setattr(machine.nft, name, text)

    return lack


def two_tags(machine: FakeMachine) -> None:
    """The switch looks beneath two VLAN tags."""
    machine.ovsdb.root["other_config"] = {"vlan-limit": "2"}


def _both(*changes: Callable[[FakeMachine], object]) -> Callable[[FakeMachine], None]:
    def change(machine: FakeMachine) -> None:
        for one in changes:
            one(machine)

    return change


def bridged(machine: FakeMachine) -> None:
    """The bridge of the ports is there, and can be asked."""
    machine.add_bridge("br-int")


DEEP = dict.fromkeys((TRANSPARENT, QINQ), "Open vSwitch looks at one VLAN tag")
NO_METERS = dict.fromkeys((*LIMITS, LOG), "has no meters")
OF_OTHERS = dict.fromkeys((*LIMITS, MARK, GROUPS, LOG, TRUNK, TRANSPARENT, QINQ), "plugin")
NO_S_TAG = {QINQ: "none has a service provider's tag"}
NO_DEVICE = {TRUNK: "VLAN device above its parent's tap, which cannot be made here", **NO_S_TAG}

ROWS: dict[str, Row] = {
    "ovs": Row(ovs.plugin, _both(bridged, two_tags), {}),
    "ovs that looks at one tag": Row(ovs.plugin, bridged, DEEP),
    "ovs on a datapath without meters": Row(
        partial(ovs.plugin, datapath_type="system"), _both(bridged, two_tags, no_meters), NO_METERS
    ),
    "vhostuser": Row(_vhostuser, _both(bridged, two_tags), {}),
    "vhostuser without meters": Row(_vhostuser, _both(bridged, two_tags, no_meters), NO_METERS),
    "ovn": Row(ovn.plugin, bridged, OF_OTHERS),
    "noop": Row(noop.plugin, whole, OF_OTHERS),
    "linuxbridge": Row(linuxbridge.plugin, whole, NO_S_TAG),
    "linuxbridge, one bridge for all VLANs": Row(
        partial(linuxbridge.plugin, vlan_aware=True), whole,
        {TRANSPARENT: "vlan_aware = true", **NO_S_TAG},
    ),
    "linuxbridge without 8021q": Row(linuxbridge.plugin, kernel_lacks("vlan"), NO_DEVICE),
    "linuxbridge without cls_bpf": Row(linuxbridge.plugin, kernel_lacks("guard"), NO_DEVICE),
    "linuxbridge without nf_conntrack_bridge": Row(
        linuxbridge.plugin, nft_lacks(no_tracking="no module nf_conntrack_bridge"),
        {**dict.fromkeys((GROUPS, LOG), "no module nf_conntrack_bridge"), **NO_S_TAG},
    ),
    "linuxbridge without nft_log": Row(
        linuxbridge.plugin, nft_lacks(no_ear="no module nft_log"),
        {LOG: "no module nft_log", **NO_S_TAG},
    ),
    "linuxbridge without nft_limit": Row(
        linuxbridge.plugin, no_limits,
        {**dict.fromkeys((*LIMITS, MARK), "nft_limit"), **NO_S_TAG},
    ),
}  # fmt: skip


def advert_of(row: Row) -> tuple[VifPlugin, Advert]:
    """What is offered on this host."""
    machine = FakeMachine()
    row.lacks(machine)
    plugin = row.make(Host(machine.drivers, dict))
    return plugin, type(plugin).describe().on(plugin.probe().unenforced)


def asking(*required: str) -> Attachment:
    """A port that asks for everything.

    :param required: what its document must have
    """
    wanted = attachment(
        1, segment=vlan(101), qos_policy=POLICY, security_groups=[GROUP],
        trunk_details=details(1, (2, 101)),
    )  # fmt: skip
    network = msgspec.structs.replace(wanted.network, vlan_transparent=True, qinq=True)
    return msgspec.structs.replace(wanted, network=network, required={"features": [*required]})


@pytest.mark.parametrize("name", ROWS)
def test_the_report(name: str) -> None:
    row = ROWS[name]
    plugin, advert = advert_of(row)
    log = GroupLog(id=GROUP)
    told = report(asking(), advert, plugin=plugin.plugin_name, logs=[log])
    found = {e.feature: e for e in told if e.feature in EVERY}
    assert found.keys() == {*EVERY}
    without = {**row.without, MINIMUM: "does not enforce it"}
    assert {f for f, e in found.items() if e.level is Level.NONE} == without.keys()
    for feature, words in without.items():
        assert words in found[feature].note, feature
        assert found[feature].enforced_by == ""
    assert {found[f].enforced_by for f in found.keys() - without.keys()} <= {plugin.plugin_name}


@pytest.mark.parametrize("name", ROWS)
def test_what_a_document_must_have_is_refused_or_had(name: str) -> None:
    row = ROWS[name]
    plugin, advert = advert_of(row)
    for feature in EVERY:
        refused = unmet(asking(feature), advert, plugin=plugin.plugin_name)
        assert bool(refused) == (feature in row.without or feature == MINIMUM), feature
        for error in refused:
            assert error.code == "E_FEATURE_UNENFORCED"
            assert error.facts["feature"] == feature
            assert error.facts["plugin"] == plugin.plugin_name
