"""The guest's memory: whether a switch in user space can read it."""

from __future__ import annotations

import re

from vifd.model import Instance
from vifd.plugin.guest.precedence import asked

#: KiB of an ordinary page; what is larger is a huge page, and those are always shared.
_SMALL = 4
_SIZE = re.compile(r"^([0-9]{1,12})\s*([kmg]?)i?b?$")
_UNITS = {"": 1, "k": 1, "m": 1024, "g": 1024 * 1024}


def encryption(instance: Instance) -> str:
    """The property that asks for encrypted memory, or the empty string."""
    wanted = asked(instance, "mem_encryption")
    return wanted.key if wanted.value else ""


def private_memory(instance: Instance) -> str | None:
    """Why the guest's memory would not be shared, or ``None``.

    nova shares the memory of every guest with large pages, so that a vhost-user interface can be
    added while it runs.
    """
    wanted = asked(instance, "mem_page_size")
    if wanted.value is None:
        return "the flavor has no hw:mem_page_size"
    if large_pages(wanted.value):
        return None
    return f"{wanted.key} is {wanted.value!r}, which is no large page"


def page_size(text: str) -> int | None:
    """A page size such as ``2MB`` in KiB; a number alone counts KiB. ``None`` for a word."""
    found = _SIZE.match(text.strip().lower())
    return int(found.group(1)) * _UNITS[found.group(2)] if found else None


def large_pages(text: str) -> bool:
    """Whether a page size is a large one: ``large``, ``any``, or more than an ordinary page."""
    size = page_size(text)
    return text.strip().lower() in ("large", "any") if size is None else size > _SMALL
