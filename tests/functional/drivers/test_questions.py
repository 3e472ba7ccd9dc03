"""Questions to the kernel that change nothing: families of nftables, embedded switches."""

from __future__ import annotations

import errno
import subprocess

import pytest

from vifd.drivers.devlink import Devlink
from vifd.drivers.nft import families
from vifd.drivers.nft.socket import NftSocket, Refused


def nft(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["nft", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_family_is_there_if_another_tool_can_make_a_chain_of_it(isolated, family):
    hook = {"inet": "hook input", "bridge": "hook forward", "netdev": "hook ingress device lo"}
    rules = (
        f"add table {family} other; add chain {family} other c "
        f"{{ type filter {hook[family]} priority 0; }}"
    )
    made = nft("-c", rules)
    assert (families.lacking(family) is None) is (made.returncode == 0), made.stderr


@pytest.mark.parametrize("family", families.FAMILIES)
def test_asking_leaves_the_rules_as_they_are(isolated, family):
    before = nft("list", "ruleset").stdout
    families.lacking(family)
    assert nft("list", "ruleset").stdout == before


def test_a_refusal_is_told_and_no_permission_is_no_refusal(monkeypatch):
    def commit(self, messages, *, dry):
        assert dry, "nothing may be made"
        raise Refused(number, "chains of family inet")

    monkeypatch.setattr(NftSocket, "commit", commit)
    number = errno.EOPNOTSUPP
    assert families.lacking("inet") == (
        "the kernel refuses chains of family inet: Operation not supported"
    )
    number = errno.EPERM
    with pytest.raises(OSError, match="not permitted"):
        families.lacking("inet")


def test_a_card_that_is_not_there_has_no_embedded_switch(isolated):
    devlink = Devlink()
    assert devlink.eswitch_mode("0000:ff:1f.7") == ""
    devlink.close()
