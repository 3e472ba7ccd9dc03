"""What is counted of a ping's words."""

from __future__ import annotations

import pytest

from support.cloud.walker import counted

LINE = "64 bytes from 10.7.0.5: icmp_seq={} ttl=64 time=0.1 ms"


@pytest.mark.parametrize(
    ("answered", "found"),
    [((), (0, 0)), ((1, 2, 3), (3, 0)), ((1, 3), (3, 1)), ((2, 2, 1), (2, 0))],
)
def test_those_on_their_way_at_the_end_are_not_counted(answered, found):
    said = [LINE.format(number) for number in answered]
    assert counted("\n".join([*said, "9 packets transmitted, 1 received"])) == found
