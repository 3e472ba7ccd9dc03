"""Announcements: bridges and neighbours are told where a port's addresses are now.

They go out of the bridge itself, and so to all its ports, the way out of the host among them; the
bridge has the entry for the port's MAC already. A packet socket takes CAP_NET_RAW, which the unit
gives by a drop-in alone: without it the guest's own announcements have to do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from vifd.drivers import Bridging
from vifd.errors import PrivilegeMissing, VifError
from vifd.plugin import Entry
from vifd.policy.announcing import frames
from vifd_linuxbridge.batch import Batch

LOG = logging.getLogger(__name__)


def announce(
    bridging: Bridging,
    batch: Batch,
    ledger: Callable[[], Mapping[str, Entry]],
    own: Callable[[str], bytes],
) -> VifError | None:
    """Tell it for each port, as far as it can be told.

    :param own: by which its guest announced itself while a port was closed, once; or nothing

    :returns: why nothing can be told at all
    """
    for work in batch:
        if not work.joins(opened=True):
            continue
        others = (entry.attachment for entry in ledger().values())
        try:
            said = [*frames(work.item.attachment, others), own(work.id)]
            bridging.say(work.names.bridge, [frame for frame in said if frame])
        except PrivilegeMissing as error:
            return error
        except VifError as error:
            LOG.warning(
                "bridge %s: %s could not be announced: %s. Next: others learn where it is from the "
                "guest's next frame. port=%s",
                work.names.bridge, work.item.attachment.mac, error.message, work.id,
            )  # fmt: skip
    return None
