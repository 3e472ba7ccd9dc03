"""The part of the driver that has questions of guests answered: :mod:`vifd.drivers.nft.answers`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

from vifd.drivers.netlink import Message
from vifd.drivers.nft import answers, deaf, reading
from vifd.drivers.nft.answers import ASKS
from vifd.drivers.nft.expr import Verdict
from vifd.drivers.nft.failure import doing
from vifd.drivers.nft.known import Known
from vifd.drivers.nft.socket import NftSocket, Refused

_PROBE = "vifd-probe"


class Answering:
    """What a class of drivers has besides: all of it on its socket, and under its lock."""

    _lock: threading.Lock
    _known: Known

    @property
    def _talk(self) -> NftSocket:
        raise NotImplementedError

    def _flags(self, table: str, family: int) -> bytes:
        raise NotImplementedError

    def _commit(self, table: str, messages: Sequence[Message]) -> None:
        raise NotImplementedError

    def answer(self, table: str, network: str, known: Mapping[str, str] | None) -> None:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock, doing(f"read table netdev {table}"):
            if known is None:
                self._forget(table, network)
                return
            have = self._answers(table, network)
            if have is None:
                # what stands in the maps is not known either
                made = [*answers.network(table, network), *answers.emptied(table, network)]
                have = {}
            else:
                made = []
            gone = {ip: mac for ip, mac in have.items() if known.get(ip) != mac}
            new = {ip: mac for ip, mac in known.items() if have.get(ip) != mac}
            made += answers.elements(table, network, gone, adding=False)
            made += answers.elements(table, network, new, adding=True)
            self._changed(table, made, {network: dict(known)})

    def _forget(self, table: str, network: str) -> None:
        """Remove a network, and before it what asks about it."""
        names = answers.chains(self._talk, table)
        if network not in names:
            return
        asking = [n for n in names if n.startswith(ASKS) and self._target(table, n) == network]
        silent = [answers.silent(table, name.removeprefix(ASKS)) for name in asking]
        self._changed(table, [*silent, *answers.gone(table, network)], {network: None})

    def ask(self, table: str, devices: Mapping[str, str | None]) -> None:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock, doing(f"read table netdev {table}"):
            have = self._asking(table, [*devices])
            messages: list[Message] = []
            for device, network in devices.items():
                if device in have and have[device] != network:
                    messages.append(answers.silent(table, device))
                if network is not None and have.get(device) != network:
                    messages += answers.asking(table, device, network)
            self._changed(table, messages, {})

    def answers(self, table: str, network: str) -> Mapping[str, str] | None:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock, doing(f"read table netdev {table}"):
            return self._answers(table, network)

    def asking(self, table: str, devices: Sequence[str]) -> dict[str, str]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock, doing(f"read table netdev {table}"):
            return self._asking(table, devices)

    def list_answers(self, table: str) -> tuple[list[str], list[str]]:
        """See :class:`vifd.drivers.Nft`."""
        with self._lock, doing(f"read table netdev {table}"):
            names = answers.chains(self._talk, table)
        devices = [name.removeprefix(ASKS) for name in names if name.startswith(ASKS)]
        return devices, [name for name in names if not name.startswith(ASKS)]

    def unanswerable(self) -> str | None:
        """See :class:`vifd.drivers.Nft`."""
        messages = [deaf.table(_PROBE), *answers.network(_PROBE, "probe"),
                    *answers.asking(_PROBE, "lo", "probe")]  # fmt: skip
        with self._lock:
            try:
                self._talk.commit(messages, dry=True)
            except Refused as refused:
                return f"the kernel refuses to {refused.what}: {refused.strerror}"
        return None

    def _answers(self, table: str, network: str) -> dict[str, str] | None:
        self._known.at(reading.generation(self._talk))
        cached = self._known.answers
        if (table, network) not in cached:
            cached[table, network] = answers.known(self._talk, table, network)
        return cached[table, network]

    def _asking(self, table: str, devices: Sequence[str]) -> dict[str, str]:
        return {device: self._target(table, ASKS + device)
                for device in answers.hooked(self._talk, table, devices)}  # fmt: skip

    def _target(self, table: str, name: str) -> str:
        """The network that the chain of a device is about; none where it is another one."""
        rows = answers.rows(self._talk, table, name)
        if len(rows) == 1 and len(rows[0]) == 1 and isinstance(rows[0][0], Verdict):
            return rows[0][0].chain
        return ""

    def _changed(
        self, table: str, messages: Iterable[Message], after: Mapping[str, dict[str, str] | None]
    ) -> None:
        """Carry out, and remember what is there then if nobody else changed anything meanwhile."""
        todo = [*messages]
        if not todo:
            return
        before = reading.generation(self._talk)
        self._known.at(before)
        for network in after:
            self._known.answers.pop((table, network), None)
        made = deaf.table(table, self._flags(table, deaf.NETDEV_FAMILY))
        self._commit(table, [made, *todo])
        if reading.generation(self._talk) == before + 1:
            self._known.generation = before + 1
            self._known.answers.update({(table, n): known for n, known in after.items()})
