"""Which parts of the kernel are there: loaded, built in, or there to be loaded. Loads nothing."""

from __future__ import annotations

import gzip
import logging
import os
import re
import threading
import zlib
from dataclasses import dataclass, field
from enum import StrEnum

from vifd.capabilities.tree import Tree, Unreadable

LOG = logging.getLogger(__name__)

_SUFFIX = re.compile(r"\.ko(\.(gz|xz|zst))?$")


class State(StrEnum):
    """Of a part of the kernel."""

    LOADED = "loaded"
    BUILT_IN = "built in"
    LOADABLE = "not loaded, can be"  #: the kernel loads it when somebody first needs it
    ABSENT = "absent"
    UNKNOWN = "unknown"

    @property
    def there(self) -> bool | None:
        """Whether it can be used; ``None`` where that is not known."""
        return None if self is State.UNKNOWN else self is not State.ABSENT


@dataclass
class Modules:
    """What the running kernel was built with. The lists are read once per kernel release."""

    tree: Tree
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _release: str = field(default="", init=False)
    _files: frozenset[str] | None = field(default=None, init=False)
    _builtin: frozenset[str] | None = field(default=None, init=False)
    _config: dict[str, str] | None = field(default=None, init=False)

    def state(self, module: str, option: str = "") -> tuple[State, str]:
        """A module's state, and where that was read.

        :param option: the option of the kernel's build that stands for it, ``CONFIG_`` left out
        """
        name = module.replace("-", "_")
        if self.tree.exists(f"sys/module/{name}"):
            return State.LOADED, f"/sys/module/{name}"
        self._read()
        if self._builtin is not None and name in self._builtin:
            return State.BUILT_IN, f"modules.builtin of {self._release}"
        if self._files is not None and name in self._files:
            return State.LOADABLE, f"modules.dep of {self._release}"
        built = self._config.get(option) if self._config is not None and option else None
        if built == "y":
            return State.BUILT_IN, f"CONFIG_{option}=y"
        if built == "m" and self._files is None:
            return State.LOADABLE, f"CONFIG_{option}=m; the list of modules cannot be read"
        if self._config is not None and option and built is None:
            return State.ABSENT, f"CONFIG_{option} is not set"
        if self._files is not None and self._builtin is not None:
            return State.ABSENT, f"no module {module} for {self._release}"
        return State.UNKNOWN, f"/sys/module/{name} is not there, and no list of modules either"

    @property
    def release(self) -> str:
        """The release of the running kernel."""
        return self.tree.text("proc/sys/kernel/osrelease") or ""

    def _read(self) -> None:
        with self._lock:
            release = self.release
            if release == self._release:
                return
            directory = f"lib/modules/{release}"
            self._builtin = self._names(f"{directory}/modules.builtin")
            self._files = self._names(f"{directory}/modules.dep")
            self._config = self._options(release)
            self._release = release

    def _text(self, path: str) -> str | None:
        """A list that cannot be read is as good as none."""
        try:
            return self.tree.text(path)
        except Unreadable as problem:
            LOG.warning("what the kernel was built with: %s", problem)
            return None

    def _names(self, path: str) -> frozenset[str] | None:
        text = self._text(path)
        if text is None:
            return None
        files = (line.partition(":")[0] for line in text.splitlines())
        names = (_SUFFIX.sub("", os.path.basename(file)) for file in files)
        return frozenset(name.replace("-", "_") for name in names if name)

    def _options(self, release: str) -> dict[str, str] | None:
        for path in (f"boot/config-{release}", f"lib/modules/{release}/config"):
            text = self._text(path)
            if text is not None:
                return _options(text)
        try:
            packed = self.tree.data("proc/config.gz")
            text = gzip.decompress(packed or b"").decode(errors="replace")
        except (Unreadable, OSError, EOFError, ValueError, zlib.error) as problem:
            LOG.warning("/proc/config.gz: %s", problem)
            return None
        return _options(text) if text else None


def _options(text: str) -> dict[str, str]:
    pairs = (line[7:].partition("=") for line in text.splitlines() if line.startswith("CONFIG_"))
    return {name: value for name, _, value in pairs}
