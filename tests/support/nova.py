"""A process of nova's own code beside the daemon; see tests/system/nova/compute.py."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unit.docs import NETWORK, document, port_id
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import PATIENCE

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv/nova"
PYTHON = ENVIRONMENT / "bin/python"
#: With nova's own functional tests and what they need; made by ``make test-nova``.
FUNCTIONAL = ROOT / ".venv/nova-functional/bin/python"
OLDEST = ENVIRONMENT / "os-vif-oldest"
OLDEST_NOVA = ENVIRONMENT / "nova-oldest"
#: What a VIF has besides where stock os-vif makes its port on a bridge without a kernel datapath.
STOCK: dict[str, Any] = {
    "details": {"ovs_create_tap": True, "datapath_type": "netdev"}, "delegate_create": True,
}  # fmt: skip
_DRIVER = ROOT / "tests/system/nova/compute.py"


def config(directory: Path, socket: Path, **options: Any) -> Path:
    """A nova.conf that has vifd stand in for ``ovs``."""
    values = {"take_over": "ovs", "socket": socket, "plug_timeout": 60, **options}
    path = directory / "nova.conf"
    text = "".join(f"{name} = {value}\n" for name, value in values.items())
    path.write_text(f"[DEFAULT]\n[os_vif_vifd]\n{text}")
    return path


def stock(directory: Path, ovs: PrivateOvs) -> Path:
    """A nova.conf with which os-vif plugs by itself, through a privileged process of its own."""
    conf = config(directory, directory / "none", take_over="")
    helper = f"{ENVIRONMENT}/bin/privsep-helper --config-file {conf}"
    with conf.open("a") as file:
        file.write(f"[os_vif_ovs]\novsdb_connection = {ovs.db}\n")
        file.write(f"[vif_plug_ovs_privileged]\nhelper_command = {helper}\n")
    return conf


class Compute:
    """nova's code for VIFs in a process of its own.

    :ivar hello: what it said of itself
    """

    def __init__(
        self, conf: Path, *words: str, path: Sequence[Path] = (), before: tuple[str, ...] = ()
    ) -> None:
        keep = ("PATH", "HOME", "LANG", "TMPDIR")
        env = {name: os.environ[name] for name in keep if name in os.environ}
        env["PYTHONWARNINGS"] = "ignore"
        if path:
            env["PYTHONPATH"] = os.pathsep.join(map(str, path))
        self.log = conf.with_suffix(".log")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*before, str(PYTHON), str(_DRIVER), str(conf), *words], text=True, env=env,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd="/",
            )  # fmt: skip
        try:
            self.hello = self._read()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log.read_text(errors="replace")[-3000:]
        answer: dict[str, Any] = json.loads(line)
        return answer

    def tell(self, do: str, number: int = 1, **more: Any) -> None:
        """Send a command, and do not wait."""
        known = document(number)
        command = {
            "do": do, "port": port_id(number), "mac": known["port"]["mac_address"],
            "network": NETWORK, "mtu": known["network"]["mtu"], "details": {"ovs_create_tap": True},
            "instance": known["instance"]["id"], **more,
        }  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def heard(self) -> dict[str, Any]:
        """The answer to the command that was sent."""
        return self._read()

    def ask(self, do: str, number: int = 1, **more: Any) -> dict[str, Any]:
        """A command and its answer."""
        self.tell(do, number, **more)
        return self.heard()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Compute:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
