"""The bridging and nftables drivers on the kernel: the contract, and what only a kernel shows."""

import contextlib
import os
import subprocess
import sys
import threading

import pytest
from pyroute2 import IPRoute

from support.answers_suite import AnswersContract
from support.links_suite import a_tap
from support.linux_suite import (
    INSTALL,
    PORT,
    SPEC,
    TABLE,
    BridgingContract,
    NftContract,
    TrackingContract,
)
from support.meddler import has_altname
from vifd.drivers import MARK, brdevice, brnl, netlink
from vifd.drivers.bridging import Bridging
from vifd.drivers.links import Links
from vifd.drivers.nft.driver import Nft
from vifd.drivers.nft.expr import DROP
from vifd.drivers.nft.objects import Chain, Change, Rule
from vifd.testing.netns import Namespace


@pytest.fixture
def nft():
    with contextlib.closing(Nft()) as driver:
        driver.delete_table(TABLE)
        yield driver
        driver.delete_table(TABLE)


@pytest.fixture
def links():
    with contextlib.closing(Links()) as driver:
        yield driver
        driver.delete([link.name for link in driver.marked(MARK)])


@pytest.fixture
def bridging(links):
    with contextlib.closing(Bridging()) as driver:
        yield driver


@pytest.fixture
def oracle():
    with IPRoute() as netlink_:
        yield netlink_


@pytest.fixture
def foreign(oracle):
    names = []

    def make(name):
        oracle.link("add", ifname=name, kind="veth", peer={"ifname": f"{name}-p"})
        names.append(name)

    yield make
    for name in names:
        oracle.link("del", index=oracle.link_lookup(ifname=name)[0])


@pytest.fixture
def altname():
    return has_altname


class TestNft(NftContract):
    pass


class TestAnswers(AnswersContract):
    pass


@pytest.mark.needs("bridge_tracking")
class TestTracking(TrackingContract):
    pass


class TestBridging(BridgingContract):
    pass


def listed() -> str:
    done = subprocess.run(
        ["nft", "list", "ruleset"], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


@pytest.mark.needs("program:nft")
def test_the_tool_sees_what_we_mean(nft):
    nft.apply(TABLE, INSTALL)
    text = listed()
    for line in (
        'comment "vifd:some port"',
        "ether saddr != 02:00:00:00:00:01 drop",
        "type filter hook prerouting priority -9; policy accept;",
        "iifname vmap @to",
        "oifname @taps return",
    ):
        assert line in text


@pytest.mark.needs("program:nft")
def test_what_the_tool_changed_is_read_anew(nft):
    nft.apply(TABLE, INSTALL)
    assert nft.chains(TABLE, ["port"]) == {"port": PORT}
    add = ["nft", "add", "rule", "bridge", TABLE, "port", "meta", "mark", "7", "drop"]
    subprocess.run(add, check=True, timeout=60)
    after = nft.chains(TABLE, ["port"])["port"]
    assert after.rules[:-1] == PORT.rules
    assert len(after.rules) == len(PORT.rules) + 1
    assert "unknown" not in str(after.rules[-1])


@pytest.mark.needs("program:nft")
def test_a_change_in_between_is_not_missed(nft):
    """Somebody changes a chain that we know, right before we change another one."""
    nft.apply(TABLE, INSTALL)
    assert nft.chains(TABLE, ["port"]) == {"port": PORT}
    subprocess.run(["nft", "flush", "chain", "bridge", TABLE, "port"], check=True, timeout=60)
    nft.apply(TABLE, Change(chains=[Chain("another", (Rule((DROP,)),))]))
    assert nft.chains(TABLE, ["port"])["port"].rules == ()


def test_nft_stays_in_the_namespace_it_was_made_in(nft, far: Namespace):
    with contextlib.closing(far.run(Nft)) as there:
        there.apply(TABLE, INSTALL)
        assert nft.list_chains(TABLE) == {}
        assert len(there.list_chains(TABLE)) == 2


def test_nft_from_many_threads(nft):
    nft.apply(TABLE, INSTALL)
    errors: list[BaseException] = []

    def work(number):
        try:
            chain = Chain(f"own{number}", (Rule((DROP,)),), comment=f"vifd:{number}")
            for _ in range(20):
                nft.apply(TABLE, Change(chains=[chain]))
                assert nft.chains(TABLE, [chain.name, "port"]) == {chain.name: chain, "port": PORT}
            nft.apply(TABLE, Change(delete_chains=[chain.name]))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []


def test_the_decoder_says_what_the_library_says(links, bridging, oracle):
    bridging.make(SPEC)
    links.create_taps([a_tap(1, multi_queue=True, owner=7, group=8)])
    for name in (SPEC.name, "tap1", "lo"):
        socket = netlink.Socket(netlink.ROUTE)
        with contextlib.closing(socket):
            (answer,) = socket.ask([brnl.get(name)])
        assert isinstance(answer, bytes)
        ours = brdevice.device(answer).link
        assert ours == links.get([name])[name]
        (theirs,) = oracle.get_links(oracle.link_lookup(ifname=name)[0])
        assert (ours.mtu, ours.mac) == (
            theirs.get_attr("IFLA_MTU"),
            theirs.get_attr("IFLA_ADDRESS"),
        )


def test_an_unmarked_bridge_is_never_left_behind(bridging, monkeypatch):
    """Making and marking go as one datagram; and what cannot be marked is removed again."""
    sent = brnl.create(SPEC, None)
    assert len(sent) == 2
    broken = [sent[0], netlink.Message(sent[1].type, sent[1].flags, sent[1].body[:16])]
    monkeypatch.setattr(brnl, "create", lambda spec, parent: broken)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the kernel says
        bridging.make(SPEC)
    assert bridging.get([SPEC.name]) == {}


def test_a_spanning_tree_of_another_program_is_ended(bridging, oracle):
    bridging.make(SPEC)
    index = oracle.link_lookup(ifname=SPEC.name)[0]
    oracle.link("set", index=index, kind="bridge", br_stp_state=1)
    assert bridging.get([SPEC.name])[SPEC.name].stp
    assert bridging.make(SPEC).stp is False


def test_without_the_capability_the_error_says_so():
    script = """
import os
from vifd.drivers import BridgeSpec
from vifd.drivers.bridging import Bridging
from vifd.drivers.nft.driver import Nft
from vifd.errors import PrivilegeMissing
from support.linux_suite import INSTALL, SPEC, TABLE
os.setresuid(65534, 65534, 65534)
nft, bridging = Nft(), Bridging()
for call in (lambda: nft.apply(TABLE, INSTALL), lambda: bridging.make(SPEC)):
    try:
        call()
    except PrivilegeMissing as error:
        print(error.message)
assert "CAP_NET_ADMIN" in bridging.lacking("bridge")
nft.close()
bridging.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
