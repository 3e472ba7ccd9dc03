"""The floor of a restart: the daemon's libraries imported, and everything read back once.

``python bench/recovery_floor.py RUNDIR BRIDGE DEVICE…`` prints the seconds spent on imports and on
reading. No journal, no comparison, no API: flows in one dump, every row of the switch's database,
every device by name, on raw sockets.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings

START = time.perf_counter()
os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")  # as the daemon does
warnings.simplefilter("ignore")  # eventlet's word on itself

# ruff: noqa: E402, F401 - the imports are what is measured
import sqlite3

import eventlet.wsgi
import falcon
import msgspec
import prometheus_client
import pyroute2
import stevedore
from oslo_config import cfg
from oslo_log import log
from ovs import jsonrpc, stream
from ovs.db import idl
from ovsdbapp.backend import ovs_idl

IMPORTED = time.perf_counter()

from pathlib import Path

import floor
from vifd.drivers import rtnl
from vifd.openflow.message import EXACT


def read(rundir: Path, bridge: str, devices: list[str]) -> int:
    """Flows, rows and devices; the bytes and rows that came."""
    flows = floor.FlowSocket(rundir / f"{bridge}.mgmt")
    flows.send(floor.reads([(0, 0)]))
    found = floor.count(flows.until(floor.READ))
    database = floor.Database(rundir / "db.sock")
    every: dict[str, dict[str, object]] = {"Bridge": {}, "Port": {}, "Interface": {}}
    database.ask("monitor", ["Open_vSwitch", "all", every])
    netlink = floor.netlink_socket()
    requests = [rtnl.get(name).pack(2) for name in devices]
    for request in requests:
        netlink.send(request)
        netlink.recv(16384)
    return found


def main() -> None:
    """The command."""
    start = time.perf_counter()
    found = read(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
    end = time.perf_counter()
    print(json.dumps({"import": IMPORTED - START, "read": end - start, "flows": found}))


if __name__ == "__main__":
    main()
