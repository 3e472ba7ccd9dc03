"""A port that is in no journal: whether the host bears its marks all the same."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from types import MappingProxyType

from vifd import errors
from vifd.engine import Engine
from vifd.explain.explanation import Explanation
from vifd.plugin.guarded import does
from vifd.plugin.marked import Marked

#: So many objects are named.
_SHOWN = 6


def look(engine: Engine, port_id: str) -> Future[Explanation]:
    """Have every plugin that can list its objects look for the port, each on its lane.

    :returns: raises :class:`errors.PortUnrecorded`, or :class:`errors.PortNotFound`
    :raises errors.PortNotFound: no plugin can look
    """
    asked = [
        name
        for name, plugin in engine.plugins.items()
        if does(plugin, "inventory") and not engine.lanes[name].quarantined
    ]
    if not asked:
        raise absent(port_id)
    search = _Search(engine, port_id, asked)
    for name in asked:
        search.ask(name)
    return search.future


def absent(port_id: str, silent: Mapping[str, str] = MappingProxyType({})) -> errors.PortNotFound:
    """Nothing is known of the port.

    :param silent: by plugin, why it cannot tell whether the port's marks are on this host
    """
    if not silent:
        return errors.PortNotFound(facts={"port": port_id}, port=port_id)
    told = "; ".join(f"plugin {name}: {why}" for name, why in sorted(silent.items()))
    return errors.PortNotFound(
        f"port {port_id} is in no journal here, and whether this host bears its marks cannot be "
        f"told now: {told}",
        facts={"port": port_id, "unasked": dict(silent)}, port=port_id,
    )  # fmt: skip


class _Search:
    """The answers of the plugins, until the last one is there."""

    def __init__(self, engine: Engine, port_id: str, asked: Sequence[str]) -> None:
        self.future: Future[Explanation] = Future()
        self._engine = engine
        self._port = port_id
        self._lock = threading.Lock()
        self._waiting = set(asked)
        self._found: list[Marked] = []
        #: why plugins could not tell
        self._silent: dict[str, str] = {}

    def ask(self, name: str) -> None:
        """Look on the lane of a plugin, between two batches."""

        def work() -> None:
            objects: list[Marked] = []
            try:
                listed = self._engine.plugins[name].inventory()
                objects = [o for o in listed if o.owner == self._port]
            except errors.VifError as error:
                self._silent[name] = error.message
            finally:
                self._answer(name, objects)

        self._engine.lanes[name].ask(f"look for {self._port}", work)

    def _answer(self, name: str, objects: Iterable[Marked]) -> None:
        with self._lock:
            self._found += objects
            self._waiting.discard(name)
            last = not self._waiting
        if last and self.future.set_running_or_notify_cancel():
            self.future.set_exception(self._judged())

    def _judged(self) -> errors.VifError:
        """What the objects say, each once."""
        objects = list({o.key: o for o in self._found}.values())
        if not objects:
            return absent(self._port, self._silent)
        names = [str(o.key) for o in objects]
        more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
        holder = next((o.holder for o in objects if o.holder), "")
        return errors.PortUnrecorded(
            facts={
                "port": self._port, "objects": ", ".join([*names[:_SHOWN], *more]),
                "holder": holder or "nobody uses it",
            },
            port=self._port, stage="explain",
        )  # fmt: skip
