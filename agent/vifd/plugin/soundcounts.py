"""Counters that a plugin answers, judged where they come in."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from vifd.model.counted import Count, Counted, Reason, Way


def sound(answer: object, asked: Collection[str]) -> dict[str, Counted]:
    """What ``counters`` says of the ports that were asked for.

    :raises TypeError: it is something else
    """
    if not isinstance(answer, Mapping):
        raise TypeError(f"{type(answer).__name__} instead of counters by port")
    found = {i: answer[i] for i in asked if i in answer}
    for one in found.values():
        if not isinstance(one, Counted):
            raise TypeError(f"{type(one).__name__} instead of Counted")
        for way in (one.sent, one.received):
            _judge(way)
    return found


def _judge(way: object) -> None:
    if not isinstance(way, Way) or not isinstance(way.refused, Mapping):
        raise TypeError(f"{type(way).__name__} instead of Way")
    if not isinstance(way.untold, frozenset):
        raise TypeError(f"{type(way.untold).__name__} instead of reasons")
    if not all(isinstance(reason, Reason) for reason in (*way.refused, *way.untold)):
        raise TypeError("a reason that is none")
    for count in (way.offered, way.passed, *way.refused.values()):
        if count is not None and not _whole(count):
            raise TypeError(f"{count!r:.80} instead of a Count")


def _whole(count: object) -> bool:
    if not isinstance(count, Count):
        return False
    numbers: tuple[object, object] = count.packets, count.bytes
    return all(isinstance(n, int) and n >= 0 for n in numbers)


def sound_numbers(answer: object, asked: Collection[str]) -> dict[str, int]:
    """What ``unlogged`` says of the ports that were asked for.

    :raises TypeError: it is something else
    """
    if not isinstance(answer, Mapping):
        raise TypeError(f"{type(answer).__name__} instead of numbers by port")
    found = {i: answer[i] for i in asked if i in answer}
    for number in found.values():
        if not isinstance(number, int) or number < 0:
            raise TypeError(f"{number!r:.80} instead of a number of packets")
    return found
