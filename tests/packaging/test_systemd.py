"""The unit file, judged by systemd itself."""

import configparser
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from vifd.testing.sandbox import program

DIRECTORY = Path(__file__).parents[2] / "etc" / "systemd"
UNIT = DIRECTORY / "vifd.service"
TARGET = DIRECTORY / "vifd-ports.target"

#: Exposure by systemd's own measure, in tenths (0 is locked up, 100 is open). What remains is what
#: the daemon is for: the host's network, netlink, CAP_NET_ADMIN and the sockets of Open vSwitch.
EXPOSURE = 20


#: The units around vifd at boot, with the orderings that they have on Debian.
NEIGHBOURS = {
    "ovsdb-server.service": "After=network-pre.target\nBefore=network.target networking.service\n"
    "DefaultDependencies=no",
    "ovs-vswitchd.service": "After=ovsdb-server.service network-pre.target\nBefore=network.target\n"
    "Requires=ovsdb-server.service\nDefaultDependencies=no",
    "openvswitch-switch.service": "Before=network.target\nAfter=network-pre.target "
    "ovsdb-server.service ovs-vswitchd.service\nRequires=ovsdb-server.service ovs-vswitchd.service",
    "libvirtd.service": "After=network.target local-fs.target remote-fs.target",
    "virtqemud.service": "After=network.target local-fs.target remote-fs.target",
    "libvirt-guests.service": "After=network.target time-sync.target libvirtd.service",
    "nova-compute.service": "After=network-online.target libvirtd.service",
    "consumer.service": "After=vifd-ports.target",
}


def analyze(*arguments: str, units: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = program("systemd-analyze")
    assert path is not None
    more = {"SYSTEMD_UNIT_PATH": f"{units}:/lib/systemd/system"} if units else {}
    return subprocess.run(
        [path, "--no-pager", *arguments], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **more},
    )  # fmt: skip


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, and the target beside it, with a program that exists on every machine."""
    (tmp_path / TARGET.name).write_text(TARGET.read_text())
    path = tmp_path / UNIT.name
    text, count = re.subn(r"^ExecStart=/usr/bin/vifd", "ExecStart=/bin/true", UNIT.read_text(),
                          flags=re.MULTILINE)  # fmt: skip
    assert count == 1
    path.write_text(text)
    return path


@pytest.mark.needs("program:systemd-analyze")
def test_every_line_is_understood(unit: Path) -> None:
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.needs("program:systemd-analyze")
def test_a_wrong_line_would_be_noticed(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("ProtectHome=yes", "ProtectHouse=yes"))
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert "ProtectHouse" in done.stderr


@pytest.fixture
def boot(unit: Path) -> Path:
    """A target that pulls in vifd and all its neighbours."""
    for name, orderings in NEIGHBOURS.items():
        text = f"[Unit]\nDescription=stub\n{orderings}\n[Service]\nExecStart=/bin/true\n"
        (unit.parent / name).write_text(text)
    wanted = " ".join([UNIT.name, *NEIGHBOURS])
    path = unit.parent / "boot.target"
    path.write_text(f"[Unit]\nDescription=boot\nWants={wanted}\n")
    return path


@pytest.mark.needs("program:systemd-analyze")
def test_the_boot_order_has_no_cycle(boot: Path) -> None:
    done = analyze("verify", "--man=no", str(boot), units=boot.parent)
    assert "cycle" not in done.stderr


@pytest.mark.needs("program:systemd-analyze")
@pytest.mark.parametrize("first", ["libvirtd.service", "virtqemud.service", "nova-compute.service",
                                   "libvirt-guests.service", "consumer.service"])  # fmt: skip
def test_guests_come_after_vifd(boot: Path, first: str) -> None:
    """Whoever wanted it the other way round would have made a cycle, and systemd says so."""
    path = boot.parent / first
    path.write_text(path.read_text().replace("[Service]", "Before=vifd.service\n[Service]"))
    done = analyze("verify", "--man=no", str(boot), units=boot.parent)
    assert "ordering cycle" in done.stderr
    assert first in done.stderr


@pytest.mark.needs("program:systemd-analyze")
@pytest.mark.parametrize("switch", ["openvswitch-switch.service", "ovs-vswitchd.service"])
def test_vifd_comes_after_the_switch(boot: Path, switch: str) -> None:
    path = boot.parent / switch
    path.write_text(path.read_text().replace("[Service]", "After=vifd.service\n[Service]"))
    done = analyze("verify", "--man=no", str(boot), units=boot.parent)
    assert "ordering cycle" in done.stderr


def test_ready_is_told_by_vifd_itself_and_failing_stops_nobody() -> None:
    text = UNIT.read_text()
    assert "Type=notify" in text
    for line in ("RequiredBy=", "BindsTo=", "Requires=", "Requisite="):
        assert f"\n{line}" not in text + TARGET.read_text()


@pytest.mark.needs("program:systemd-analyze")
def test_exposure_is_low(unit: Path) -> None:
    done = analyze("security", "--offline=yes", f"--threshold={EXPOSURE}", str(unit))
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


@pytest.mark.needs("program:systemd-analyze")
def test_the_drop_in_for_a_switch_of_roots_adds_one_capability(unit: Path) -> None:
    assert "CAP_DAC_OVERRIDE" not in unit.read_text()
    drop_in = DIRECTORY / "vifd.service.d" / "openvswitch-as-root.conf"
    assert f"vifd.service.d/{drop_in.name}" in unit.read_text()
    unit.write_text(f"{unit.read_text()}\n{drop_in.read_text()}")
    done = analyze("security", "--offline=yes", f"--threshold={EXPOSURE}", str(unit))
    assert done.returncode == 0, done.stdout[-400:] + done.stderr
    lines = [line for line in done.stdout.splitlines() if "CAP_" in line and "✗" in line]
    assert len(lines) == 2
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.needs("program:systemd-analyze")
def test_the_drop_in_for_other_hosts_lets_it_speak_with_them(unit: Path) -> None:
    drop_in = DIRECTORY / "vifd.service.d" / "other-hosts.conf"
    assert f"vifd.service.d/{drop_in.name}" in unit.read_text()
    assert re.findall(r"^IPAddress.*", unit.read_text(), re.MULTILINE) == [
        "IPAddressDeny=any", "IPAddressAllow=localhost",
    ]  # fmt: skip
    unit.write_text(f"{unit.read_text()}\n{drop_in.read_text()}")
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (done.returncode, done.stderr.strip()) == (0, "")
    said = [x for x in analyze("security", "--offline=yes", str(unit)).stdout.splitlines()
            if "IPAddressDeny" in x]  # fmt: skip
    assert len(said) == 1
    assert "with non-localhost entries" in said[0]


def test_every_option_that_is_named_exists() -> None:
    """``[group] option`` in a comment of what is installed beside the daemon."""
    sample = configparser.ConfigParser(strict=False)
    text = (DIRECTORY.parent / "agent.conf").read_text()
    sample.read_string(re.sub(r"^#([a-z_]+ =)", r"\1", text, flags=re.MULTILINE))
    named = [
        (path.name, *found)
        for path in DIRECTORY.parent.rglob("*")
        if path.is_file() and path.name != "agent.conf"
        for line in path.read_text().splitlines()
        if line.startswith(("#", "//"))
        for found in re.findall(r"\[([a-z_]+)\] ([a-z_]+)", line)
    ]
    assert ("vifd.service", "api", "socket_group") in named
    assert [n for n in named if not sample.has_option(n[1], n[2])] == []


RULES = DIRECTORY.parent / "polkit" / "50-vifd.rules"
#: What no function of vifd needs, and what would be the host's root.
FORBIDDEN = ("define", "migrate", "delete", "inject-nmi", "mem-read", "open-", "save", "init",
             "reset", "stop", "fs-", "storage", "network", "secret", "nwfilter", "send",
             "read-secure", "connect.write")  # fmt: skip


def test_the_polkit_rule_gives_nothing_that_was_not_switched_on() -> None:
    text = RULES.read_text()
    code = "\n".join(line for line in text.splitlines() if not line.startswith("//"))
    assert re.findall(r"var (\w+) = (\w+);", code) == [
        ("START_GUESTS", "false"), ("REPAIR_GUESTS", "false"),
    ]  # fmt: skip
    rights = set(re.findall(r"org\.libvirt\.[a-z.-]*[a-z]", code))
    assert not [r for r in rights for word in FORBIDDEN if word in r]
    for right in ("unix.manage", "domain.start", "domain.write"):
        assert re.search(rf'{re.escape(right)}" && .*(START|REPAIR)_GUESTS', code)
    assert code.rstrip().endswith("return polkit.Result.NO;\n});")


RUN = """
const rules = [];
const polkit = {Result: {YES: "yes", NO: "no", NOT_HANDLED: ""}, addRule: f => rules.push(f)};
eval(require("fs").readFileSync(process.argv[1], "utf8").replace(/= false/g, "= " + process.argv[2])
     .replace("polkit.addRule", "globalThis.polkit = polkit; polkit.addRule"));
