"""The contract, on the fake; and what only the fake can do."""

from collections.abc import Callable

import pytest

from support.links_suite import LinksContract, a_tap
from vifd.drivers import MARK
from vifd.errors import DeviceError
from vifd.testing.links import FakeLinks


@pytest.fixture
def links() -> FakeLinks:
    return FakeLinks()


@pytest.fixture
def foreign(links: FakeLinks) -> Callable[[str], object]:
    return links.place


@pytest.fixture
def rename(links: FakeLinks) -> Callable[[str, str], object]:
    return links.rename


@pytest.fixture
def altname(links: FakeLinks) -> Callable[[str, str], object]:
    return lambda device, name: links.altnames.__setitem__(name, device)


class TestFakeLinks(LinksContract):
    pass


def test_a_fault_before_the_effect_leaves_nothing(links: FakeLinks) -> None:
    links.fail_next("create_taps", OSError("boom"))
    with pytest.raises(OSError, match="boom"):
        links.create_taps([a_tap()])
    assert links.names == []
    assert list(links.create_taps([a_tap()])) == ["tap1"]


def test_a_fault_after_the_effect_leaves_it(links: FakeLinks) -> None:
    links.fail_next("create_taps", OSError("boom"), after=True)
    with pytest.raises(OSError, match="boom"):
        links.create_taps([a_tap()])
    assert links.names == ["tap1"]


def test_a_fault_can_hit_one_of_a_batch(links: FakeLinks) -> None:
    links.fail_next("create_taps", DeviceError("boom"), name="tap2")
    outcome = links.create_taps([a_tap(1), a_tap(2)])
    assert isinstance(outcome["tap2"], DeviceError)
    assert [link.name for link in links.marked(MARK)] == ["tap1"]


def test_a_fault_of_an_unknown_call_is_a_mistake(links: FakeLinks) -> None:
    with pytest.raises(TypeError, match="no call"):
        links.fail_next("create_tap", OSError())
