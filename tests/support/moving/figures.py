"""What follows from what was seen of a migration. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from support.moving.wire import Seen

MAC = "fa:16:3e:00:00:01"


@dataclass
class Evidence:
    """Everything that was seen; times in seconds since the epoch.

    :param source: the number of the host that the guest left
    :param downtime: milliseconds that QEMU says the guest did not run; it says none of a post-copy
    :param migration: what the destination's vifd tells of it
    :param closed: when the source's port was closed
    :param here: frames of the source's devices
    :param there: those of the destination's
    :param dead: the guest's kernel gave up
    :param mac: the guest's
    """

    how: str
    kind: str
    postcopy: bool
    began: float
    ended: float
    source: int
    downtime: float | None
    suspended: float | None
    resumed: float | None
    migration: dict[str, Any] | None
    closed: float
    pings: dict[int, float]
    answers: list[tuple[int, float]]
    taken: list[float]
    ends: list[tuple[float, str]]
    here: list[Seen]
    there: list[Seen]
    dead: bool
    mac: str = MAC


@dataclass
class Figures:
    """One migration; milliseconds.

    :param pause: from libvirt's word that it stopped to the one that it runs
    :param gap: from the last answer before the guest ran on the new host to the first one after
    :param added: the gap without QEMU's downtime
    :param frames: from the last frame of the port on the old host to the first on the new one
    :param tcp: the longest time in which the peer did not take what it was sent; ``None``: it broke
    :param leaked: frames of or to the guest that passed the closed port, on either side
    """

    how: str
    kind: str
    source: int
    downtime: float | None
    pause: float | None
    gap: float
    added: float | None
    frames: float | None
    lost: int
    doubled: int
    tcp: float | None
    leaked: int
    opened: float | None
    said: float | None
    dead: bool
    timeline: list[tuple[str, float]]


def longest(times: Sequence[float]) -> tuple[float, float]:
    """The longest pause between two of them: its length and its begin."""
    return max(((b - a, a) for a, b in pairwise(times)), default=(0.0, 0.0))


def around(times: Sequence[float], moment: float | None) -> tuple[float, float]:
    """The pause between two of them that ends with the first one after a moment; the longest one
    where that is not known. A busy machine makes others."""
    if moment is None:
        return longest(times)
    before = [at for at in times if at <= moment]
    after = [at for at in times if at > moment]
    return (after[0] - before[-1], before[-1]) if before and after else longest(times)


def figures(seen: Evidence) -> Figures:
    """What one migration cost."""
    answered = [at for _, at in seen.answers]
    gap, begin = around(answered, seen.resumed)
    numbers = [number for number, _ in seen.answers]
    opened = opened_at(seen.migration)
    pause = None
    if seen.suspended is not None and seen.resumed is not None:
        pause = (seen.resumed - seen.suspended) * 1000
    downtime = seen.downtime if seen.downtime is not None else pause
    last = last_frame(seen.here, seen.mac)
    first = first_frame(seen.there, last, seen.mac)
    alive = not seen.ends and any(at > seen.closed + 1.0 for at in seen.taken)
    whole = [n for n, at in seen.pings.items() if at < seen.ended - 1.0]
    migration = seen.migration or {}
    return Figures(
        how=seen.how + (" post-copy" if seen.postcopy else ""), kind=seen.kind, source=seen.source,
        downtime=downtime, pause=pause, gap=gap * 1000,
        added=gap * 1000 - downtime if downtime is not None else None,
        frames=(first - last) * 1000 if first is not None and last is not None else None,
        lost=len(set(whole) - set(numbers)), doubled=len(numbers) - len(set(numbers)),
        tcp=longest(seen.taken)[0] * 1000 if alive else None,
        leaked=len(list(leaks(seen, opened))), opened=opened, said=migration.get("added_ms"),
        dead=seen.dead or not any(at > seen.ended - 1.0 for at in answered),
        timeline=timeline(seen, begin, gap),
    )  # fmt: skip


def opened_at(migration: dict[str, Any] | None) -> float | None:
    """When the destination's vifd began to open the port: nothing passed before."""
    steps = {s["step"]: s for s in (migration or {}).get("timeline", ())}
    return steps["opened"]["begin"] if "opened" in steps else None


def last_frame(here: Iterable[Seen], mac: str = MAC) -> float | None:
    """When the guest last sent on the old host."""
    sent = [s.at for s in here if s.device.startswith("tap") and not s.out and s.source == mac]
    return max(sent, default=None)


def first_frame(there: Iterable[Seen], after: float | None, mac: str = MAC) -> float | None:
    """When the guest was first heard of or reached on the new host's side of the port."""
    passed = [
        s.at for s in there
        if (s.device == "eth0" and s.out and s.source == mac)
        or (s.device.startswith("tap") and s.out and s.destination == mac)
    ]  # fmt: skip
    return min((at for at in passed if after is None or at > after), default=None)


def leaks(seen: Evidence, opened: float | None) -> Iterable[Seen]:
    """Frames that passed a closed port: on the new host before it was opened, on the old one after
    it was closed."""
    for frame in seen.there:
        if opened is not None and frame.at < opened and passed(frame, seen.mac):
            yield frame
    for frame in seen.here:
        if frame.at > seen.closed and passed(frame, seen.mac):
            yield frame


def passed(frame: Seen, mac: str = MAC) -> bool:
    """Whether a frame came through the port: from the guest to a cable, or from one to it."""
    if frame.device.startswith("tap"):
        return frame.out
    return frame.out and frame.source == mac


def timeline(seen: Evidence, begin: float, gap: float) -> list[tuple[str, float]]:
    """What happened when, in milliseconds after the guest stopped."""
    zero = seen.suspended or begin
    steps = {s["step"]: s for s in (seen.migration or {}).get("timeline", ())}
    ends = {name: s["begin"] + s["milliseconds"] / 1000 for name, s in steps.items()}
    found = [
        ("last answer", begin), ("source suspended", seen.suspended), ("asked", _asked(seen)),
        ("opened", ends.get("opened")), ("announced", ends.get("announced")),
        ("destination resumed", seen.resumed), ("next answer", begin + gap),
        ("recorded", ends.get("recorded")),
    ]  # fmt: skip
    return [(name, (at - zero) * 1000) for name, at in found if at is not None]


def _asked(seen: Evidence) -> float | None:
    triggers = (seen.migration or {}).get("triggers", ())
    return triggers[0]["at"] if triggers else None
