"""What answers questions of guests, as every driver has it: one suite for fake and kernel."""

from __future__ import annotations

import pytest

from vifd.drivers import Nft
from vifd.errors import BackendError

TABLE, NET = "vifd-test", "vxlan-7"
ONE = {"10.0.0.2": "02:00:00:00:00:02", "fd00::2": "02:00:00:00:00:02"}
TWO = {"10.0.0.2": "02:00:00:00:00:03", "10.0.0.9": "02:00:00:00:00:09"}


class AnswersContract:
    """Give a fixture ``nft``; a device ``lo`` is there."""

    @pytest.fixture(autouse=True)
    def no_network_is_left(self, nft: Nft) -> object:
        yield
        for network in nft.list_answers(TABLE)[1]:
            nft.answer(TABLE, network, None)

    def test_where_nothing_was_said(self, nft: Nft) -> None:
        assert nft.answers(TABLE, NET) is None
        assert nft.asking(TABLE, ["lo"]) == {}
        assert nft.list_answers(TABLE) == ([], [])
        nft.answer(TABLE, NET, None)
        nft.ask(TABLE, {"lo": None, "gone": None})

    def test_what_is_known_is_read_back_and_replaced(self, nft: Nft) -> None:
        for known in (ONE, TWO, {}, ONE):
            nft.answer(TABLE, NET, known)
            nft.answer(TABLE, NET, known)
            assert nft.answers(TABLE, NET) == known
        nft.answer(TABLE, NET, None)
        assert nft.answers(TABLE, NET) is None

    def test_more_than_a_message_holds(self, nft: Nft) -> None:
        many = {f"10.1.{n >> 8}.{n & 255}": f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}"
                for n in range(1500)}  # fmt: skip
        nft.answer(TABLE, NET, many)
        assert nft.answers(TABLE, NET) == many

    def test_who_asks(self, nft: Nft) -> None:
        nft.answer(TABLE, NET, ONE)
        nft.answer(TABLE, "vxlan-8", TWO)
        nft.ask(TABLE, {"lo": NET})
        nft.ask(TABLE, {"lo": "vxlan-8"})
        nft.ask(TABLE, {"lo": "vxlan-8"})
        assert nft.asking(TABLE, ["lo", "gone"]) == {"lo": "vxlan-8"}
        devices, networks = nft.list_answers(TABLE)
        assert (devices, sorted(networks)) == (["lo"], [NET, "vxlan-8"])
        nft.answer(TABLE, "vxlan-8", None)
        assert nft.asking(TABLE, ["lo"]) == {}
        assert nft.answers(TABLE, NET) == ONE

    def test_nobody_asks_about_what_is_not_there(self, nft: Nft) -> None:
        with pytest.raises(BackendError):
            nft.ask(TABLE, {"lo": NET})

    def test_it_can_be_asked_for(self, nft: Nft) -> None:
        assert nft.unanswerable() is None
        assert nft.list_answers("vifd-probe") == ([], [])
