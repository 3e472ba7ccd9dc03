"""What a change of one piece of a shared set costs, in CPU time of all threads:
``PYTHONPATH=tests:agent python bench/sets.py``.

100 ports of a fake host are in one group, whose rules let in the members of another one; one member
of that comes and goes. Beside it, the set as a whole is said again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from support.holding import HeldMachine, group, held_machine, in_groups, ingress
from vifd.plugin import SetChange

WEB, MEMBERS = group(1), group(2)


def taking_up(changes: object) -> tuple[str, ...]:
    """A plugin that has nothing to do: what is measured is journal and engine."""
    assert isinstance(changes, list | tuple)
    assert all(isinstance(change, SetChange) for change in changes)
    return ()


def measured(machine: HeldMachine, members: int, repeat: int) -> tuple[float, float]:
    """Seconds of CPU of a member that comes or goes, and of the set said again with one more."""
    body = [{"ip_address": f"10.{n >> 8}.{n & 255}.1"} for n in range(members)]
    machine.put_set(MEMBERS, members=body)
    one = {"members": [{"ip_address": "192.0.2.1", "mac_address": "fa:16:3e:00:00:01"}]}

    def patch(turn: int) -> None:
        machine.patch_set(MEMBERS, **{"remove" if turn % 2 else "add": one})

    def put(turn: int) -> None:
        more = [{"ip_address": "192.0.2.2"}] if turn % 2 else []
        machine.put_set(MEMBERS, members=[*body, *more])

    return timed(patch, repeat), timed(put, max(4, repeat // 10))


def timed(work: Callable[[int], None], repeat: int) -> float:
    """The median of the seconds of CPU that it takes."""
    taken = []
    for turn in range(repeat):
        began = time.process_time()
        work(turn)
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ports", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--members", type=int, nargs="*", default=[10, 100, 1000, 5000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        machine = held_machine(Path(directory), verify=30.0)
        try:
            machine.put_set(WEB, rules=[ingress(MEMBERS)])
            machine.put_set(MEMBERS)
            for number in range(1, options.ports + 1):
                machine.plug(in_groups(number, WEB))
            machine.plugin.refresh = taking_up  # type: ignore[method-assign]
            sys.stdout.write(
                "| members | one member, ms of CPU | said again, ms of CPU |\n|---|---|---|\n"
            )
            for members in options.members:
                one, whole = measured(machine, members, options.repeat)
                sys.stdout.write(f"| {members} | {one * 1e3:.2f} | {whole * 1e3:.2f} |\n")
        finally:
            machine.halt()


if __name__ == "__main__":
    main()
