"""Whether the switch can read a guest's memory: what ``/proc/PID/maps`` says. Pure.

The switch maps the files that QEMU hands over. Memory without a file cannot be handed over; memory
of a file that QEMU maps privately (copy on write) is another memory after the first write, and then
everything looks connected and not one packet passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

#: Smaller mappings are QEMU's own; no guest has so little memory.
_SMALLEST = 16 << 20
#: QEMU has anonymous mappings of its own; one this large is a guest's memory.
_ANONYMOUS = 32 << 20
#: What is mapped in this size and shared, and is not a guest's memory.
_OTHERS = ("anon_inode:", "/dev/vfio", "/dev/dri", "/memfd:vhost-log", "/memfd:tcg-jit", "/dev/kvm")


@dataclass(frozen=True)
class Mapping:
    """A line of ``/proc/PID/maps``.

    :param file: what is mapped, or the empty string
    """

    size: int
    permissions: str
    file: str

    @property
    def shared(self) -> bool:
        return self.permissions.endswith("s")


class State(StrEnum):
    """How the memory of a guest is mapped."""

    SHARED = "shared"
    PRIVATE = "private"  #: of a file, but not shared
    ANONYMOUS = "anonymous"  #: of no file at all
    UNKNOWN = "unknown"  #: nothing is mapped that looks like a guest's memory


@dataclass(frozen=True)
class GuestMemory:
    """The verdict.

    :param bytes: of the mappings that it is about
    :param file: one of the mapped files
    """

    state: State
    bytes: int = 0
    file: str = ""

    def __str__(self) -> str:
        size = f"{self.bytes >> 20} MiB"
        return {
            State.SHARED: f"shared, {size} of {self.file}",
            State.PRIVATE: f"private, {size} of {self.file}: the switch sees none of what the "
            "guest writes",
            State.ANONYMOUS: f"anonymous, {size}: QEMU cannot hand it to the switch and falls back "
            "to a device that leads nowhere",
            State.UNKNOWN: "unknown",
        }[self.state]


def judge(mappings: Iterable[Mapping]) -> GuestMemory:
    """What the mappings of a QEMU process say of its guest's memory."""
    large = [m for m in mappings if m.size >= _SMALLEST and m.permissions.startswith("rw-")]
    files = [m for m in large if m.file and not m.file.startswith("[")]
    files = [m for m in files if not m.file.startswith(_OTHERS)]
    private = [m for m in files if not m.shared]
    if private:
        return _verdict(State.PRIVATE, private)
    shared = [m for m in files if m.shared]
    bare = [m for m in large if not m.file and not m.shared and m.size >= _ANONYMOUS]
    if sum(m.size for m in bare) > sum(m.size for m in shared):
        return _verdict(State.ANONYMOUS, bare)
    return _verdict(State.SHARED, shared) if shared else GuestMemory(State.UNKNOWN)


def _verdict(state: State, mappings: list[Mapping]) -> GuestMemory:
    return GuestMemory(state, sum(m.size for m in mappings), mappings[0].file)


def parse(text: str) -> Iterator[Mapping]:
    """The mappings in the text of ``/proc/PID/maps``."""
    for line in text.splitlines():
        words = line.split(maxsplit=5)
        if len(words) < 5:
            continue
        start, _, end = words[0].partition("-")
        file = words[5].removesuffix(" (deleted)") if len(words) > 5 else ""
        yield Mapping(int(end, 16) - int(start, 16), words[1], file)
