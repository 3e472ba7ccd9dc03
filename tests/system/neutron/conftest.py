"""One real Neutron for all tests of a process, as it takes a minute to start; and one host of vifd
for those of a module. A network namespace has room for one userspace switch: what wants one of its
own must come before the host, or stand in a module of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cloud import places
from support.cloud.server import Cloud
from support.cloud.vifdhost import VifdHost
from vifd.testing import sandbox


@pytest.fixture(scope="session")
def cloud(isolated: None) -> Iterator[Cloud]:
    if lacking := places.lacking():
        pytest.skip(lacking)
    with tempfile.TemporaryDirectory(prefix="cloud") as directory:
        found = Cloud(Path(directory))
        try:
            found.start()
            yield found
        finally:
            found.stop()


@pytest.fixture(scope="module")
def host(cloud: Cloud) -> Iterator[VifdHost]:
    with tempfile.TemporaryDirectory(prefix="v") as directory, sandbox.PrivateOvs() as ovs:
        found = VifdHost(Path(directory, "v"), cloud, ovs, "host1")
        try:
            found.start()
            yield found
        finally:
            found.close()


@pytest.fixture(scope="session")
def network(cloud: Cloud) -> str:
    given = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
    made = str(cloud.make("network", name="n", **given)["id"])
    cloud.make("subnet", network_id=made, cidr="10.7.0.0/22", ip_version=4, enable_dhcp=False)
    return made
