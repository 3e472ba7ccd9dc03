"""When the Linux bridge plugin is chosen, as the daemon decides it."""

from __future__ import annotations

import msgspec

from contract import linuxbridge as make
from vifd.negotiation import Candidate, choose
from vifd.plugin import Host
from vifd.testing.attachments import attachment
from vifd.testing.machines import FakeMachine


def choice(wanted, **options):
    plugin = make.plugin(Host(FakeMachine().drivers, dict), **options)
    candidate = Candidate(
        "linuxbridge", plugin.describe(), plugin.probe(), tuple(plugin.requires(wanted))
    )
    return choose(wanted, [candidate])


def test_a_local_network_lands_here_only_if_it_asks_for_it():
    plain = attachment(1)
    assert choice(plain).plugin == ""
    assert "serve_local" in choice(plain).refusals["linuxbridge"].message
    assert choice(plain, serve_local=True).plugin == "linuxbridge"
    for wish in ({"plugin": "linuxbridge"}, {"vif_type": "bridge"}):
        assert choice(msgspec.structs.replace(plain, **wish)).plugin == "linuxbridge"
