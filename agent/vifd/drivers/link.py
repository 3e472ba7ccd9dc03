"""Network devices: what plugins may ask of them, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vifd.openflow.counts import Traffic

#: What the alias of every device begins with that vifd made.
MARK = "vifd:"


@dataclass(frozen=True)
class Tap:
    """A tap device as it shall be.

    :param alias: the mark, ``vifd:<port id>``
    :param owner: uid that may open it, ``None`` for any process with CAP_NET_ADMIN
    :param promiscuous: made so when it is brought up. Open vSwitch does it to each of its ports;
        where it is done, the switch's own change makes no link event, for which it would look
        at all its ports once more
    """

    name: str
    mac: str
    mtu: int
    alias: str
    multi_queue: bool = False
    owner: int | None = None
    group: int | None = None
    promiscuous: bool = False


@dataclass(frozen=True)
class Link:
    """A network device as the kernel shows it.

    :param kind: ``tun``, ``veth``, ``bridge``, … or the empty string for a physical device
    :param up: administratively up (IFF_UP)
    :param carrier: a peer is there; for a tap: somebody has it open, and nobody took the carrier
    :param owner: of a tap, the uid that may open it; ``None`` for any with CAP_NET_ADMIN
    :param group: of a tap, the gid that may open it
    :param ipv6: whether the kernel runs IPv6 on it; ``None`` where that cannot be read
    :param queues: of a tap for several queues, how many are open
    :param within: kind of the device that it is a port of: ``bridge``, ``bond``, ``openvswitch``, …
    """

    name: str
    ifindex: int
    mac: str
    mtu: int
    up: bool
    carrier: bool
    alias: str = ""
    kind: str = ""
    multi_queue: bool = False
    ipv6: bool | None = None
    owner: int | None = None
    group: int | None = None
    within: str = ""
    queues: int = field(default=0, compare=False)


class Links(Protocol):
    """Network devices of this namespace."""

    def get(self, names: Sequence[str]) -> dict[str, Link]:
        """The devices that exist, by name; asks by name, never dumps. Another name of a device
        (an altname) is none of a device here."""

    def opened(self, name: str) -> bool:
        """Whether somebody has a tap open, whatever its carrier says: another program can take that
        from a guest that runs. Asks by opening it, so only who would remove it may call this."""

    def traffic(self, names: Sequence[str]) -> dict[str, Traffic]:
        """What the devices that exist have counted, by name: a tap has received what its guest
        sent. Bytes are counted from the Ethernet header on."""

    def marked(self, prefix: str) -> list[Link]:
        """All devices whose alias begins with ``prefix`` (a dump)."""

    def tap_problem(self) -> str:
        """Why no tap can be made here, with what helps; empty where one can. Makes nothing."""

    def create_taps(self, taps: Sequence[Tap]) -> dict[str, Link | Exception]:
        """Make taps and bring them up: persistent, IFF_NO_PI, IPv6 off before up, alias first.

        A tap that exists with our alias is taken as it is and only brought to the wanted MAC, MTU
        and up; one without it is :class:`~vifd.errors.NameClash`. A tap that fails half-way is
        removed again. The result says per name what is there now, or why not.
        """

    def set(
        self, name: str, *, mtu: int | None = None, mac: str | None = None, up: bool | None = None
    ) -> Link:
        """Change a device and read it back."""

    def remark(self, taps: Mapping[str, tuple[int, str]]) -> None:
        """Give taps that are known by their ifindex their alias again, where it was changed, and
        those that bear it their name.

        :param taps: ifindex and alias by name; a device that is not that tap is left alone
        :raises DeviceError: a tap could not be given its name
        """

    def unmark(self, devices: Mapping[str, tuple[int, str]]) -> None:
        """Take our mark from devices that are known by their ifindex.

        :param devices: ifindex and the alias that it gets instead, by name; one that is another
            device, or does not bear our mark, is left alone
        """

    def delete(self, names: Sequence[str]) -> None:
        """Remove devices; those that are gone already are no error. Many go in one request.

        A device whose alias does not begin with :data:`MARK` is left alone:
        :class:`~vifd.errors.NameClash`, raised once the others are gone.
        """

    def subscribe(self, callback: Callable[[str, bool], None]) -> None:
        """Have ``callback(name, exists)`` called on a native thread when a device changes.

        ``("", True)`` means that events were lost: anything may have changed.
        """

    def close(self) -> None:
        """End the driver's threads and sockets. Devices stay."""
