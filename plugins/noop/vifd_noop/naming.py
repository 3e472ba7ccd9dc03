"""What the binding profile says of a VIF that another party plugs. Pure.

The names of the keys are those that compute and network services use already.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from vifd.errors import BadDocument, InternalError, VifError
from vifd.model import Attachment, Wiring

#: Key of the binding profile: the network device that the other party makes.
DEVICE = "vif_name"
#: Key of the binding profile: the vhost-user socket that the other party makes.
SOCKET = "vhostuser_socket"

#: The kernel's limits for a device's name and for the path of a unix socket, in bytes.
_NAME_MAX = 15
_PATH_MAX = 107


@dataclass(frozen=True)
class Names:
    """What can be looked at; empty where nothing is named."""

    device: str = ""
    socket: str = ""

    def wiring(self, plugin: str, vif_type: str) -> Wiring:
        """The names as the journal keeps them."""
        return Wiring(plugin, vif_type, self.device, asdict(self))


def of(attachment: Attachment) -> Names:
    """The names in a document.

    :raises BadDocument: a name that no device or socket can have
    """
    profile = attachment.port.binding_profile
    device = _text(attachment, DEVICE, profile.get(DEVICE))
    socket = _text(attachment, SOCKET, profile.get(SOCKET))
    if device and not _is_device_name(device):
        raise _bad(attachment, DEVICE, f"{device!r:.64} is no name of a network device")
    if socket and (not socket.startswith("/") or len(socket.encode()) > _PATH_MAX):
        problem = f"must be an absolute path of at most {_PATH_MAX} bytes"
        raise _bad(attachment, SOCKET, problem)
    return Names(device, socket)


def read(wiring: Wiring) -> Names:
    """The names in a wiring.

    :raises VifError: it is not one of ours
    """
    try:
        return Names(**wiring.details)
    except TypeError as error:
        raise InternalError(f"the wiring makes no sense: {error}", stage="names") from error


def _is_device_name(name: str) -> bool:
    plain = name.isprintable() and not any(c.isspace() or c in "/:" for c in name)
    return plain and name not in (".", "..") and len(name.encode()) <= _NAME_MAX


def _text(attachment: Attachment, key: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _bad(attachment, key, "must be a string")
    return value


def _bad(attachment: Attachment, key: str, problem: str) -> VifError:
    field = f"port.binding_profile.{key}"
    return BadDocument.at_field(field, problem, port=attachment.id)
