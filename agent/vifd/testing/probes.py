"""What this machine can do, asked by name, with a reason where it cannot.

A test names what it needs (``@pytest.mark.needs("kernel:8021q")``) and is skipped with the probe's
reason where that lacks. A probe tries the thing itself wherever it can, in a namespace of its own.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from pathlib import Path

from vifd.testing import bootable, dpdkovs, vm
from vifd.testing.netns import Namespace
from vifd.testing.sandbox import DATAPATH, program

Reason = str | None


@functools.cache
def lacking(name: str) -> Reason:
    """Why something is not to be had here, ``None`` when it is.

    :param name: ``netns``, ``tun``, ``kvm``, ``dpdk`` (Open vSwitch with it), ``held_tables`` (of
        nftables), ``bridge_tracking`` (connections across bridges), ``vm`` (QEMU guests),
        ``libvirt`` (guests on a host of one's own), ``nova``, ``kernel:<link kind or module>``,
        ``datapath:netdev`` (of the bridges that tests make) or ``datapath:system``,
        ``bridge:vlan_filtering``, ``program:<name>`` or ``module:<python module>``
    :raises KeyError: nobody knows how to probe that
    """
    kind, _, detail = name.partition(":")
    if detail:
        return _PARAMETRIC[kind](detail)
    return _SIMPLE[name]()


def _netns() -> Reason:
    try:
        Namespace("probe").close()
    except OSError as error:
        return f"no network namespace can be made: {error}"
    return None


def _tun() -> Reason:
    return _openable("/dev/net/tun")


def _kvm() -> Reason:
    return _openable("/dev/kvm")


def _openable(path: str) -> Reason:
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None


def _kernel(what: str) -> Reason:
    if what == "openvswitch":
        present = Path("/sys/module/openvswitch").exists()
        return None if present else "the kernel has no openvswitch module (userspace datapath only)"
    return _netns() or _link_kind("vlan" if what == "8021q" else what)


def _link_kind(kind: str) -> Reason:
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    def attempt() -> Reason:
        with IPRoute() as netlink:
            extra = {}
            if kind in ("vlan", "macvlan", "macvtap"):
                netlink.link("add", ifname="below", kind="bridge")
                extra = {"link": netlink.link_lookup(ifname="below")[0]}
            if kind == "vlan":
                extra["vlan_id"] = 5
            if kind == "vxlan":
                extra = {"vxlan_id": 5}
            try:
                netlink.link("add", ifname="probe", kind=kind, **extra)
            except NetlinkError as error:
                return f"the kernel makes no {kind} device: {error}"
        return None

    with Namespace("probe") as space:
        return space.run(attempt)


def _bridge(feature: str) -> Reason:
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    def attempt() -> Reason:
        with IPRoute() as netlink:
            try:
                netlink.link("add", ifname="probe", kind="bridge", **{f"br_{feature}": 1})
            except NetlinkError as error:
                return f"the kernel's bridge has no {feature}: {error}"
        return None

    if (reason := _netns()) is not None:
        return reason
    with Namespace("probe") as space:
        return space.run(attempt)


def _has_program(name: str) -> Reason:
    return None if program(name) else f"{name} is not installed"


def _has_module(name: str) -> Reason:
    import importlib.util

    return None if importlib.util.find_spec(name) else f"python module {name} is not installed"


def _nova() -> Reason:
    tree = Path(__file__).parents[3]
    if not tree.joinpath(".venv/nova/stamp").exists():
        return "nova is not in .venv/nova; tools/nova-env puts it there"
    for directory in (tree, *tree.parents):
        if not directory.stat().st_mode & 0o001 and os.geteuid() == 0:
            return f"nova runs as a user of its own, and others cannot enter {directory}"
    return None


def _nova_functional() -> Reason:
    present = Path(__file__).parents[3].joinpath(".venv/nova-functional/stamp").exists()
    return None if present else "nova's own functional tests are not here; make test-nova runs them"


def _neutron() -> Reason:
    present = Path(__file__).parents[3].joinpath(".venv/neutron/stamp").exists()
    return None if present else "neutron is not in .venv/neutron; tools/neutron-env puts it there"


def _held_tables() -> Reason:
    from vifd.drivers.nft import hold
    from vifd.drivers.nft.socket import NftSocket

    with contextlib.closing(NftSocket()) as sock:
        if hold.able(sock):
            return None
    return "the kernel's nftables has no tables that have an owner and outlive it"


def _bridge_tracking() -> Reason:
    from vifd.drivers.nft import tracking
    from vifd.drivers.nft.socket import NftSocket

    try:
        with contextlib.closing(NftSocket()) as sock:
            return tracking.lacking(sock)
    except OSError as error:
        return f"nftables cannot be asked: {error}"


def _datapath(kind: str) -> Reason:
    return None if kind == DATAPATH else f"the bridges of this run are of {DATAPATH}"


_SIMPLE: dict[str, Callable[[], Reason]] = {
    "netns": _netns,
    "tun": _tun,
    "kvm": _kvm,
    "held_tables": _held_tables,
    "bridge_tracking": _bridge_tracking,
    "dpdk": dpdkovs.lacking,
    "vm": vm.lacking,
    "libvirt": bootable.lacking,
    "neutron": _neutron,
    "nova": _nova,
    "nova-functional": _nova_functional,
}
_PARAMETRIC: dict[str, Callable[[str], Reason]] = {
    "kernel": _kernel,
    "bridge": _bridge,
    "datapath": _datapath,
    "program": _has_program,
    "module": _has_module,
}
