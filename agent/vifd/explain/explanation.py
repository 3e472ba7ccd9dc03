"""The answer to "why": steps, a verdict, and what happened before."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from vifd.model import Evidence
from vifd.model.family import Family


class Name(StrEnum):
    """The steps, in the order of the path."""

    INTENT = "intent"
    CHOICE = "choice"
    NAMES = "names"
    DEVICE = "device"
    SWITCH = "switch"
    PORT = "port"
    FLOWS = "flows"
    WIRING = "wiring"  #: what another program makes for the port, on a bridge of its own
    FILTER = "filter"
    UPLINK = "uplink"
    TRACE = "trace"
    GUEST = "guest"
    STATUS = "status"
    REPORT = "report"


class State(StrEnum):
    """What is known of a step."""

    OK = "ok"
    BROKEN = "broken"
    UNKNOWN = "unknown"  #: nothing was read that tells
    SKIPPED = "not reached"  #: not made, because an earlier step is broken


class Step(Struct, frozen=True, kw_only=True):
    """One step of the path.

    :param sentence: what it is, and of a broken one what it should be
    :param hint: what mends a broken one
    :param because: the step that this one is broken by; empty for one that is broken by itself
    :param facts: what was read
    """

    name: Name
    state: State
    sentence: str
    hint: str = ""
    because: Name | None = None
    facts: list[Evidence] = []


class Happening(Struct, frozen=True, kw_only=True):
    """Something that happened to the port before.

    :param at: seconds since the epoch
    :param lasted: seconds until the port was as wanted again; ``None`` where it was not yet
    """

    at: float
    event: str
    text: str
    lasted: float | None = None


class Explanation(Struct, frozen=True, kw_only=True):
    """Why a port works, or does not.

    :param healthy: no step is broken
    :param broken: the first broken step that no other one explains
    :param sentence: the verdict
    :param hint: what an operator can do
    :param action: what vifd does about it
    :param asked: whether the host was read for this answer
    :param unasked: why it was not; the facts are then those of the last report
    :param read_at: when the facts were read, seconds since the epoch
    :param age: how old they are, seconds
    :param history: what happened before, newest first
    :param trunk: of a trunk's parent its sub-ports, of a sub-port its parent; ``null`` for others
    """

    port: str
    name: str
    device: str
    plugin: str
    phase: str
    role: str
    status: str
    healthy: bool
    broken: Name | None
    sentence: str
    hint: str
    action: str
    asked: bool
    unasked: str
    read_at: float | None
    age: float | None
    steps: list[Step]
    history: list[Happening]
    trunk: Family | None = None
