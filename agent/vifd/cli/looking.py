"""What ``vifctl bundle`` looks at on the host itself, besides what the daemon says.

Programs of the system are asked here and nowhere else: who gives support reads their words, and
they are a second opinion that no fault of vifd can colour.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

#: Seconds that a program may take; a switch that hangs shall not hold the bundle up.
PATIENCE = 10.0
#: Bytes that are kept of a program's words.
MOST = 4 << 20
_ADMIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")


class Question(NamedTuple):
    """A program and where its words go.

    :param name: of the file in the bundle
    :param tail: whether the end is worth more than the beginning
    """

    name: str
    argv: Sequence[str]
    tail: bool = False


class Answer(NamedTuple):
    """What came of a question; ``problem`` where it is not all."""

    text: str
    problem: str = ""


#: The host, the switch's database, the kernel's tables, the logs.
HOST = (
    Question("host/uname.txt", ("uname", "-a")),
    Question("host/interfaces.txt", ("ip", "-d", "-s", "link")),
    Question("host/addresses.txt", ("ip", "address")),
    Question("host/routes.txt", ("ip", "route", "show", "table", "all")),
    Question("host/neighbours.txt", ("ip", "neighbour")),
    Question("host/bridge-links.txt", ("bridge", "-d", "link")),
    Question("host/bridge-fdb.txt", ("bridge", "fdb")),
    Question("host/bridge-vlans.txt", ("bridge", "vlan")),
    Question("host/nftables.txt", ("nft", "list", "ruleset")),
    Question("host/processes.txt", ("ps", "-eo", "pid,ppid,user,stat,rss,etime,comm")),
    Question("host/service.txt", ("systemctl", "--no-pager", "status", "vifd")),
    Question("host/guests.txt", ("virsh", "--readonly", "list", "--all")),
    Question(
        "logs/journald.txt",
        ("journalctl", "--no-pager", "--output=short-iso-precise", "--lines=20000",
         "--unit=vifd", "--unit=ovs-vswitchd", "--unit=ovsdb-server", "--unit=libvirtd"),
        tail=True,
    ),
)  # fmt: skip
#: Files of the host, each as it stands.
FILES = (
    "/etc/os-release", "/proc/meminfo", "/proc/cpuinfo", "/proc/modules", "/proc/cmdline",
    "/proc/sys/net/bridge/bridge-nf-call-iptables",
)  # fmt: skip


def switch(database: str, rundir: str) -> Iterator[Question]:
    """Everything of Open vSwitch: ours and what is around it.

    :param database: as ovs-vsctl takes it; empty for its own default
    :param rundir: where its bridges' sockets are; empty for the default
    """
    db = [f"--db={database}"] if database else []
    yield Question("switch/show.txt", ("ovs-vsctl", "--timeout=8", *db, "show"))
    for table in ("Open_vSwitch", "Bridge", "Port", "Interface", "QoS", "Queue", "Mirror",
                  "Controller", "Manager"):  # fmt: skip
        asked = ("ovs-vsctl", "--timeout=8", *db, "--format=json", "list", table)
        yield Question(f"switch/rows/{table}.json", asked)
    yield Question("switch/datapath-flows.txt", ("ovs-appctl", "--timeout=8", "dpctl/dump-flows"))
    listed = ask(("ovs-vsctl", "--timeout=8", *db, "list-br"))
    # what it says where it fails names no bridge
    for bridge in [] if listed.problem else listed.text.split():
        where = f"{rundir}/{bridge}.mgmt" if rundir else bridge
        for verb in ("dump-flows", "dump-ports", "dump-groups", "dump-tables", "show"):
            argv = ("ovs-ofctl", "--timeout=8", "-OOpenFlow14", verb, where)
            yield Question(f"switch/{_plain(bridge)}/{verb}.txt", argv)


def ask(argv: Sequence[str], *, tail: bool = False, env: Mapping[str, str] | None = None) -> Answer:
    """A program's words, as far as they come in time and are not too many."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *_ADMIN])
    program = shutil.which(argv[0], path=path)
    if program is None:
        return Answer("", f"{argv[0]} is not installed")
    with tempfile.TemporaryFile() as output:
        problem = _run([program, *argv[1:]], output, {**os.environ, "LC_ALL": "C", **(env or {})})
        text, cut = _part(output, tail=tail)
    return Answer(text, "; ".join(filter(None, (problem, cut))))


def _run(argv: Sequence[str], output: object, env: Mapping[str, str]) -> str:
    """Run it with nothing to read from; what went wrong, or nothing."""
    try:
        process = subprocess.Popen(  # noqa: S603 - a program of the lists above
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env,
            start_new_session=True,
        )  # type: ignore[call-overload]  # fmt: skip
    except OSError as error:
        return f"it cannot be run: {error.strerror}"
    try:
        code = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        return f"it was ended after {PATIENCE:g} s without an answer"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return f"it ended with {code}" if code else ""


def _part(file: object, *, tail: bool) -> tuple[str, str]:
    """So much of a file as is kept, and what was left out."""
    size = file.seek(0, os.SEEK_END)  # type: ignore[attr-defined]
    begin = max(0, size - MOST) if tail else 0
    file.seek(begin)  # type: ignore[attr-defined]
    text = file.read(MOST).decode("utf-8", "replace")  # type: ignore[attr-defined]
    left = size - MOST
    return text, f"{left} bytes of {size} are left out" if left > 0 else ""


def read(path: Path, *, tail: bool = False) -> Answer:
    """A file's text, as far as it is kept."""
    try:
        with path.open("rb") as file:
            if not tail and not path.is_file():
                return Answer("", "it is no file")
            if str(path).startswith(("/proc/", "/sys/")):
                return Answer(file.read(MOST).decode("utf-8", "replace"))
            return Answer(*_part(file, tail=tail))
    except OSError as error:
        return Answer("", f"it cannot be read: {error.strerror}")


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)
