"""The part of the driver that hears what rules hand over: :mod:`vifd.drivers.nft.ear`."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from vifd.drivers.netlink import APPEND, CREATE, Message
from vifd.drivers.nft import ear, nl
from vifd.drivers.nft.ear import Callback, Ear
from vifd.drivers.nft.expr import Log, Over
from vifd.drivers.nft.objects import COPIED, GROUP, Chain, Hook, Rule
from vifd.drivers.nft.socket import NftSocket, Refused
from vifd.errors import BackendUnavailable

_TABLE = "vifd-probe"


class Listening:
    """What a class of drivers has besides; the ear has a lock of its own, as it is opened in the
    middle of other calls."""

    _ears: threading.Lock
    _hears: Ear | None = None
    _lock: threading.Lock

    @property
    def _talk(self) -> NftSocket:
        raise NotImplementedError

    def overhear(self, callback: Callback) -> None:
        """See :class:`vifd.drivers.Nft`."""
        with self._ears:
            if self._hears is None:
                try:
                    made = ear.bound()
                except OSError as error:
                    facts = {"backend": "nftables", "problem": ear.problem(error)}
                    raise BackendUnavailable(facts=facts, stage="nft") from error
                self._hears = Ear(made, callback)
            self._hears.callback = callback

    def deafened(self) -> str | None:
        """See :class:`vifd.drivers.Nft`."""
        with self._ears:
            if self._hears is not None:
                return None
            with self._lock:
                if lacking := _rehearse(self._talk):
                    return lacking
            try:
                ear.bound().close()
            except OSError as error:
                return ear.problem(error)
        return None

    def _stop_hearing(self) -> None:
        with self._ears:
            if self._hears is not None:
                self._hears.close()
            self._hears = None


def _rehearse(talk: NftSocket) -> str:
    """Have the kernel judge a rule that hands over, and make nothing."""
    chain = Chain("probe", hook=Hook.PREROUTING)
    asked = (("limits in nftables (nft_limit)", Over(1, 1, packets=True)),
             ("log in nftables (nft_log, nfnetlink_log)", Log(GROUP, "vifd", COPIED)))  # fmt: skip
    messages = [
        Message(nl.NEWTABLE, CREATE, nl.table(_TABLE), "tables"),
        Message(nl.NEWCHAIN, CREATE, nl.chain(_TABLE, chain), "chains"),
        *(Message(nl.NEWRULE, CREATE | APPEND, nl.rule(_TABLE, chain.name, Rule((expr,))), what)
          for what, expr in asked),
    ]  # fmt: skip
    return _judged(talk, messages)


def _judged(talk: NftSocket, messages: Sequence[Message]) -> str:
    try:
        talk.commit(messages, dry=True)
    except Refused as refused:
        return f"the kernel has no {refused.what}: {refused.strerror}"
    return ""
