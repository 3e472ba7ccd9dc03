"""Runs tests of Neutron's own full-stack suite with vifd, or another agent, as the layer 2 agent.

``make test-fullstack`` calls it. In a world of its own (:mod:`fullstack.world`) it starts RabbitMQ,
MariaDB and Open vSwitch, runs each test in a Python of its own, and prints ``test | result |
seconds``. What they logged lies in ``build/fullstack/AGENT``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fullstack.choice import chosen, listed, short
from fullstack.results import Row, line, verdict
from support.cloud import places
from support.cloud.broker import Broker
from support.cloud.database import Database
from support.cloud.hostswitch import HostSwitch

HOME = Path(__file__).parent
LOGS = places.ROOT / "build/fullstack"
#: Agents by name; any other word is the path of a program.
AGENTS = {
    "vifd": HOME / "agents/vifd", "null": HOME / "agents/null", "mixed": HOME / "agents/mixed",
    "stock": None,
}  # fmt: skip
#: Seconds for one test, as in the suite's tox.ini.
TIMEOUT = "600"
#: Seconds more for a test that does not end when its own time is over.
_GRACE = 90
_SCHEMA = "openstack_citest"


def main() -> int:
    """Run what the options name; 0 where every test passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--agent", default="vifd", help="vifd, stock, mixed, null, or a program's path"
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--tests", default="", help="parts of ids, as a shell's words; 'list'")
    given = parser.parse_args()
    words = shlex.split(given.tests) or listed((HOME / "accepted.txt").read_text())
    ids = all_ids()
    if words[:1] == ["list"]:
        print("\n".join(short(i) for i in (chosen(ids, words[1:]) if words[1:] else ids)))
        return 0
    try:
        tests = chosen(ids, words)
    except ValueError as error:
        parser.error(str(error))
    if "FULLSTACK_WORLD" not in os.environ:
        argv = [sys.executable, "-m", "fullstack.world", sys.executable, "-m", "fullstack.run"]
        os.execv(sys.executable, [*argv, *sys.argv[1:]])
    return Run(given.agent).all(tests, given.jobs)


def all_ids() -> list[str]:
    """Every id of the suite; asked of it once, because that takes a quarter of a minute."""
    cache = places.VENV / "ids"
    if not cache.exists():
        done = subprocess.run(
            [places.PYTHON, HOME / "suite.py", "list"], cwd=places.SUITE, env=environment(""),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode or not done.stdout.strip():
            raise SystemExit(f"the suite cannot be listed: {done.stderr[-2000:]}")
        cache.write_text(done.stdout)
    return cache.read_text().splitlines()


def environment(agent: str) -> dict[str, str]:
    """What the suite's processes are told by their environment; OS_* are those of its tox.ini."""
    own = {k: v for k, v in os.environ.items() if not re.match(r"(?i)(https?|no)_proxy$", k)}
    own.pop("PYTHONDONTWRITEBYTECODE", None)
    program = AGENTS.get(agent, Path(agent).absolute() if agent else None)
    if program is not None:
        own["FULLSTACK_L2_AGENT"] = str(program)
    kernel = Path("/sys/module/openvswitch").exists()
    return own | {
        "PATH": f"{HOME / 'bin'}:{places.VENV / 'bin'}:{own['PATH']}:/usr/sbin:/sbin",
        "PYTHONPATH": f"{HOME / 'mends'}:{places.SUITE}",
        "PYTHONWARNINGS": "ignore",
        "FULLSTACK_HOME": str(HOME),
        "FULLSTACK_PYTHON": sys.executable,
        "FULLSTACK_NEUTRON": str(places.PYTHON),
        "FULLSTACK_DATAPATH": "system" if kernel else "netdev",
        "OS_SUDO_TESTING": "1",
        "OS_ROOTWRAP_CMD": str(HOME / "bin/as-root"),
        "OS_ROOTWRAP_DAEMON_CMD": "",
        "OS_FAIL_ON_MISSING_DEPS": "1",
        "OS_TEST_TIMEOUT": os.environ.get("OS_TEST_TIMEOUT", TIMEOUT),
        "OS_TEST_DBAPI_ADMIN_CONNECTION": f"mysql+pymysql://{_SCHEMA}:{_SCHEMA}@127.0.0.1/{_SCHEMA}",
        "OSKEN_HUB_TYPE": "native",
        "TMPDIR": "/run/tmp",
    }


class Run:
    """One run in its world.

    :param agent: whose name the logs bear
    """

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._logs = LOGS / Path(agent).name
        self._logs.mkdir(parents=True, exist_ok=True)
        self._rows: list[Row] = []

    def all(self, tests: list[str], jobs: int) -> int:
        """Run the tests, so many at a time."""
        began = time.monotonic()
        broker, switch = Broker(Path("/run/rabbitmq")), HostSwitch(self._logs)
        database = Database(Path("/run/mysql"))
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda part: part.start(), (broker, database, switch)))
        database.sql(f"create database if not exists {_SCHEMA}")
        database.grant(_SCHEMA)
        told = environment(self._agent) | broker.environment()
        told |= {"RABBITMQ_HOME": told.pop("HOME"), "HOME": "/root", "OS_LOG_PATH": str(self._logs)}
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(lambda number: self._one(number, tests[number], told), range(len(tests))))
        passed = sum(row.result == "ok" for row in self._rows)
        print(f"{passed} of {len(tests)} ok, {time.monotonic() - began:.0f} s", flush=True)
        return 0 if passed == len(tests) else 1

    def _one(self, number: int, test_id: str, told: dict[str, str]) -> None:
        units = Path("/run/units", str(number))
        units.mkdir()
        output = self._logs / (re.sub(r"[^\w.-]+", "_", short(test_id)) + ".txt")
        began = time.monotonic()
        with output.open("w") as sink:
            process = subprocess.Popen(
                [places.PYTHON, HOME / "suite.py", "run", test_id], cwd=places.SUITE,
                env=told | {"FULLSTACK_UNITS": str(units)}, stdin=subprocess.DEVNULL, stdout=sink,
                stderr=sink,
            )  # fmt: skip
            try:
                process.wait(float(told["OS_TEST_TIMEOUT"]) + _GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        result, why = verdict(output.read_text(errors="replace"))
        row = Row(self._agent, short(test_id), result, round(time.monotonic() - began, 1), why)
        self._rows.append(row)
        with (LOGS / "results.jsonl").open("a") as results:
            results.write(json.dumps(row.__dict__ | {"load": os.getloadavg()[0]}) + "\n")
        print(line(row), flush=True)
        self._keep(units, output)

    def _keep(self, units: Path, output: Path) -> None:
        """End what the test left running, and keep what its units said beside its own words."""
        kept = output.with_suffix("")
        subprocess.run(["rm", "-rf", kept], check=True)
        for unit in units.iterdir():
            if (unit / "state").exists():
                told = environment("") | {"FULLSTACK_UNITS": str(units)}
                subprocess.run([HOME / "bin/systemctl", "kill", unit.name], env=told, check=False)
            for name in ("log", "output"):
                if (unit / name).exists():
                    kept.mkdir(exist_ok=True)
                    (kept / f"{unit.name[-60:]}.{name}").write_bytes((unit / name).read_bytes())


if __name__ == "__main__":
    sys.exit(main())
