"""How a bridge shows fragments to its flows."""

from __future__ import annotations

import logging

from vifd.drivers import OpenFlow
from vifd.openflow.fragments import WHOLE_HEADERS

LOG = logging.getLogger(__name__)


class Fragments:
    """Has first fragments show what they hold: without that they pass by no rule that reads a port
    or a type, and those that could be anything are refused."""

    def __init__(self, openflow: OpenFlow, bridge: str) -> None:
        self._openflow = openflow
        self._bridge = bridge
        #: whether it is so, as was seen last
        self._shown = False

    def show(self, *, secured: bool, again: bool) -> None:
        """Read it, and set it, where that is not known.

        :param secured: the bridge has a port that is held to its addresses
        :param again: somebody may have changed it
        :raises BackendUnavailable: the switch gives no answer
        """
        self._shown &= secured and not again
        if self._shown or not secured:
            return
        if self._openflow.fragments(self._bridge) != WHOLE_HEADERS:
            self._openflow.set_fragments(self._bridge, WHOLE_HEADERS)
            LOG.info("bridge %s: first fragments are shown with their ports", self._bridge)
        self._shown = True
