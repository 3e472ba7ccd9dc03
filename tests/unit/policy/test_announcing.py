"""What is said for a port that was opened."""

from __future__ import annotations

import pytest

from vifd.policy.addresses import link_local
from vifd.policy.announcing import advertisement, announcement, frames, gratuitous_arp
from vifd.testing.attachments import attachment, ipv4, ipv6, mac

MAC = mac(1)
VMAC = "00:00:5e:00:01:07"


def pair(address: str, of: str | None = None) -> dict[str, str]:
    return {"ip_address": address, **({"mac_address": of} if of else {})}


def test_gratuitous_arp_asks_for_its_own_address() -> None:
    frame = gratuitous_arp(MAC, "10.0.0.1")
    assert len(frame) == 60
    assert frame[:14].hex() == "ffffffffffff" + "fa163e000001" + "0806"
    assert frame[14:42].hex() == (
        "0001080006040001" + "fa163e000001" + "0a000001" + "000000000000" + "0a000001"
    )


def test_an_advertisement_is_unsolicited_and_overrides() -> None:
    frame = advertisement(MAC, "fd00::1")
    assert frame[:14].hex() == "333300000001" + "fa163e000001" + "86dd"
    assert frame[20:22] == bytes((58, 255))
    assert frame[22:38] == bytes.fromhex("fd000000000000000000000000000001")
    assert frame[54:56] == bytes((136, 0))
    assert frame[58:62].hex() == "20000000"
    assert frame[-8:].hex() == "0201" + "fa163e000001"
    pseudo = frame[22:54] + (32).to_bytes(4, "big") + bytes((0, 0, 0, 58))
    words = pseudo + frame[54:]
    total = sum(int.from_bytes(words[i : i + 2], "big") for i in range(0, len(words), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


def test_all_of_a_port_is_said_its_own_first() -> None:
    one = attachment(1, allowed_address_pairs=[
        pair("10.0.0.77"), pair("fd00::77"), pair("10.9.0.0/24"), pair("10.0.0.78", VMAC),
    ])  # fmt: skip
    said = frames(one)
    assert said[:3] == [
        announcement(MAC), gratuitous_arp(MAC, ipv4(1)), advertisement(MAC, ipv6(1)),
    ]  # fmt: skip
    assert set(said[3:]) == {
        gratuitous_arp(MAC, "10.0.0.77"), advertisement(MAC, "fd00::77"),
        advertisement(MAC, link_local(MAC)), announcement(VMAC), gratuitous_arp(VMAC, "10.0.0.78"),
        advertisement(VMAC, link_local(VMAC)),
    }  # fmt: skip


def test_a_prefix_is_not_said() -> None:
    assert frames(attachment(1, ips=[], allowed_address_pairs=[pair("0.0.0.0/0")])) == [
        announcement(MAC), advertisement(MAC, link_local(MAC)),
    ]  # fmt: skip


@pytest.mark.parametrize("address", ["10.0.0.77", "fd00::77"])
def test_an_address_that_another_port_may_have_is_left_to_the_guests(address: str) -> None:
    one = attachment(1, allowed_address_pairs=[pair(address), pair("10.0.0.80", VMAC)])
    two = attachment(2, allowed_address_pairs=[pair(address), pair("10.0.0.80", VMAC)])
    said = frames(one, [one, two])
    assert said[:3] == frames(attachment(1))[:3]
    assert set(said) == set(frames(attachment(1)))
    elsewhere = attachment(3, network=2, allowed_address_pairs=[pair(address)])
    assert len(frames(one, [elsewhere])) > len(said)
