"""The host as people read it."""

from __future__ import annotations

from typing import Any

from vifd.cli import hosttext


def capability(name: str, present: bool | None = True, value: Any = None, **more: Any) -> Any:
    return {
        "name": name,
        "present": present,
        "value": value,
        "evidence": "it was read",
        "at": 100.0,
        "age": 3.2,
        "missing": "",
        "source": "kernel",
        "stale": "",
        **more,
    }


def shown(*capabilities: Any, evidence: bool = False, **more: Any) -> dict[str, str]:
    names = {c["source"] for c in capabilities}
    sources = [{"name": n, "at": 100.0, "age": 3.2, "problem": None} for n in names]
    inventory = {
        "at": 100.0,
        "age": 3.2,
        "traits": [],
        "capabilities": list(capabilities),
        "sources": sources,
    }
    found = {
        "host": "c7",
        "kernel": "6.1",
        "machine": "x86_64",
        "vifd": "1.2",
        "inventory": inventory,
        **more,
    }
    return dict(hosttext.rows(found, evidence=evidence))


def test_the_host_and_how_old_the_answer_is():
    assert shown()["host"].startswith("c7: Linux 6.1, x86_64, vifd 1.2\nread 3 s ago")


def test_what_there_is_what_lacks_and_what_is_not_known():
    text = shown(
        capability("CUSTOM_KERNEL_TUN"),
        capability("CUSTOM_KERNEL_TUN_MULTIQUEUE", value=256),
        capability("CUSTOM_KERNEL_VLAN", False, missing="a module"),
        capability("CUSTOM_KVM", None),
    )["kernel"]
    assert text.splitlines() == ["✓ tun, tun multiqueue 256", "✗ vlan", "? kvm"]


def test_evidence_says_where_it_was_read_when_and_how_to_get_what_lacks():
    lines = shown(
        capability("CUSTOM_KERNEL_TUN", stale="its probe hangs", missing="nothing"),
        capability("CUSTOM_KERNEL_VLAN", False, missing="the module 8021q"),
        evidence=True,
    )["kernel"].splitlines()
    assert lines == [
        "✓ tun (stale): it was read (3 s ago; its probe hangs)",
        "✗ vlan: it was read (3 s ago)",
        "    needs the module 8021q",
    ]


def test_families_are_lines_of_their_own_and_long_ones_are_counted():
    machines = [
        capability(f"CUSTOM_MACHINE_TYPE_PC_{n}", value=f"pc-{n}", source="hypervisor")
        for n in range(30)
    ]
    models = [
        capability("COMPUTE_NET_VIF_MODEL_VIRTIO", source="hypervisor"),
        capability("COMPUTE_NET_VIF_MODEL_IGB", source="hypervisor"),
    ]
    lines = shown(*machines, *models)["guests"].splitlines()
    assert lines == ["✓ machine types: 30 of them", "✓ interface models: virtio, igb"]


def test_a_word_of_the_host_is_shown_as_the_host_writes_it():
    found = capability("CUSTOM_OVS_IFACE_AFXDP_NONPMD", value="afxdp-nonpmd", source="openvswitch")
    assert shown(found)["Open vSwitch"] == "✓ interface types: afxdp-nonpmd"


def test_large_pages_by_node():
    value = {"0": {"total": 512, "free": 500}}
    found = capability("CUSTOM_HUGEPAGES_2MB", value=value, source="memory")
    assert shown(found)["memory"] == "✓ large pages: 2mb (node 0: 512, 500 free)"


def test_networks_by_plugin():
    way = {"device": "br-ex", "up": True, "mtu": 9000}
    found = capability("CUSTOM_PHYSNET_ONE", value={"ovs": way}, source="plugins")
    assert shown(found)["networks"] == "✓ physical networks: one (ovs: br-ex up, MTU 9000)"


def test_a_plugin_says_what_it_lacks_and_what_it_reaches():
    plugin = {
        "state": "degraded",
        "reasons": ["bridge br-none does not exist: ovs-vsctl add-br br-none"],
        "physical_networks": {
            "one": {"device": "br-ex", "up": True, "mtu": 1500, "problem": ""},
            "two": {"device": "br-none", "up": False, "mtu": None, "problem": "no bridge"},
            "three": {"device": "br3", "up": None, "mtu": None, "problem": "leads nowhere"},
        },
        "tunnels": {"vxlan": {"device": "eth0", "up": True, "mtu": 1450, "local_ip": "192.0.2.1"}},
    }
    assert shown(plugins={"ovs": plugin})["plugin ovs"].splitlines() == [
        "degraded",
        "✗ bridge br-none does not exist: ovs-vsctl add-br br-none",
        "✓ one by br-ex up, MTU 1500",
        "✗ two by br-none down, MTU unknown",
        "? three by br3 link unknown, MTU unknown: leads nowhere",
        "✓ tunnels vxlan by eth0 from 192.0.2.1 up, MTU 1450",
    ]


def test_a_source_in_trouble_is_named():
    found = {"inventory": {"at": 0, "age": 0, "capabilities": [], "sources": [
        {"name": "memory", "at": None, "problem": "its probe hangs"},
        {"name": "kernel", "at": None, "problem": None},
    ]}}  # fmt: skip
    rows = dict(hosttext.rows(found))
    assert rows["memory"].startswith("! its probe hangs")
    assert rows["kernel"] == "nothing is known yet"
    assert rows["host"] == "-: Linux -, -, vifd -"


def test_nothing_a_host_is_called_reaches_the_terminal_as_more_than_text():
    found = capability("CUSTOM_PHYSNET_X", value="\x1b[31m", evidence="\x07", source="plugins")
    for evidence in (True, False):
        rows = shown(found, evidence=evidence, plugins={"\x1b": {"state": "\x1b", "reasons": []}})
        assert "\x1b" not in repr(rows).replace("\\x1b", "\x1b")
        assert "\x07" not in "".join(rows.values())


def test_lines_fit_a_terminal():
    found = capability("CUSTOM_KERNEL_VLAN", False, evidence="word " * 80, missing="thing " * 80)
    for text in shown(found, evidence=True).values():
        assert max(map(len, text.splitlines())) <= hosttext.WIDTH
