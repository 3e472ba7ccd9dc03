"""Plug and unplug by nova's own code: through vifd-nova and vifd, and by stock os-vif with its
privileged daemon, each in a world of its own, in turns.

Stock writes no flow and proves nothing. ``bench/nova.py --present 0 50 200 --rounds 10``; it takes
.venv/nova (tools/nova-env) and writes bench/NOVA.md with ``--keep``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import nova  # noqa: E402
from world import World  # noqa: E402

#: Numbers of the ports that come and go, above those that are present.
FIRST = 1000
WORLDS = ("nova-vifd", "nova-prewired", "nova-stock")
Times = dict[str, list[float]]
HEAD = """# nova's plug, through vifd and by stock os-vif

{where}; medians of {rounds} in turns; all ports on one network. The bridge is there beforehand.
`first`: the first plug of a process of nova, on a host without ports. `plug`: until the switch
has the port, which with vifd is proven and open when nova's plug returns; stock's returns before
the switch has it, and writes no flow. `bound ahead`: the network service has bound the port with
`prewire`, as it is by default where nova plugs by vifd-nova: nova's plug finds it made and
closed, and has it opened. `unplug`: until nova's call
returns, when both have taken the port from the switch's database and removed its device; vifd has
closed it and has its removal on disk, and clears away its flows after that. `start`: all ports
plugged once more. `memory`: nova's process and what it starts.

"""


def measure(worlds: list[World], present: list[int], rounds: int) -> dict[str, Times]:
    """Milliseconds (of ``memory``: MiB) by what was done, in every world."""
    found: dict[str, Times] = {}

    def note(what: str, world: World, value: float) -> None:
        found.setdefault(what, {}).setdefault(world.name, []).append(value)

    def plug(world: World, number: int, what: str) -> None:
        there, returned = world.call("plug", number)
        note(what, world, 1000 * there)
        note(f"{what}, returns", world, 1000 * returned)

    for world in worlds:
        plug(world, FIRST, "first")
        world.call("unplug", FIRST)
    for count in present:
        for world in worlds:
            world.call("fill", count, timeout=600.0)
        for number in range(FIRST, FIRST + rounds):
            turn = number % len(worlds)
            for world in (*worlds[turn:], *worlds[:turn]):
                plug(world, number, f"plug {count}")
                note(f"unplug {count}", world, 1000 * world.call("unplug", number))
    last = present[-1]
    for world in worlds:
        # nova-compute plugs every instance anew when it starts
        took = sum(world.call("again", number) for number in range(last))
        note(f"start with {last}", world, 1000 * took)
        note("memory", world, world.call("memory"))
    return found


def table(found: dict[str, Times]) -> str:
    """The medians side by side."""
    lines = ["| | vifd | bound ahead | stock os-vif | vifd : stock | ahead : stock |"]
    lines.append("|---|---|---|---|---|---|")
    for name, times in found.items():
        unit = "MiB" if name == "memory" else "ms"
        ours, ahead, theirs = (statistics.median(times[world]) for world in WORLDS)
        cells = [*(f"{value:.1f} {unit}" for value in (ours, ahead, theirs))]
        cells += [f"{value / theirs:.2f}" for value in (ours, ahead)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--present", type=int, nargs="+", default=[0, 50, 200])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--keep", action="store_true", help="write bench/NOVA.md")
    args = parser.parse_args()
    if not (nova.ENVIRONMENT / "stamp").exists():
        raise SystemExit("nova is not there: run tools/nova-env")
    with ExitStack() as stack:
        worlds = []
        for name in WORLDS:
            worlds.append(World(name))
            stack.callback(worlds[-1].close)
        text = table(measure(worlds, args.present, args.rounds))
    print(text)
    if args.keep:
        where = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        head = HEAD.format(where=where, rounds=args.rounds)
        (ROOT / "bench/NOVA.md").write_text(head + text + "\n")


if __name__ == "__main__":
    main()
