"""Plug and unplug by nova's own code: through vifd-nova and vifd, and by stock os-vif with its
privileged daemon, each on a switch of its own, one after the other.

Stock writes no flow and proves nothing. ``bench/nova.py --present 0 50 200 --rounds 10``; it takes
.venv/nova (tools/nova-env) and writes bench/NOVA.md with ``--keep``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import psutil  # noqa: E402

from support import nova  # noqa: E402
from support.nova import Compute  # noqa: E402
from unit.docs import document, port_id  # noqa: E402
from vifd.testing.daemon import Vifd  # noqa: E402
from vifd.testing.netns import enter_private_netns  # noqa: E402
from vifd.testing.sandbox import PrivateOvs  # noqa: E402

#: Numbers of the ports that come and go, above those that are present.
FIRST = 1000
STOCK = {"ovs_create_tap": True, "datapath_type": "netdev"}


class Side:
    """One way to plug, with the switch that it plugs into.

    :param bind: what the network service does before nova plugs
    """

    def __init__(self, compute: Compute, bind: Callable[[int], None], **more: Any) -> None:
        self.compute, self.bind, self.more = compute, bind, more
        self.present = 0

    def plug(self, number: int) -> float:
        self.bind(number)
        return self._timed("plug", number)

    def again(self, number: int) -> float:
        """Plug a port that stands."""
        return self._timed("plug", number)

    def unplug(self, number: int) -> float:
        return self._timed("unplug", number)

    def _timed(self, what: str, number: int) -> float:
        answer = self.compute.ask(what, number, **self.more)
        if "error" in answer:
            raise RuntimeError(answer["text"])
        return float(answer["seconds"])

    def fill(self, wanted: int) -> None:
        while self.present < wanted:
            self.present += 1
            self.plug(self.present)

    def memory(self) -> float:
        """MiB of nova's process, and of the privileged one that it started and that left it."""
        own = str(self.compute.log.with_suffix(".conf"))
        every = [psutil.Process(self.compute.pid)]
        every += [p for p in psutil.process_iter() if _is_helper(p, own)]
        return float(sum(p.memory_full_info().pss for p in every)) / 2**20


def _is_helper(process: psutil.Process, conf: str) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return any("privsep-helper" in word for word in words) and conf in words


@contextmanager
def vifd(directory: Path) -> Iterator[Side]:
    with PrivateOvs() as ovs, Vifd(directory / "v", ovs) as daemon:

        def bind(number: int) -> None:
            body = {k: v for k, v in document(number).items() if k != "instance"}
            daemon.call("PUT", f"/v1/ports/{port_id(number)}/network", body)

        with Compute(nova.config(directory, daemon.socket)) as compute:
            yield Side(compute, bind)


@contextmanager
def stock(directory: Path) -> Iterator[Side]:
    with PrivateOvs() as ovs:
        ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
        conf = nova.config(directory, directory / "none", take_over="")
        helper = f"{nova.ENVIRONMENT}/bin/privsep-helper --config-file {conf}"
        with conf.open("a") as file:
            file.write(f"[os_vif_ovs]\novsdb_connection = {ovs.db}\n")
            file.write(f"[vif_plug_ovs_privileged]\nhelper_command = {helper}\n")
        with Compute(conf) as compute:
            yield Side(compute, lambda _number: None, details=STOCK, delegate_create=True)


def measure(side: Side, present: list[int], rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {"first": side.plug(FIRST) * 1000}
    side.unplug(FIRST)
    for count in present:
        side.fill(count)
        plugs, unplugs = [], []
        for number in range(FIRST, FIRST + rounds):
            plugs.append(side.plug(number) * 1000)
            unplugs.append(side.unplug(number) * 1000)
        found[f"plug {count}"] = statistics.median(plugs)
        found[f"unplug {count}"] = statistics.median(unplugs)
    # nova-compute plugs every instance anew when it starts
    found[f"start with {side.present}"] = 1000 * sum(
        side.again(number) for number in range(1, side.present + 1)
    )
    found["memory"] = side.memory()
    return found


def table(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    lines = ["| | vifd | stock os-vif | ratio |", "|---|---|---|---|"]
    for name, value in ours.items():
        unit = "MiB" if name == "memory" else "ms"
        other = theirs[name]
        lines.append(f"| {name} | {value:.1f} {unit} | {other:.1f} {unit} | {value / other:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--present", type=int, nargs="+", default=[0, 50, 200])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--keep", action="store_true", help="write bench/NOVA.md")
    args = parser.parse_args()
    if not (nova.ENVIRONMENT / "stamp").exists():
        raise SystemExit("nova is not there: run tools/nova-env")
    enter_private_netns()
    found = []
    for side in (vifd, stock):
        with tempfile.TemporaryDirectory(prefix="bn-") as scratch, side(Path(scratch)) as made:
            found.append(measure(made, args.present, args.rounds))
    text = table(*found)
    print(text)
    if args.keep:
        where = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        head = f"# nova's plug, through vifd and by stock os-vif\n\n{where}; "
        head += f"medians of {args.rounds}; all ports on one network; `memory`: nova's process and "
        head += "what it starts.\n\n"
        (ROOT / "bench/NOVA.md").write_text(head + text + "\n")


if __name__ == "__main__":
    main()
