"""Another program on the host: everything that somebody else may do to a port that is plugged."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from vifd.testing.netns import links
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs

_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_IFF_TAP_NO_PI, _IFF_MULTI_QUEUE = 0x1002, 0x0100
#: A cookie with our mark that no port has.
FORGED = "cookie=0x7601000000000001"


@contextlib.contextmanager
def _netlink() -> Iterator[Any]:
    with IPRoute() as netlink:
        yield netlink


def _set(device: str, **values: Any) -> None:
    with _netlink() as netlink:
        netlink.link("set", index=links()[device], **values)


def delete_device(device: str) -> None:
    """``ip link delete``"""
    with _netlink() as netlink:
        netlink.link("delete", index=links()[device])


def make_tap(device: str, flags: int = 0) -> None:
    """``ip tuntap add``: a bare tap of this name."""
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(
            file, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TAP_NO_PI | flags)
        )
        fcntl.ioctl(file, _TUNSETPERSIST, 1)
    finally:
        os.close(file)


def requeue_device(device: str) -> None:
    """Made anew with another kind of queues."""
    remake_device(device, _IFF_MULTI_QUEUE)


def remake_device(device: str, flags: int = 0) -> None:
    """The same device to look at, with all its settings, but another one."""
    with _netlink() as netlink:
        (old,) = netlink.get_links(index=links()[device])
        netlink.link("delete", index=old["index"])
        make_tap(device, flags)
        values = {
            "address": old.get("address"),
            "mtu": old.get("mtu"),
            "ifalias": old.get("ifalias"),
        }
        netlink.link("set", index=links()[device], state="up", **values)


def set_mtu(device: str) -> None:
    """``ip link set mtu``"""
    _set(device, mtu=1300)


def set_mac(device: str) -> None:
    """``ip link set address``"""
    _set(device, address="02:00:00:00:00:01")


def set_alias(device: str) -> None:
    """``ip link set alias``"""
    _set(device, ifalias="somebody else's")


def set_down(device: str) -> None:
    """``ip link set down``"""
    _set(device, state="down")


def release(device: str) -> None:
    """``ip link set nomaster``"""
    _set(device, master=0)


@contextlib.contextmanager
def bridge(name: str = "brx") -> Iterator[str]:
    """``ip link add … type bridge``: somebody's bridge, up, while it is wanted"""
    with _netlink() as netlink:
        netlink.link("add", ifname=name, kind="bridge")
        netlink.link("set", index=links()[name], state="up")
        try:
            yield name
        finally:
            netlink.link("delete", index=links()[name])


def enslave(device: str, master: str) -> None:
    """``ip link set … master …``"""
    _set(device, master=links()[master])


def isolate(device: str) -> None:
    """``bridge link set dev … isolated on``"""
    _set_as_port(device, isolated=1)


def mute(device: str) -> None:
    """``bridge link set dev … bcast_flood off``"""
    _set_as_port(device, bcast_flood=0)


def _set_as_port(device: str, **values: int) -> None:
    with _netlink() as netlink:
        netlink.brport("set", index=links()[device], **values)


def exists(device: str) -> bool:
    """Whether there is a device of this name."""
    with contextlib.suppress(OSError):
        return bool(socket.if_nametoindex(device))
    return False


#: What can be done to a device.
DEVICE: dict[str, Callable[[str], None]] = {
    "device deleted": delete_device,
    "device made anew": remake_device,
    "queues changed": requeue_device,
    "MTU changed": set_mtu,
    "MAC changed": set_mac,
    "alias changed": set_alias,
    "set down": set_down,
}


# --- bridges of the kernel ---


def _nft(*words: str) -> None:
    subprocess.run(["nft", *words], check=True, capture_output=True, timeout=600)


def flush_rules(_device: str = "") -> None:
    """``nft flush ruleset``"""
    _nft("flush", "ruleset")


def empty_chain(device: str) -> None:
    """The rules that judge what a port sends, taken out of their chain."""
    _nft("flush", "chain", "bridge", "vifd", device)


def close_port(device: str) -> None:
    """A port taken out of the set of those that rules let pass."""
    _nft("delete", "element", "bridge", "vifd", "open", f'{{ "{device}" }}')


def remove_guard(device: str) -> None:
    """``tc qdisc del … ingress``"""
    argv = ["tc", "qdisc", "del", "dev", device, "ingress"]
    subprocess.run(argv, check=True, capture_output=True, timeout=600)


def bridge_down(device: str) -> None:
    """The bridge that a port is on, set down."""
    set_down(_master(device))


def delete_bridge(device: str) -> None:
    """The bridge that a port is on, deleted."""
    delete_device(_master(device))


def _master(device: str) -> str:
    return Path(f"/sys/class/net/{device}/master").readlink().name


#: What can be done to a port of a bridge of the kernel.
BRIDGED: dict[str, Callable[[str], None]] = {
    "taken off its bridge": release,
    "isolated": isolate,
    "broadcasts kept from it": mute,
    "rules deleted": flush_rules,
    "rules of the port deleted": empty_chain,
    "closed by rules": close_port,
    "guard removed": remove_guard,
    "bridge set down": bridge_down,
    "bridge deleted": delete_bridge,
}


