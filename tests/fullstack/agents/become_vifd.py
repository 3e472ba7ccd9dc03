"""Makes vifd's configuration of the stock agent's two files, and becomes vifd.

Called as the suite calls its own agent: ``--log-dir D --log-file F --config-file F...``. Journal
and socket lie in a directory per host, which is found again at a restart; several hosts share one
switch, so a daemon of one sweeps nothing by itself.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from vifd.cli import stockconf


def main() -> None:
    """Write the configuration and start the daemon in this process's place."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--log-dir", required=True)
    parser.add_argument("--log-file", required=True)
    parser.add_argument("--config-file", action="append", default=[])
    given = parser.parse_args()
    texts = [(name, Path(name).read_text()) for name in given.config_file]
    files = stockconf.Files(texts)
    made = stockconf.configuration(files)
    state = Path(os.environ.get("TMPDIR", "/run/tmp"), f"vifd-{files.get('DEFAULT', 'host')}")
    state.mkdir(exist_ok=True)
    groups = made.groups
    groups["DEFAULT"] |= {
        "state_path": str(state), "log_dir": given.log_dir, "log_file": given.log_file,
    }  # fmt: skip
    groups["api"] = {"socket": str(state / "s")}
    groups["libvirt"] = {"enabled": "false"}
    groups["plugins"] = {"enabled_plugins": "ovs"}
    groups["garbage"] = {"automatic": "false"}
    # One step wants an answer from a port whose group its asker has just left: docs/fullstack.md.
    groups["network_neutron"]["gather_members"] = "2"
    # The suite makes the bridges before the agent, with the datapath of this kernel.
    groups["ovs"] |= {"create_bridge": "false", "datapath_type": os.environ["FULLSTACK_DATAPATH"]}
    conf = state / "agent.conf"
    conf.write_text(made.text())
    os.execv(sys.executable, [sys.executable, "-m", "vifd.main", "--config-file", str(conf)])


if __name__ == "__main__":
    main()
