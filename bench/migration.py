"""How long the network of a guest is gone in a live migration, and how much of it is vifd's.

``make migration`` (``python bench/migration.py --keep``) takes ten minutes on a quiet machine
and needs root, QEMU, libvirt and Open vSwitch; nothing of the host's is touched. Two hosts in
namespaces, with libvirt, a switch and vifd each, joined by VLAN and by VXLAN; a real guest under
TCG moves between them. A third place pings it every 10 ms and holds a TCP connection. It prints a
table and keeps it in bench/MIGRATION.md with the timeline of each migration and a picture.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import migration_page
import migration_picture
from migration_page import shown
from support.moving.figures import Figures, figures
from support.moving.many import moved_at_once
from support.moving.move import Mover
from support.moving.world import World, as_peers
from vifd.testing import netns
from vifd.testing.bootable import lacking

RESULTS = Path(__file__).with_name("MIGRATION.md")
PICTURE = Path(__file__).parent.parent / "docs" / "migration.svg"
#: By way and kind of network: (how, post-copy, migrations).
PLAN = [
    ("vlan", "source", False, 10), ("vlan", "destination", False, 10), ("vlan", "open", False, 5),
    ("vxlan", "source", False, 5), ("vxlan", "destination", False, 5), ("vxlan", "open", False, 5),
    ("vlan", "destination", True, 5), ("vlan", "source", True, 5),
]  # fmt: skip
#: So many guests move at once, by the source's word.
AT_ONCE = 10
#: So many guests may die until a series is given up.
DEATHS = 5


def series(kind: str, how: str, postcopy: bool, number: int) -> Iterator[Figures]:
    """So many migrations; one whose guest died is told and begun anew with another guest."""
    done = deaths = 0
    while done < number and deaths < DEATHS:
        with contextlib.ExitStack() as stack:
            disk = stack.enter_context(tempfile.TemporaryDirectory(prefix="m-"))
            world = stack.enter_context(World(Path(disk), kind, options(how)))
            world.up()
            world.guest()
            mover = Mover(world, how, postcopy=postcopy)
            while done < number and deaths < DEATHS:
                one = figures(mover.move())
                yield one
                if one.dead:
                    deaths += 1
                    break
                done += 1


def at_once() -> Iterator[Figures]:
    """Many guests of one host leave it at the same moment."""
    with contextlib.ExitStack() as stack:
        disk = stack.enter_context(tempfile.TemporaryDirectory(prefix="m-"))
        world = stack.enter_context(World(Path(disk), "vlan", as_peers))
        world.up()
        yield from map(figures, moved_at_once(world, AT_ONCE))


def options(how: str) -> Callable[[int], dict[str, Any]]:
    """Of vifd on both hosts."""
    return as_peers if how == "source" else lambda _number: {}


def plan(moves: int) -> Iterator[tuple[str, Iterator[Figures]]]:
    """Every series by its name.

    :param moves: in each; 0 for as many as it has
    """
    for kind, how, postcopy, number in PLAN:
        name = how + (" post-copy" if postcopy else "")
        yield f"{kind}-{name}", series(kind, how, postcopy, moves or number)
    yield f"vlan-source, {AT_ONCE} at once", at_once()


def line(one: Figures) -> str:
    """One migration, for who watches."""
    return (
        f"{one.kind:6} {one.how:20} downtime {shown(one.downtime):>5} gap {shown(one.gap):>5} "
        f"added {shown(one.added):>5} frames {shown(one.frames):>5} lost {one.lost:3} "
        f"doubled {one.doubled} tcp {shown(one.tcp):>5} leaked {one.leaked} "
        f"{'DEAD' if one.dead else ''}"
    )


def main() -> None:
    """Migrate, and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--keep", action="store_true", help="write bench/MIGRATION.md anew")
    parser.add_argument("--only", default="", help="a part of the name of a series: vlan-source")
    parser.add_argument("--moves", type=int, default=0, help="migrations in each series")
    parser.add_argument("--minutes", type=float, default=0, help="then no other series begins")
    arguments = parser.parse_args()
    if (reason := lacking()) is not None:
        sys.exit(f"nothing can be moved here: {reason}")
    kept: list[Figures] = []
    began = time.monotonic()
    load = f"{os.getloadavg()[0]:.0f}"
    for name, moves in plan(arguments.moves):
        if arguments.only not in name:
            continue
        if 0 < arguments.minutes < (time.monotonic() - began) / 60:
            print(f"{name}: left out, the time is up")
            continue
        for one in moves:
            print(line(one), flush=True)
            kept.append(one)
        if arguments.keep:
            # a series is worth keeping whatever becomes of the next
            RESULTS.write_text(migration_page.page(kept, f"{load} to {os.getloadavg()[0]:.0f}"))
            PICTURE.write_text(migration_picture.drawn(kept))
    print(migration_page.table(kept))


if __name__ == "__main__":
    netns.enter_private_netns()
    main()
