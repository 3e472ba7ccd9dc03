"""The noop plugin as the contract suite makes it."""

from __future__ import annotations

from typing import Any

from vifd.model import Attachment
from vifd.plugin import Host
from vifd.testing.attachments import attachment as document
from vifd.testing.attachments import mac
from vifd_noop.plugin import NoopPlugin


def device(number: int) -> str:
    """The device that another party makes for port ``number``."""
    return f"other{number}"


def attachment(number: int, **port: Any) -> Attachment:
    """A document that names it."""
    return document(number, binding_profile={"vif_name": device(number)}, **port)


def plugin(host: Host) -> NoopPlugin:
    """The plugin; it has no options."""
    return NoopPlugin(host, None)


__all__ = ["attachment", "device", "mac", "plugin"]
