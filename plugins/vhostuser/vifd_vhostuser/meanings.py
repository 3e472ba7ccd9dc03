"""What the facts of a vhost-user port mean, beside those of its bridge. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vifd.model import Evidence
from vifd.plugin.meanings import WHO, About, Meaning, Meanings, Unsure, missing, plain
from vifd_ovs.bridge.meanings import MEANINGS as OF_BRIDGE


def _deleted(_: Evidence, port: About) -> str:
    path = port.details.get("socket") or "of the port"
    return f"the socket {path} was deleted under its guest: the switch cannot find the guest"


def _socket(_: Evidence, port: About) -> str:
    path = port.details.get("socket") or "of the port"
    return f"the socket {path} is missing"


def _lost(finding: Evidence) -> bool:
    return missing(finding) and not finding.repairable


def _device_sound(have: Mapping[str, Any], port: About) -> str:
    there = str(port.device or port.details.get("socket") or "-")
    if have.get("socket") != "missing":
        return there
    if str(have.get("guest")).startswith("connected"):
        lost = "its socket was deleted; the guest goes on until the switch restarts"
        return Unsure(f"{there}: {lost}")
    return f"{there}: the guest makes its socket when it comes"


_DEVICE = (
    Meaning("device", ("socket",), _deleted,
            "`vifctl port repair` has the guest make it anew; so does a restart of the guest",
            ("vhost.*", "guest*"), _lost),
    Meaning("device", ("socket", "socket.exists"), _socket, WHO, ("vhost.*", "guest*"), missing),
    Meaning("device", ("socket*",), plain, WHO),
)  # fmt: skip
_PORT = (
    Meaning("port", ("vhost.buffers",), plain,
            "give the switch more huge pages, or the guests' networks a smaller MTU",
            ("vhost.*",)),
)  # fmt: skip
# what else is wrong with a port takes its guest's link down with it
_LINK = (Meaning("port", ("vhost.*",), plain, WHO),)
_GUEST = (
    Meaning("guest", ("guest.memory",), plain,
            "give the guest huge pages that are shared (`hw:mem_page_size` in the flavor)",
            ("vhost.*",)),
)  # fmt: skip

MEANINGS = (
    Meanings(
        (*_DEVICE, *_PORT, *_GUEST),
        follows={"device.mtu": ("vhost.mtu",)},
        sound={"device": _device_sound},
        shown={"vhost.link_state": "guest"},
        stages={"socket": "device"},
        names=("socket",),
    )
    .besides(OF_BRIDGE)
    .besides(Meanings(_LINK))
)
