"""What ``bench/migration.py`` measured, as a table and as bench/MIGRATION.md. Pure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from support.moving.figures import Figures

#: Milliseconds that may be added to QEMU's downtime, as the median.
AIMS = {"source": 10.0, "destination": 55.0}
HEADS = (
    "network", "opened by", "guests moved", "died", "QEMU's downtime", "gap of the pings",
    "added to the downtime (min..max)", "beyond a port never closed", "aim", "frames", "pings lost",
    "doubled", "TCP silent for", "TCP broke", "through a closed port",
)  # fmt: skip


def median(values: Sequence[float | None]) -> float | None:
    """Of those that are known."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def shown(value: float | None) -> str:
    """For a table."""
    return "-" if value is None else f"{value:.0f}"


def table(every: Sequence[Figures]) -> str:
    """One line per series: medians in milliseconds, and sums."""
    lines = [_line(HEADS), _line(["---"] * len(HEADS))]
    for kind, how in dict.fromkeys((one.kind, one.how) for one in every):
        mine = [one for one in every if (one.kind, one.how) == (kind, how)]
        # what post-copy costs by itself was not measured
        never_closed = None if "post-copy" in how else _added(every, kind, "open")
        lines.append(_line([kind, how, *_cells(mine, never_closed)]))
    return "\n".join(lines)


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _added(every: Sequence[Figures], kind: str, how: str) -> float | None:
    mine = [one for one in every if (one.kind, one.how) == (kind, how) and not one.dead]
    return median([one.added for one in mine])


def _cells(mine: Sequence[Figures], never_closed: float | None) -> list[object]:
    alive = [one for one in mine if not one.dead]
    added = [one.added for one in alive if one.added is not None]
    middle = median(added)
    beyond = None if middle is None or never_closed is None else middle - never_closed
    aim = AIMS.get(mine[0].how)
    met = "-" if aim is None or middle is None else "met" if middle <= aim else "MISSED"
    return [
        len(alive), len(mine) - len(alive), shown(median([one.downtime for one in alive])),
        shown(median([one.gap for one in alive])),
        shown(middle) + (f" ({min(added):.0f}..{max(added):.0f})" if added else ""),
        shown(beyond), met if aim is None else f"{met} {aim:.0f}",
        shown(median([one.frames for one in alive])), shown(median([one.lost for one in alive])),
        sum(one.doubled for one in alive),
        shown(median([one.tcp for one in alive])), sum(one.tcp is None for one in alive),
        sum(one.leaked for one in alive),
    ]  # fmt: skip


def page(every: Sequence[Figures], load: str) -> str:
    """bench/MIGRATION.md."""
    single = []
    for one in every:
        words = ", ".join(f"{name} {at:+.0f}" for name, at in one.timeline)
        single.append(_line([one.kind, one.how + (" (died)" if one.dead else ""), words]))
    return TEXT.format(
        when=time.strftime("%Y-%m-%d"), load=load, table=table(every), single="\n".join(single)
    )


TEXT = """# Live migration: what a guest's peers notice

Made by `make migration` (bench/migration.py) on {when}, load {load}. Two hosts in namespaces
with libvirt, Open vSwitch (userspace datapath) and vifd each; a guest of 96 MiB under TCG, moved by
libvirt (peer to peer, its memory over a cable of its own). A third place behind a switch that
learns pings it every 10 ms and sends a line over one TCP connection every 10 ms; the guest sends
nothing but answers. Medians, in milliseconds.

{table}

- *source*: opened on the word of the source's agent (`[migration] peers`), which has it from its
  libvirt that the guest stopped. *destination*: when libvirt there says that the guest runs.
  *open*: the port there was never closed. What is added then is not vifd's, and the column "beyond"
  is without it. *at once*: guests of 80 MiB leave the host together, pinged every 50 ms each: what
  they wait for is the machine's cores, on which twenty emulators run.
- *gap*: from the last answer before libvirt said that the guest runs on the new host to the first
  one after; up to 10 ms of it are the measurement's. *downtime* is QEMU's own figure; with
  post-copy, which tells none, the time from libvirt's word that the guest stopped to the one that
  it runs.
- *frames*: from the guest's last frame on the old host to the first frame that passed its port on
  the new one, as captured.
- *pings lost*: those that were never answered. What arrives at an open port before the guest runs
  waits in the device and is answered late.
- *vxlan*: the third place's switch learns where an address is from frames of flows that it has when
  it next looks at these, 100 ms apart here and 500 by default; then the gap is longer by up to
  that, whoever opened the port.
- *died*: the guest's kernel gave up, which it does under TCG now and then: in no median.
- *through a closed port*: frames from or to the guest that passed at the destination before its
  port was opened, or at the source after its port was closed, as captured on taps and cables.

![Timeline](../docs/migration.svg)

## Each migration

Milliseconds after the guest stopped on the source.

| network | opened by | what happened |
| --- | --- | --- |
{single}
"""
