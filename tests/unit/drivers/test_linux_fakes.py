"""The bridging and nftables drivers' contract, on the fakes."""

import pytest

from support.answers_suite import AnswersContract
from support.linux_suite import INSTALL, BridgingContract, NftContract, TrackingContract
from vifd.testing.bridging import FakeBridging
from vifd.testing.links import FakeLinks
from vifd.testing.nft import FakeNft


class TestFakeNft(NftContract):
    @pytest.fixture
    def nft(self):
        return FakeNft()


class TestFakeAnswers(AnswersContract):
    @pytest.fixture
    def nft(self):
        return FakeNft()


class TestFakeTracking(TrackingContract):
    @pytest.fixture
    def nft(self):
        return FakeNft()


class TestFakeBridging(BridgingContract):
    @pytest.fixture
    def links(self):
        return FakeLinks()

    @pytest.fixture
    def bridging(self, links):
        return FakeBridging(links)

    @pytest.fixture
    def foreign(self, links):
        return links.place

    @pytest.fixture
    def altname(self, links):
        return lambda device, name: links.altnames.__setitem__(name, device)


def test_a_flush_is_told():
    nft = FakeNft()
    told: list[str] = []
    nft.subscribe(told.append)
    nft.apply("vifd", INSTALL)
    nft.flush()
    assert told == ["vifd"]
    assert nft.list_chains("vifd") == {}
