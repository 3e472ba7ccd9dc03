"""What was read of a bridge in one exchange."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vifd.openflow.flow import Flow


class Reading(NamedTuple):
    """Some flows of a bridge, and what they are judged by.

    :param flows: by the cookies that were asked for
    :param fragments: how the bridge shows fragments: a mode of :mod:`vifd.openflow.fragments`
    """

    flows: Mapping[int, list[Flow]]
    fragments: str
