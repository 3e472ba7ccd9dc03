"""Hybrid plugging as nova has it done: by os-vif's own plugin for Open vSwitch, with a bridge and a
pair of devices for each port. Run as a program, which ends with what it made left behind:
``python -m support.stockhybrid DATABASE DATAPATH MTU PORT MAC``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs

_ROOT = Path(__file__).parents[1]


def names(port: str) -> tuple[str, str, str, str]:
    """The bridge, its end of the pair, the switch's end, and the tap of a port."""
    return (f"qbr{port[:11]}", f"qvb{port[:11]}", f"qvo{port[:11]}", f"tap{port[:11]}")


def plug(
    ovs: PrivateOvs, port: str, mac: str, mtu: int = 1450, enter: Sequence[str] = ()
) -> None:  # fmt: skip
    """Make what stands between a tap and br-int.

    :param enter: what a command begins with that shall run on another host
    """
    argv = [sys.executable, "-m", "support.stockhybrid", ovs.db, "netdev", str(mtu), port, mac]
    done = subprocess.run(
        [*enter, *argv], cwd=_ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={**ovs.env, "PYTHONPATH": ":".join([str(_ROOT), *filter(None, sys.path)])},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def stock_bridge(ovs: PrivateOvs, physical: str = "br-phys") -> None:
    """The bridge of a stock agent, patched to one of a physical network, which is there."""
    ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", OF_DATAPATH)
    for one, name, other in (("br-int", "int-nn", "phy-nn"), (physical, "phy-nn", "int-nn")):
        ovs.vsctl("add-port", one, name, "--", "set", "Interface", name, "type=patch",
                  f"options:peer={other}")  # fmt: skip


def main(database: str, datapath: str, mtu: str, port: str, mac: str) -> None:
    from os_vif import objects
    from oslo_config import cfg
    from vif_plug_ovs import ovs, privsep

    # no helper process with fewer privileges
    privsep.vif_plug.set_client_mode(False)
    objects.register_all()
    group = cfg.OptGroup("os_vif_ovs")
    cfg.CONF.register_group(group)
    cfg.CONF.register_opts(ovs.OvsPlugin.CONFIG_OPTS, group=group)
    cfg.CONF([], project="stockhybrid")
    cfg.CONF.set_override("ovsdb_connection", database, "os_vif_ovs")
    plugin = ovs.OvsPlugin(cfg.CONF.os_vif_ovs)
    network = objects.network.Network(id=port, bridge="br-int", mtu=int(mtu))
    profile = objects.vif.VIFPortProfileOpenVSwitch(interface_id=port, datapath_type=datapath)
    bridge, _, _, tap = names(port)
    vif = objects.vif.VIFBridge(
        id=port, address=mac, network=network, port_profile=profile, bridge_name=bridge,
        vif_name=tap, has_traffic_filtering=True, preserve_on_delete=False, active=True,
        plugin="ovs",
    )  # fmt: skip
    plugin.plug(vif, objects.instance_info.InstanceInfo(uuid=port, name="stock"))


if __name__ == "__main__":
    main(*sys.argv[1:])
