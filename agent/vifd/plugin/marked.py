"""Objects on the host that bear our mark, one by one: what reconciling compares and garbage is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct, field

from vifd.model.values import UUID

_id = re.compile(UUID)


def is_id(text: str) -> bool:
    """Whether a mark names a port: what begins like one of ours and does not is somebody else's."""
    return _id.fullmatch(text) is not None


#: What a guest opens, of every plugin; and what the ports of a network stand on. All other kinds
#: are a plugin's own words, for people and for itself: it declares them beside what makes them.
DEVICE = "device"
NETWORK_DEVICE = "network device"


class Key(NamedTuple):
    """What makes an object the same one.

    :param kind: what it is, in the words of the plugin that makes it
    :param where: the bridge or table that it is in, or the empty string
    """

    kind: str
    where: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" on {self.where}" if self.where else "")


class Marked(Struct, frozen=True, kw_only=True):
    """One object that bears our mark, as it was found.

    :param kind: what it is, in the words of the plugin that makes it
    :param owner: the id of the port in its mark; empty where no single port owns it
    :param identity: what tells it from another one of the same name: an ifindex, a generation
    :param holder: who uses it now, for a reader; empty for nobody
    :param uses: the names by which a hypervisor knows it: a device, the path of a socket
    :param stands_on: the network devices without which it is of no use; held or kept with it
    :param backup: what the plugin needs to put it back; JSON values only
    """

    kind: str
    name: str
    where: str = ""
    owner: str = ""
    identity: str = ""
    holder: str = ""
    uses: tuple[str, ...] = ()
    stands_on: tuple[str, ...] = ()
    backup: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return Key(self.kind, self.where, self.name)


class Wanted(NamedTuple):
    """An object that shall be there.

    :param owner: the id of the one port that it is for; empty where several share it
    :param identity: of the object that was made; empty where any one will do
    """

    owner: str = ""
    identity: str = ""


#: By key, what shall be there.
Desired = Mapping[Key, Wanted]
