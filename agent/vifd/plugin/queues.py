"""One queue or several: a tap is made for the one or the other, and cannot be changed.

The kernel refuses a guest that opens it otherwise (``tun_set_iff``), so what was made decides what
compute is told. A device that no guest has open is made anew for what the document asks now.
"""

from __future__ import annotations

from vifd.drivers import Link, Links
from vifd.errors import QueuesFixed, VifError
from vifd.model import Attachment
from vifd.plugin import Item, guest


def several(attachment: Attachment, limit: int) -> bool:
    """Whether the document asks for several queues, as far as the host gives them.

    :param limit: the most that a device gets on this host
    """
    return guest.queues(attachment, limit) > 1


def fitting(
    attachment: Attachment, limit: int, link: Link | None, *, made: bool, links: Links | None = None
) -> bool:
    """Whether the port's device shall be one for several queues, as it stands.

    :param made: the kind that is on record
    :param links: who would have another device made asks whether somebody has this one open; its
        carrier alone is what the last one to set it said
    """
    wanted = several(attachment, limit)
    if link is None or link.multi_queue == wanted:
        return wanted
    held = link.carrier or (links is not None and links.opened(link.name))
    return made if held else wanted


def told(attachment: Attachment, limit: int, *, made: bool) -> int:
    """How many queues compute is told of a port: several of a device that is made for several, as
    it can be opened in no other way."""
    if not made:
        return 1
    wanted = guest.queues(attachment, limit)
    return wanted if guest.model(attachment) != guest.VIRTIO else max(2, wanted)


def to_make(
    item: Item, limit: int, link: Link | None, alias: str, *, made: bool, links: Links
) -> bool:
    """Whether ``plug`` shall have a device for several queues; a device of others is no measure.

    :param link: what is there
    :param alias: the mark of the port's own device
    """
    if link is not None and link.alias != alias:
        return made
    return fitting(item.attachment, limit, link, made=made, links=links)


def obstacles(
    links: Links, attachment: Attachment, device: str, limit: int, *, made: bool
) -> list[VifError]:
    """Why a port that was made cannot be brought to a document now: a guest has the device open,
    and it would have to be made anew. Reads the device only where the kinds differ."""
    wanted = several(attachment, limit)
    if wanted == made:
        return []
    link = links.get([device]).get(device)
    if fitting(attachment, limit, link, made=made, links=links) == wanted:
        return []
    facts = {"device": device, "have": _words(made), "wanted": _words(wanted)}
    return [QueuesFixed(facts=facts, stage="queues", port=attachment.id)]


def _words(kind: bool) -> str:
    return "several queues" if kind else "one queue"
