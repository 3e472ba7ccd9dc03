"""What the userspace datapath has cached of the flow tables follows them.

The switch goes through its cached flows when a table changes, and brings each to what the tables
say now. Up to 3.1.0 at least, its userspace datapath looks for the flow to be changed by the fields
that it reads, and not by its identity (``flow_put_on_pmd`` of dpif-netdev.c): of two that overlap
the other one may be changed. Packets of the first go on as before for as long as they come, refused
though a rule now lets them pass, or let pass though none does. 3.5.0 changes the right one; what is
between was not tried, and is taken for the older. There the switch is told to forget all that it
has cached: no packet is lost by it, each goes by the tables once.
"""

from __future__ import annotations

import logging
import re

from vifd.drivers import Drivers
from vifd.errors import VifError

LOG = logging.getLogger(__name__)

_USERSPACE = "netdev"
#: The first version that is known to change the right one.
_MENDED = (3, 5)
_VERSION = re.compile(r"\(Open vSwitch\) (\d+)\.(\d+)")


class CachedFlows:
    """The cached flows that packets of one bridge meet. A switch that cannot tell is not waited
    for.

    :param bridge: its name
    """

    def __init__(self, drivers: Drivers, bridge: str) -> None:
        self._ovsdb, self._tracer = drivers.ovsdb, drivers.tracer
        self._bridge = bridge
        #: ``None``: to be found out
        self._mixes_up: bool | None = None
        #: whether a change may not have been followed by forgetting: a daemon that went in between,
        #: a switch that did not answer
        self._behind = True

    def reconnected(self) -> None:
        """The switch may be of another version, and may not have come to what it was told."""
        self._mixes_up = None
        self._behind = True

    def catch_up(self) -> None:
        """Before the bridge is looked at: have forgotten what should have been before."""
        if self._behind:
            self.changed()

    def settle(self) -> None:
        """Return once packets go by the tables as they are, or shortly after."""
        try:
            if not self._forgotten():
                self._tracer.settle()
        except VifError as error:
            self._unknown(error)

    def changed(self) -> None:
        """Rules of ports that pass packets are other ones: a switch that follows by itself is not
        waited for."""
        try:
            self._forgotten()
        except VifError as error:
            self._unknown(error)

    def _unknown(self, error: VifError) -> None:
        LOG.debug("bridge %s: not known when its flows are in force: %s", self._bridge, error)

    def _forgotten(self) -> bool:
        """Have the switch forget, where it has to.

        :raises VifError: it did not, and shall the next time
        """
        self._behind = True
        forgets = self._mixing_up()
        if forgets:
            self._tracer.forget()
        self._behind = False
        return forgets

    def _mixing_up(self) -> bool:
        if self._mixes_up is None:
            there = self._ovsdb.bridge(self._bridge)
            if there is None:
                return False
            version = ""
            if there.datapath_type == _USERSPACE:
                version = self._tracer.call("version")
            self._mixes_up = mixes_up(version)
            if self._mixes_up:
                LOG.info(
                    "bridge %s: the userspace datapath of this switch (%s) may go on with a cached "
                    "flow after a change of rules; it is told to forget them with each such "
                    "change, and loses no packet by it. Next: nothing; Open vSwitch 3.5 needs none "
                    "of it.", self._bridge, version.splitlines()[0],
                )  # fmt: skip
        return self._mixes_up


def mixes_up(version: str) -> bool:
    """Whether the userspace datapath of a switch may change another cached flow than it was told
    to.

    :param version: what ``ovs-appctl version`` says
    """
    found = _VERSION.search(version)
    return found is not None and (int(found[1]), int(found[2])) < _MENDED
