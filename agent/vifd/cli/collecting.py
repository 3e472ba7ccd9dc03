"""What goes into a support bundle, in the order of its worth: what comes last is cut first."""

from __future__ import annotations

import configparser
import json
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import vifd
from vifd.cli import looking
from vifd.cli.client import Client, Refused, TimedOut, Unreachable, port_path
from vifd.cli.masking import masked

#: The daemon's answers, by the name of their file.
ANSWERS = {
    "status": "/v1/status",
    "plugins": "/v1/plugins",
    "host": "/v1/host",
    "ports": "/v1/ports",
    "reconcile": "/v1/reconcile",
    "garbage": "/v1/garbage",
    "security-groups": "/v1/security-groups",
    "address-groups": "/v1/address-groups",
    "networks": "/v1/networks",
    "logs": "/v1/logs",
}
#: Phases of a port that works, or that nobody wants to work now.
_WELL = ("LIVE", "READY", "QUIESCED", "BOUND", "WAITING")
#: Ports that are explained; each reads the host.
EXPLAINED = 200
#: Seconds that the explanation of one port may take.
_PATIENCE = 5.0
_LOGS = 3


class Piece(NamedTuple):
    """One file of the bundle, and what makes it."""

    name: str
    make: Callable[[], looking.Answer | bytes]


class Places(NamedTuple):
    """Where things of this host's vifd are.

    :param config: the configuration files that are there
    """

    config: Sequence[Path]
    journal: Path
    logs: Sequence[Path]
    database: str
    rundir: str


def places(config: Path) -> Places:
    """What the configuration says, or the defaults where it cannot be read."""
    files = [config, *sorted(config.parent.glob(f"{config.name}.d/*.conf"))]
    found = configparser.ConfigParser(interpolation=None, strict=False, default_section="\0")
    for file in files:
        try:
            found.read(file)
        except (OSError, configparser.Error, UnicodeError):
            continue

    def said(group: str, name: str, default: str) -> str:
        return found.get(group, name, fallback=default)

    state = Path(said("DEFAULT", "state_path", "/var/lib/vifd"))
    log = said("DEFAULT", "log_file", "")
    folder = Path(said("DEFAULT", "log_dir", "/var/log/vifd"))
    logs = [folder / log] if log else sorted(folder.glob("*.log"))
    return Places(
        [file for file in files if file.exists()], state / "journal.db", logs[:_LOGS],
        said("openvswitch", "ovsdb_connection", ""), said("openvswitch", "rundir", ""),
    )  # fmt: skip


def versions() -> dict[str, Any]:
    """What runs here, by the word of who collects it."""
    wanted = ("eventlet", "falcon", "oslo.config", "os-vif", "ovs", "pyroute2", "libvirt-python")
    found = {}
    for name in wanted:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return {
        "made_at": time.time(), "vifctl": vifd.__version__, "python": sys.version,
        "host": platform.node(), "kernel": platform.release(), "libraries": found,
    }  # fmt: skip


def pieces(client: Client, where: Places) -> Iterator[Piece]:
    """Everything that is collected."""
    yield Piece("versions.json", lambda: looking.Answer(json.dumps(versions(), indent=1)))
    for name, path in ANSWERS.items():
        yield Piece(f"api/{name}.json", lambda path=path: _answer(client, path))  # type: ignore[misc]
    yield Piece("api/events.json", lambda: _events(client))
    yield Piece("metrics.txt", lambda: _metrics(client))
    for port in _broken(client):
        path = port_path(port, "explain")
        yield Piece(
            f"api/explain/{port}.json",
            lambda path=path: _answer(client, path, {"timeout": _PATIENCE}),  # type: ignore[misc]
        )
    for file in where.config:
        yield Piece(f"config/{file.name}", lambda file=file: looking.read(file))  # type: ignore[misc]
    yield Piece("journal.db", lambda: _journal(where.journal))
    for file in where.logs:
        yield Piece(f"logs/{file.name}", lambda file=file: looking.read(file, tail=True))  # type: ignore[misc]
    rundir = {"OVS_RUNDIR": where.rundir} if where.rundir else {}
    for question in (*looking.switch(where.database, where.rundir), *looking.HOST):
        yield Piece(
            question.name,
            lambda q=question: looking.ask(q.argv, tail=q.tail, env=rundir),  # type: ignore[misc]
        )
    for name in looking.FILES:
        file = Path(name)
        yield Piece(f"host/{file.name}.txt", lambda file=file: looking.read(file))  # type: ignore[misc]


def answered(piece: Piece) -> tuple[str | bytes, str, float]:
    """Make a piece; its content without secrets, what is not all of it, and how long it took."""
    began = time.monotonic()
    try:
        found = piece.make()
    except (Refused, Unreachable, TimedOut, OSError, ValueError, sqlite3.Error) as error:
        found = looking.Answer("", str(error))
    seconds = time.monotonic() - began
    if isinstance(found, bytes):
        return found, "", seconds
    return masked(found.text), found.problem, seconds


def broken(ports: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ports that are not as they should be, so many as are explained."""
    found = [
        str(port["id"])
        for port in ports
        if port.get("error") or port.get("findings") or port.get("phase") not in _WELL
    ]
    return found[:EXPLAINED]


def _broken(client: Client) -> list[str]:
    params = {"fields": "id,phase,error,findings"}
    try:
        return broken(client.call("GET", "/v1/ports", params=params)["ports"])
    except (Refused, Unreachable, TimedOut):
        return []


def _answer(client: Client, path: str, params: Mapping[str, float] | None = None) -> looking.Answer:
    try:
        return looking.Answer(json.dumps(client.call("GET", path, params=params)))
    except Refused as refused:
        return looking.Answer(json.dumps(refused.error), f"refused with {refused.status}")


def _events(client: Client) -> looking.Answer:
    """Numbered, as the stream has them."""
    return looking.Answer(json.dumps(list(client.events("0", follow=False))))


def _metrics(client: Client) -> looking.Answer:
    return looking.Answer(client.text("/metrics"))


def _journal(path: Path) -> bytes:
    """A copy of the journal as it is at one moment; its owner goes on writing."""
    if not path.is_file():
        raise OSError(f"{path} is not there, or may not be read")
    with tempfile.TemporaryDirectory(prefix="vifd-bundle-") as scratch:
        copy = Path(scratch) / "journal.db"
        log = path.with_name(f"{path.name}-wal")
        mode = "mode=ro" if log.exists() else "mode=ro&immutable=1"
        uri = f"{path.absolute().as_uri()}?{mode}"
        source = sqlite3.connect(uri, uri=True, timeout=2)
        with closing(source), closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            # one file, so that it can be read where nothing may be written beside it
            target.execute("PRAGMA journal_mode = DELETE")
        return copy.read_bytes()