for (const [user, id] of JSON.parse(process.argv[3]))
    console.log(rules[0]({id: id}, {user: user}));
"""


@pytest.mark.needs("program:node")
@pytest.mark.parametrize(
    ("on", "wanted"),
    [("false", ["", "", "yes", "no", "no", "no", "no"]),
     ("true", ["", "", "yes", "yes", "yes", "yes", "no"])],
)  # fmt: skip
def test_the_polkit_rule_as_polkit_runs_it(on: str, wanted: list[str]) -> None:
    node = program("node")
    assert node is not None
    asked = [
        ("nova", "org.libvirt.unix.manage"),
        ("vifd", "org.freedesktop.systemd1.manage-units"),
        ("vifd", "org.libvirt.api.domain.read"),
        ("vifd", "org.libvirt.unix.manage"),
        ("vifd", "org.libvirt.api.domain.start"),
        ("vifd", "org.libvirt.api.domain.write"),
        ("vifd", "org.libvirt.api.domain.delete"),
    ]
    done = subprocess.run(
        [node, "-e", RUN, str(RULES), on, json.dumps(asked)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.split("\n")[:-1] == wanted


@pytest.mark.needs("program:systemd-sysusers")
def test_the_user_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    path = program("systemd-sysusers")
    assert path is not None
    done = subprocess.run(
        [path, f"--root={tmp_path}", str(DIRECTORY / "vifd.sysusers")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"^vifd:", (tmp_path / "etc/passwd").read_text(), re.MULTILINE)


def test_what_the_daemon_does_is_not_forbidden() -> None:
    """It writes /proc/sys/net, opens /dev/net/tun, and acts on the host's own namespaces."""
    text = UNIT.read_text()
    for option in ("ProtectKernelTunables", "PrivateDevices", "PrivateNetwork", "PrivateUsers"):
        assert not re.search(rf"^{option}=(yes|true|1|on)", text, re.MULTILINE)
    assert "DeviceAllow=/dev/net/tun rw" in text
