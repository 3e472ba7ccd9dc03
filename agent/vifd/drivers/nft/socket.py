"""The nf_tables socket: batches that are taken or refused as a whole."""

from __future__ import annotations

import os
from collections.abc import Sequence

from vifd.drivers import netlink
from vifd.drivers.netlink import ACK, REQUEST, Message, pack
from vifd.drivers.nft import nl


class Refused(OSError):
    """The kernel refused a batch; nothing of it was done.

    :ivar what: the step that it refused
    """

    def __init__(self, number: int, what: str) -> None:
        super().__init__(number, os.strerror(number))
        self.what = what


class NftSocket(netlink.Socket):
    """A socket of the network namespace of the thread that makes it; use it on one at a time."""

    def __init__(self) -> None:
        super().__init__(netlink.NETFILTER)

    def commit(self, messages: Sequence[Message], *, dry: bool = False) -> None:
        """Have the messages taken as one transaction.

        :param dry: let the kernel judge them, and drop them: it does that with a batch without end
        :raises Refused: it refused one, and with it all
        """
        first = self.numbers(len(messages) + 2)
        last = first + len(messages)
        parts = [pack(first, nl.BATCH_BEGIN, REQUEST, nl.batch_mark())]
        for number, message in enumerate(messages, first + 1):
            flags = REQUEST | message.flags | (ACK if number == last else 0)
            parts.append(pack(number, message.type, flags, message.body))
        if not dry:
            parts.append(pack(last + 1, nl.BATCH_END, REQUEST, nl.batch_mark()))
        self.send(b"".join(parts))
        self._judge(messages, first, last)

    def _judge(self, messages: Sequence[Message], first: int, last: int) -> None:
        """Read answers up to that for the last message, or one for the batch as a whole."""
        worst: tuple[int, str] | None = None
        for kind, _, sequence, payload in self.receive():
            if kind != netlink.ERROR or not first <= sequence <= last:
                continue
            number = netlink.failure(payload)
            if number and worst is None:
                what = messages[sequence - first - 1].what if sequence > first else "change rules"
                worst = (number, what)
            if sequence == last or (sequence == first and number):
                break
        if worst is not None:
            raise Refused(*worst)
