"""Asking a QEMU binary what it can do: one short process without a machine, as libvirt does it."""

from __future__ import annotations

import json
import os
import subprocess
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


def interrogate(binary: str, timeout: float = TIMEOUT) -> Qemu:
    """Start a binary, ask it, and wait for its end.

    :raises Unreadable: it cannot be started, takes too long, or answers something else
    """
    problem = Unreadable("")
    for accelerator in _ACCELERATORS:
        try:
            return _ask(binary, accelerator, timeout)
        except Refused as refused:
            problem = refused
    raise problem


def _ask(binary: str, accelerator: tuple[str, ...], timeout: float) -> Qemu:
    lines = [json.dumps({"execute": q, "arguments": a, "id": q}) for q, a in _QUESTIONS]
    try:
        done = subprocess.run(  # noqa: S603 - the emulator that guests are run with
            [binary, *_ARGUMENTS, *accelerator], input="\n".join(lines), capture_output=True,
            text=True, errors="replace", timeout=timeout, env=_ENVIRONMENT, cwd=os.sep, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Unreadable(f"{binary} gave no answer in {timeout:g} s") from error
    except OSError as error:
        raise Unreadable(f"{binary} cannot be started: {error.strerror}") from error
    try:
        return read(done.stdout)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = (done.stderr.strip() or repr(error)).splitlines()[-1][:200]
        raise Refused(f"{binary} (exit code {done.returncode}): {said}") from error


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
