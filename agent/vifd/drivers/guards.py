"""Guards of devices by their names; how they are written is in :mod:`vifd.drivers.tcguard`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vifd.drivers import Program, tcguard
from vifd.drivers.bridgerules import missing, no_room
from vifd.drivers.links import device_error
from vifd.drivers.netlink import Socket, index_of


class Guards:
    """Of the devices of one network namespace; whoever has the socket calls."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        #: whether this kernel was found to guard devices
        self._can = False

    def put(self, programs: Mapping[str, Program]) -> dict[str, Exception]:
        """Guard devices; of each that could not be, why."""
        indices = {name: index_of(name) for name in programs}
        failed: dict[str, Exception] = {n: missing(n) for n, index in indices.items() if not index}
        names = {index: name for name, index in indices.items() if index}
        wrong = tcguard.write(self._socket, {i: programs[name] for i, name in names.items()})
        taken = self.barred([names[i] for i in wrong]) if wrong else {}
        for name, number in ((names[i], number) for i, number in wrong.items()):
            bar = taken.get(name)
            failed[name] = no_room(name, bar) if bar else device_error(name, number, "guard")
        return failed

    def barred(self, names: Sequence[str]) -> dict[str, str]:
        """Of devices where something of others is in the guard's place, what that is."""
        indices = {index: name for name in dict.fromkeys(names) if (index := index_of(name))}
        try:
            found = tcguard.barred(self._socket, list(indices)) if indices else {}
        except OSError as error:
            text = ", ".join(names)
            raise device_error(text, error.errno or 0, "read traffic control of") from error
        return {indices[index]: why for index, why in found.items()}

    def remove(self, names: Sequence[str]) -> None:
        """Take guards off; those that are not there are no error."""
        indices = {index: name for name in names if (index := index_of(name))}
        try:
            tcguard.remove(self._socket, list(indices))
        except OSError as error:
            first = next(iter(indices.values()), "")
            raise device_error(first, error.errno or 0, "take the guard from") from error

    def read(self, names: Sequence[str]) -> dict[str, Program | None]:
        """The guard of each device that there is."""
        indices = {index: name for name in dict.fromkeys(names) if (index := index_of(name))}
        try:
            found = tcguard.read(self._socket, list(indices))
        except OSError as error:
            first = next(iter(indices.values()))
            raise device_error(first, error.errno or 0, "read the guard of") from error
        return {indices[index]: program for index, program in found.items()}

    def lacking(self) -> str | None:
        """Why no device can be guarded. Asked once where it can be done; whoever loads a module is
        asked for again."""
        if not self._can:
            problem = tcguard.lacking(self._socket)
            self._can = problem is None
            return problem
        return None
