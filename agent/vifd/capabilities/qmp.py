"""Asking a QEMU binary what it can do: one short process without a machine, as libvirt does it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vifd.capabilities.tree import Unreadable

#: Seconds that the binary may take.
TIMEOUT = 10.0

_ARGUMENTS = ("-S", "-no-user-config", "-nodefaults", "-nographic", "-qmp", "stdio")
#: How it shall run what it will never run, in the order tried. The first takes no memory that is
#: writable and executable, which the daemon's unit denies; QEMU knows it from 6.0 on.
_ACCELERATORS = (
    ("-machine", "none", "-accel", "tcg,split-wx=on"),
    ("-machine", "none,accel=tcg:kvm"),
)
_QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("qmp_capabilities", {}),
    ("qom-list-types", {"abstract": False}),
    ("query-machines", {}),
    ("device-list-properties", {"typename": "virtio-net-pci"}),
    ("query-qmp-schema", {}),
    ("quit", {}),
)
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True)
class Qemu:
    """What a binary said.

    :param types: of its objects: devices, accelerators, memory backends
    :param machines: names and aliases of its machine types
    :param netdevs: kinds of host network backends
    :param virtio_net: properties of its virtio network device
    """

    version: str
    types: frozenset[str] = frozenset()
    machines: frozenset[str] = frozenset()
    netdevs: frozenset[str] = frozenset()
    virtio_net: frozenset[str] = field(default=frozenset())


class Refused(Unreadable):
    """It ended without the answers."""


class Interrogator:
    """Starts a binary, asks it, and waits for its end; one at a time.

    :param timeout: seconds that it may take
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._running: subprocess.Popen[str] | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def __call__(self, binary: str) -> Qemu:
        """What the binary says.

        :raises Unreadable: it cannot be started, takes too long, or answers something else
        """
        problem = Unreadable("")
        for accelerator in _ACCELERATORS:
            try:
                return self._ask(binary, accelerator)
            except Refused as refused:
                problem = refused
        raise problem

    def stop(self) -> None:
        """End the one that runs, and start no other."""
        with self._lock:
            self._stopped = True
            if self._running is not None:
                self._running.kill()

    def _ask(self, binary: str, accelerator: tuple[str, ...]) -> Qemu:
        code, told, complaints = self._run([binary, *_ARGUMENTS, *accelerator])
        try:
            return read(told)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            said = (complaints.strip() or repr(error)).splitlines()[-1][:200]
            raise Refused(f"{binary} (exit code {code}): {said}") from error

    def _run(self, argv: list[str]) -> tuple[int, str, str]:
        """Exit code, output and errors.

        All questions wait for the binary before it starts, and its answers go into memory that
        needs no reader: where the daemon is killed meanwhile, it comes to its "quit" all the same.
        """
        with (
            open(os.memfd_create("qmp"), "w+", errors="replace") as answers,
            open(_asked(), "rb") as questions,
        ):
            process = self._start(argv, questions.fileno(), answers.fileno())
            try:
                _, complaints = process.communicate(timeout=self._timeout)
            except subprocess.TimeoutExpired as error:
                raise Unreadable(f"{argv[0]} gave no answer in {self._timeout:g} s") from error
            finally:
                with self._lock:
                    self._running = None
                if process.poll() is None:
                    process.kill()
                    process.communicate()
            answers.seek(0)
            return process.returncode, answers.read(), complaints

    def _start(self, argv: list[str], questions: int, answers: int) -> subprocess.Popen[str]:
        with self._lock:
            if self._stopped:
                raise Unreadable(f"{argv[0]} was not asked: the daemon is stopping")
            try:
                self._running = subprocess.Popen(  # noqa: S603 - what guests are run with
                    argv, stdin=questions, stdout=answers, stderr=subprocess.PIPE, text=True,
                    errors="replace", env=_ENVIRONMENT, cwd=os.sep,
                )  # fmt: skip
            except OSError as error:
                raise Unreadable(f"{argv[0]} cannot be started: {error.strerror}") from error
            return self._running


def _asked() -> int:
    """A pipe that holds all questions; they are much shorter than a pipe is deep."""
    lines = [json.dumps({"execute": q, "arguments": a, "id": q}) for q, a in _QUESTIONS]
    questions, end = os.pipe()
    with open(end, "w") as pipe:
        pipe.write("\n".join(lines))
    return questions


def read(output: str) -> Qemu:
    """The answers of a binary. Pure.

    :raises ValueError, KeyError, TypeError, AttributeError: they are not what they should be
    """
    greeting, answers = {}, {}
    for line in filter(None, output.splitlines()):
        message = json.loads(line)
        if "QMP" in message:
            greeting = message["QMP"]["version"]["qemu"]
        elif "id" in message and "return" in message:
            answers[message["id"]] = message["return"]
    return Qemu(
        version="{major}.{minor}.{micro}".format(**greeting),
        types=frozenset(item["name"] for item in answers["qom-list-types"]),
        machines=frozenset(_machines(answers["query-machines"])),
        netdevs=frozenset(_netdevs(answers.get("query-qmp-schema", []))),
        virtio_net=frozenset(p["name"] for p in answers.get("device-list-properties", [])),
    )


def _machines(answer: list[dict[str, Any]]) -> Iterator[str]:
    for machine in answer:
        yield machine["name"]
        if "alias" in machine:
            yield machine["alias"]


def _netdevs(schema: list[dict[str, Any]]) -> list[str]:
    """The values of the one enumeration of the schema that names kinds of network backends."""
    for item in schema:
        values = item.get("values") or ()
        if item.get("meta-type") == "enum" and {"tap", "hubport"} <= set(values):
            return list(values)
    return []
