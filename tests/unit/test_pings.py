"""What is counted of a ping's words."""

from __future__ import annotations

import pytest

from support.cloud.walker import counted

LINE = "[{:.6f}] 64 bytes from 10.7.0.5: icmp_seq={} ttl=64 time=0.1 ms"


@pytest.mark.parametrize(
    ("answered", "found"),
    [
        ((), (0, [])), ((1, 2, 3), (3, [])), ((1, 3), (3, [1000.15])), ((2, 2, 1), (2, [])),
        ((1, 4), (4, [1000.15, 1000.2])),
    ],
)  # fmt: skip
def test_those_on_their_way_at_the_end_are_not_counted(answered, found):
    """Those that are missing were sent after the one before them, 20 a second."""
    said = [LINE.format(1000 + number / 10, number) for number in answered]
    sent, lost = counted("\n".join([*said, "9 packets transmitted, 1 received"]))
    assert (sent, [round(at, 3) for at in lost]) == found
