"""Where ``tools/neutron-env`` puts what a real Neutron needs."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[3]
#: The environment of Neutron, apart from vifd's own.
VENV = ROOT / ".venv/neutron"
PYTHON = VENV / "bin/python"
#: The environment of the oldest release that is supported.
OLD = ROOT / ".venv/neutron27"
#: The source distribution: Neutron's own suite, its sample files and its tools.
SUITE = VENV / "suite"
#: The script of Debian's package that is no wrapper of ``su``.
RABBITMQ = Path("/usr/lib/rabbitmq/bin")
_PROGRAMS = ("mariadbd", "mariadb-install-db", "ovs-vswitchd", "conntrack")


def lacking(venv: Path = VENV) -> str:
    """What a real Neutron lacks on this machine, in words; empty where all is there."""
    if not (venv / "stamp").exists():
        return f"no .venv/{venv.name}; tools/neutron-env makes it"
    missing = [name for name in _PROGRAMS if shutil.which(name, path=_path()) is None]
    if not (RABBITMQ / "rabbitmq-server").exists():
        missing.append("rabbitmq-server")
    return f"without {', '.join(missing)}; tools/neutron-env installs it" if missing else ""


def _path() -> str:
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
