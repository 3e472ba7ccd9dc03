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

#: The modules that are asked about, by the option of the kernel's build that stands for each.
OPTIONS = {
    "8021q": "VLAN_8021Q",
    "bridge": "BRIDGE",
    "macvtap": "MACVTAP",
    "nf_conntrack_bridge": "NF_CONNTRACK_BRIDGE",
    "nf_tables": "NF_TABLES",
    "tun": "TUN",
    "vfio_pci": "VFIO_PCI",
    "vhost_net": "VHOST_NET",
    "vhost_vdpa": "VHOST_VDPA",
    "vhost_vsock": "VHOST_VSOCK",
    "vxlan": "VXLAN",
}
_KNOWN_OPTIONS = frozenset(OPTIONS.values())
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

    def state(self, module: str) -> tuple[State, str]:
        """The state of a module of :data:`OPTIONS`, and where that was read."""
        option = OPTIONS[module]
        if self.tree.exists(f"sys/module/{module}"):
            return State.LOADED, f"/sys/module/{module}"
        self._read()
        if module in (self._builtin or ()):
            return State.BUILT_IN, f"modules.builtin of {self._release}"
        if module in (self._files or ()):
            return State.LOADABLE, f"modules.dep of {self._release}"
        if self._config is not None:
            built = self._config.get(option)
            if built == "y":
                return State.BUILT_IN, f"CONFIG_{option}=y"
            if built == "m" and self._files is None:
                return State.LOADABLE, f"CONFIG_{option}=m; the list of modules cannot be read"
            if built is None:
                return State.ABSENT, f"CONFIG_{option} is not set"
        if self._files is not None and self._builtin is not None:
            return State.ABSENT, f"no module {module} for {self._release}"
        return State.UNKNOWN, f"/sys/module/{module} is not there, and no list of modules either"

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
        return frozenset(name.replace("-", "_") for name in names) & OPTIONS.keys()

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
    return {name: value for name, _, value in pairs if name in _KNOWN_OPTIONS}
