"""The unit's firewall, and the drop-in that opens it: the page's own commands, by packets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import support
from host.booted import PACKAGES, Booted, host
from host.otherhost import BUS, ONE, PEER, TWO
from vifd.testing.wait import PATIENCE, until

HERE = Path(__file__).parent
CERTIFICATES = Path(str(support.__file__)).parent / "certificates"
PAGE = HERE.parents[1] / "docs/neutron.md"
INSTALLED = "/etc/systemd/system/vifd.service.d/other-hosts.conf"
HEARD = "/run/other/heard"
CONF = f"""\
[network]
service = neutron
[network_neutron]
transport_url = rabbit://vifd:secret@{TWO}:{BUS}/
[ovs]
create_bridge = true
datapath_type = netdev
[migration]
peers = {TWO}:{PEER}
peer_listen = {ONE}:{PEER}
peer_certificate = /etc/vifd/tls/one.pem
peer_key = /etc/vifd/tls/one.key
peer_authority = /etc/vifd/tls/authority.pem
"""
#: The bus is called, a peer is called, a peer calls and is answered.
EVERY = ("bus: AMQP", "peer: called", "peer: answered")


@pytest.fixture(scope="module")
def booted() -> Iterator[Booted]:
    """A host with the package, and another host on its network."""
    # systemd's firewall of a unit is a program in the kernel, which a container may not load
    with host("vifd-others", "--system-call-filter=bpf") as made:
        for file in ("authority.pem", "one.pem", "one.key", "two.pem", "two.key"):
            text = (CERTIFICATES / file).read_text()
            made.write(f"/etc/vifd/tls/{file}", text)
            made.write(f"/root/tls/{file}", text)
        made.write("/root/otherhost.py", (HERE / "otherhost.py").read_text())
        made.write("/etc/vifd/agent.conf", CONF)
        for command in (
            "ip netns add other",
            "ip link add wire type veth peer name wire netns other",
            f"ip address add {ONE}/24 dev wire",
            f"ip -n other address add {TWO}/24 dev wire",
            "ip link set wire up",
            "ip -n other link set lo up",
            "ip -n other link set wire up",
            "mkdir /run/other",
            "systemd-run --quiet --unit=other --property=NetworkNamespacePath=/run/netns/other "
            f"python3 /root/otherhost.py {HEARD}",
        ):
            made.run(*command.split())
        until(lambda: heard(made).get("there"), "the other host listens", PATIENCE)
        package = next(PACKAGES.glob("vifd_*.deb")).name
        made.run("dpkg", "--force-confold", "-i", f"/packages/{package}")
        made.run("chown", "-R", "vifd:vifd", "/etc/vifd/tls")
        made.run("systemctl", "restart", "vifd")
        yield made


def heard(booted: Booted) -> dict[str, int]:
    said = booted.run("sh", "-c", f"cat {HEARD} 2>/dev/null || echo '{{}}'")
    found: dict[str, int] = json.loads(said)
    return found


def problem(booted: Booted) -> str:
    said = booted.run("vifctl", "status", "-f", "json", check=False)
    try:
        return str(json.loads(said).get("network_problem") or "")
    except ValueError:
        return ""


def told(booted: Booted) -> str:
    """For whoever looks at a failure."""
    return f"{heard(booted)} {problem(booted)}\n" + booted.run(
        "journalctl", "-u", "vifd", "-u", "other", "-n", "40", "--no-pager", check=False
    )


def until_said(booted: Booted) -> None:
    """Wait until it says that it reaches nobody, and what to do."""
    until(
        lambda: "other-hosts.conf" in problem(booted), "it says so", PATIENCE, lambda: told(booted)
    )


def until_heard(booted: Booted) -> None:
    """Wait until each of what speaks with other hosts is heard once more."""
    before = heard(booted)
    until(
        lambda: all(heard(booted).get(what, 0) > before.get(what, 0) for what in EVERY),
        "the bus and the peers speak", PATIENCE, lambda: told(booted),
    )  # fmt: skip


def test_as_installed_it_speaks_with_no_other_host_and_says_what_to_do(booted: Booted) -> None:
    until_said(booted)
    assert not set(EVERY) & heard(booted).keys(), told(booted)
    # it is the unit's doing: any other process of the host is heard
    booted.run("python3", "-c", f"import socket; "
               f"socket.create_connection(('{TWO}', {BUS}), 60).sendall(b'hand')")  # fmt: skip
    until(lambda: heard(booted).get("bus: hand"), "a process beside it is heard", PATIENCE)


def test_the_pages_commands_open_it_to_the_bus_and_to_peers(booted: Booted) -> None:
    block = re.search(r"```console\n(# install .*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    for command in re.findall(r"^# (.*)$", block.group(1), re.MULTILINE):
        booted.run("sh", "-c", command)
    until_heard(booted)


@pytest.mark.parametrize(("network", "opened"), [("172.30.0.0/24", True), ("172.31.0.0/24", False)])
def test_a_network_named_in_it_is_the_only_one(
    booted: Booted, network: str, *, opened: bool
) -> None:
    text = booted.run("cat", INSTALLED)
    named = re.sub(r"^IPAddressAllow=.*$", f"IPAddressAllow={network}", text, flags=re.MULTILINE)
    booted.write(INSTALLED, named)
    booted.run("systemctl", "daemon-reload")
    booted.run("systemctl", "restart", "vifd")
    if opened:
        until_heard(booted)
        return
    before = heard(booted)
    until_said(booted)
    now = heard(booted)
    assert [now.get(x) for x in EVERY] == [before.get(x) for x in EVERY], told(booted)