# --- the switch -----------------------------------------------------------------------------------


def delete_port(ovs: PrivateOvs, device: str) -> None:
    """``ovs-vsctl del-port``"""
    ovs.vsctl("del-port", device)


def take_name(ovs: PrivateOvs, device: str) -> None:
    """The port taken off, and put on again for another port of the network service."""
    ids = "external_ids:iface-id=another"
    add = ("add-port", "br-int", device, "--", "set", "Interface", device, ids)
    ovs.vsctl("del-port", device, "--", *add)


def change_tag(ovs: PrivateOvs, device: str) -> None:
    """``ovs-vsctl set port tag``"""
    ovs.vsctl("set", "Port", device, "tag=77")


def change_vlan_mode(ovs: PrivateOvs, device: str) -> None:
    """``ovs-vsctl set port vlan_mode``"""
    ovs.vsctl("set", "Port", device, "vlan_mode=dot1q-tunnel")


def change_trunks(ovs: PrivateOvs, device: str) -> None:
    """``ovs-vsctl set port trunks``"""
    ovs.vsctl("set", "Port", device, "vlan_mode=trunk", "trunks=8,9")


def change_ids(ovs: PrivateOvs, device: str) -> None:
    """Other external ids than ours."""
    ovs.vsctl("set", "Interface", device, "external_ids:iface-id=other")


def request_mtu(ovs: PrivateOvs, device: str) -> None:
    """An MTU that the switch shall set."""
    ovs.vsctl("set", "Interface", device, "mtu_request=1300")


def delete_flows(ovs: PrivateOvs, device: str) -> None:
    """The flows of one port deleted."""
    ovs.ofctl("del-flows", "br-int", f"in_port={number(ovs, device)}")


def delete_all_flows(ovs: PrivateOvs, _device: str) -> None:
    """``ovs-ofctl del-flows``"""
    ovs.ofctl("del-flows", "br-int")


def change_flow(ovs: PrivateOvs, device: str) -> None:
    """A port's guard turned into an open door."""
    match = f"table=0,priority=90,in_port={number(ovs, device)}"
    ovs.ofctl("mod-flows", "br-int", "--strict", f"{match},actions=NORMAL")


def add_flow_with_our_cookie(ovs: PrivateOvs, device: str) -> None:
    """A flow that bears our mark, and is none of ours."""
    match = f"table=0,priority=300,in_port={number(ovs, device)}"
    ovs.ofctl("add-flow", "br-int", f"{FORGED},{match},actions=NORMAL")


def change_type(ovs: PrivateOvs, device: str) -> None:
    """An interface of another type: the switch makes a device of its own."""
    ovs.vsctl("set", "Interface", device, "type=internal")


def move_row(ovs: PrivateOvs, device: str) -> None:
    """The port with all our marks on another bridge."""
    uuid = ovs.vsctl("get", "Port", device, "_uuid").strip()
    ovs.vsctl(
        "--may-exist", "add-br", "br-other", "--", "set", "Bridge", "br-other",
        OF_DATAPATH, "--", "remove", "Bridge", "br-int", "ports", uuid,
        "--", "add", "Bridge", "br-other", "ports", uuid,
    )  # fmt: skip


def clear_ids(ovs: PrivateOvs, device: str) -> None:
    """``ovs-vsctl clear``: all that tells whose port it is."""
    ovs.vsctl("clear", "Interface", device, "external_ids")


def fail_open(ovs: PrivateOvs, _device: str) -> None:
    """A bridge that passes everything once its controller is lost."""
    ovs.vsctl("set", "Bridge", "br-int", "fail_mode=standalone")


def clear_document(ovs: PrivateOvs, device: str) -> None:
    """What a lost journal would be rebuilt from."""
    ovs.vsctl("remove", "Interface", device, "external_ids", "vifd-document")


def number(ovs: PrivateOvs, device: str) -> str:
    """The port's OpenFlow number."""
    return ovs.vsctl("get", "Interface", device, "ofport").strip()


#: What can be done to a port of the switch.
SWITCH: dict[str, Callable[[PrivateOvs, str], None]] = {
    "port deleted": delete_port,
    "tag changed": change_tag,
    "external ids changed": change_ids,
    "MTU requested": request_mtu,
    "flows of the port deleted": delete_flows,
    "all flows deleted": delete_all_flows,
    "flow changed": change_flow,
    "flow with our cookie added": add_flow_with_our_cookie,
}

#: What else can be done to the rows of a port that nobody else touches at the same time.
ROWS: dict[str, Callable[[PrivateOvs, str], None]] = {
    "VLAN mode changed": change_vlan_mode,
    "trunks changed": change_trunks,
    "type changed": change_type,
    "moved to another bridge": move_row,
    "external ids cleared": clear_ids,
    "document removed": clear_document,
    "fail mode changed": fail_open,
}


def has_altname(device: str, name: str) -> None:
    """Another program has a device answer to another name as well."""
    argv = ["ip", "link", "property", "add", "dev", device, "altname", name]
    subprocess.run(argv, check=True, capture_output=True, timeout=600)
