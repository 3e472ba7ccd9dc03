"""The API, the RPC server and (``NEUTRON_PERIODIC=1``) the periodic workers as one process tree.

Takes what the program ``neutron-server`` took, which Neutron no longer has::

    PYTHON neutron_server.py --log-dir DIR --log-file FILE --config-file FILE...

It runs with Neutron's own interpreter, beside which uwsgi lies. It ends when one of its parts ends.
"""

from __future__ import annotations

import argparse
import configparser
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path


def main() -> int:
    """Run until told to end, or until a part ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--log-dir", type=Path, required=True)
    parser.add_argument("--log-file", required=True)
    parser.add_argument("--config-file", action="append", default=[])
    given = parser.parse_args()
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    parts = [
        _started(argv, given.log_dir / given.log_file.replace("neutron-server", name), more)
        for name, argv, more in _parts(given.config_file)
    ]
    while not told.wait(0.2) and all(part.poll() is None for part in parts):
        pass
    return _ended(parts)


def _parts(files: list[str]) -> list[tuple[str, list[str], dict[str, str]]]:
    bin_ = Path(sys.executable).parent
    config = [word for file in files for word in ("--config-file", file)]
    named = {"OS_NEUTRON_CONFIG_DIR": "/", "OS_NEUTRON_CONFIG_FILES": ";".join(files)}
    found: list[tuple[str, list[str], dict[str, str]]] = [
        ("api", _api(files), named),
        ("rpc", [str(bin_ / "neutron-rpc-server"), *config], {}),
    ]  # fmt: skip
    if os.environ.get("NEUTRON_PERIODIC") == "1":
        found.append(("periodic", [str(bin_ / "neutron-periodic-workers"), *config], {}))
    return found


def _api(files: list[str]) -> list[str]:
    conf = configparser.ConfigParser(interpolation=None, strict=False)
    conf.read(files)
    venv = Path(sys.executable).parents[1]
    return [
        str(venv / "bin/uwsgi"), "--http-socket", f"127.0.0.1:{conf['DEFAULT']['bind_port']}",
        "--module", "neutron.wsgi.api:application", "--virtualenv", str(venv), "--master",
        "--processes", conf["DEFAULT"].get("api_workers", "1"), "--threads", "4",
        "--enable-threads", "--lazy-apps", "--thunder-lock", "--buffer-size", "65535",
        "--die-on-term", "--add-header", "Connection: close", "--plugins-dir", "/",
    ]  # fmt: skip


def _started(argv: list[str], log: Path, more: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("ab") as sink:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env={**os.environ, **more}
        )


def _ended(parts: list[subprocess.Popen[bytes]]) -> int:
    for part in parts:
        part.terminate()
    for part in parts:
        try:
            part.wait(8)
        except subprocess.TimeoutExpired:
            part.kill()
            part.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
