"""Which ring a test belongs to, and which goes first."""

import pytest

from rings import ORDER, place, ring


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("tests/unit/test_plan.py", "unit"),
        ("tests/unit/ovs/test_flows.py", "unit"),
        ("tests/functional/drivers/test_links.py", "functional"),
        ("tests/conftest.py", ""),
        ("restart/test_kill.py", "restart"),
        ("test_elsewhere.py", ""),
    ],
)
def test_a_ring_is_the_directory_below_tests(path: str, name: str) -> None:
    assert ring(path) == name


def test_slow_rings_go_first_and_unknown_ones_last() -> None:
    places = [place(f"tests/{name}/test_a.py") for name in (*ORDER, "new")]
    assert places == sorted(places)
    assert places[0] < places[-1]
