"""The drivers of the daemon, for the calling process's own namespace and a private switch."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from oslo_config import cfg

from vifd.daemon import config, parts
from vifd.drivers import Drivers
from vifd.testing.daemon import config_text
from vifd.testing.links import FakeLinks
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until


@contextlib.contextmanager
def real_drivers(ovs: PrivateOvs | None) -> Iterator[Drivers]:
    """What the daemon would work with; without a switch, its database is never reached."""
    with tempfile.TemporaryDirectory() as scratch:
        options = {
            "openvswitch": {
                "ovsdb_connection": ovs.db if ovs else f"unix:{scratch}/none.sock",
                "rundir": ovs.rundir if ovs else scratch,
            }
        }
        path = Path(scratch, "agent.conf")
        path.write_text(config_text(options))
        drivers, closers = parts.local_drivers(config.load(["--config-file", str(path)], _conf()))
        try:
            if ovs is not None:
                until(drivers.ovsdb.connected, "the database is connected")
            yield drivers
        finally:
            for close in reversed(closers):
                close()


@contextlib.contextmanager
def foreign_device(drivers: Drivers, name: str, mac: str, mtu: int = 1500) -> Iterator[None]:
    """A tap that somebody else made, up, on a host of fakes or on the real one."""
    if isinstance(drivers.links, FakeLinks):
        drivers.links.place(name, kind="tun", mac=mac, mtu=mtu, up=True)
        yield
        drivers.links.drop(name)
        return
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        netlink.link("add", ifname=name, kind="tuntap", mode="tap")
        (index,) = netlink.link_lookup(ifname=name)
        try:
            netlink.link("set", index=index, address=mac, mtu=mtu, state="up")
            yield
        finally:
            netlink.link("del", index=index)


def _conf() -> cfg.ConfigOpts:
    return cfg.ConfigOpts()
