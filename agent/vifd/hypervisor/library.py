"""libvirt's Python binding and the thread on which its events come. The one module that names it.

The binding is optional, and importing it is left to the thread that uses it first.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

_lock = threading.Lock()
_loaded: list[Any] = []


class NotInstalled(Exception):
    """There is no binding here; the text says why."""


def load() -> Any:
    """The module ``libvirt``, with its event loop running.

    An event loop must be registered before the first connection is opened, once per process: it
    belongs to the library and stays until the process ends.

    :raises NotInstalled: it cannot be imported
    """
    with _lock:
        if not _loaded:
            _loaded.append(_import())
        return _loaded[0]


def _import() -> Any:
    try:
        import libvirt
    except ImportError as error:
        raise NotInstalled(f"the Python module libvirt cannot be imported: {error}") from error
    # Errors are exceptions; the library would also print them.
    libvirt.registerErrorHandler(lambda *_: None, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_events, args=(libvirt,), name="libvirt-events", daemon=True).start()
    return libvirt


def _events(libvirt: Any) -> None:
    """Deliver events for ever. Whoever is called here may neither block nor log."""
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            time.sleep(0.1)


class Subscription:
    """The events of one connection that tell of a change of a guest's interfaces.

    :param changed: called with a guest's UUID, on the event thread
    :param happened: called there with the UUID and what befell a guest: ``resumed: migrated``…;
        ``moving`` with each round of copying its memory to another host
    :param closed: called once the connection is lost, on the event thread
    """

    def __init__(
        self, libvirt: Any, connection: Any, changed: Callable[[str], None],
        closed: Callable[[], None], happened: Callable[[str, str], None] = lambda _g, _w: None,
    ) -> None:  # fmt: skip
        self._libvirt = libvirt
        self._connection = connection
        words = _words(libvirt)

        def on_life(_connection: Any, domain: Any, event: int, detail: int, *_: Any) -> None:
            guest = domain.UUIDString()
            if (what := words.get((event, detail))) is not None:
                happened(guest, what)
            changed(guest)

        def on_moving(_connection: Any, domain: Any, *_: Any) -> None:
            happened(domain.UUIDString(), "moving")

        def on_event(_connection: Any, domain: Any, *_: Any) -> None:
            changed(domain.UUIDString())

        kinds = (
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
        )
        connection.registerCloseCallback(lambda *_: closed(), None)
        life = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
        self._ids = [connection.domainEventRegisterAny(None, life, on_life, None)]
        self._ids += [connection.domainEventRegisterAny(None, k, on_event, None) for k in kinds]
        moving = getattr(libvirt, "VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION", None)
        if moving is not None:
            self._ids.append(connection.domainEventRegisterAny(None, moving, on_moving, None))

    def end(self) -> None:
        """Give the events up and close the connection, as far as it still can be."""
        for number in self._ids:
            with contextlib.suppress(self._libvirt.libvirtError):
                self._connection.domainEventDeregisterAny(number)
        with contextlib.suppress(self._libvirt.libvirtError):
            self._connection.unregisterCloseCallback()
        with contextlib.suppress(self._libvirt.libvirtError):
            self._connection.close()


#: What befalls a guest in a migration, by libvirt's names of event and detail.
_LIFE = {
    "STARTED": ("MIGRATED",),
    "SUSPENDED": ("MIGRATED", "POSTCOPY", "POSTCOPY_FAILED"),
    "RESUMED": ("MIGRATED", "POSTCOPY", "POSTCOPY_FAILED"),
    "STOPPED": ("MIGRATED", "FAILED", "DESTROYED", "CRASHED", "SHUTDOWN"),
}


def _words(libvirt: Any) -> dict[tuple[int, int], str]:
    """By event and detail, in words; a libvirt that lacks one of them is none the worse."""
    found = {}
    for event, details in _LIFE.items():
        number = getattr(libvirt, f"VIR_DOMAIN_EVENT_{event}", None)
        for detail in details:
            which = getattr(libvirt, f"VIR_DOMAIN_EVENT_{event}_{detail}", None)
            if number is not None and which is not None:
                found[number, which] = f"{event}: {detail}".lower().replace("_", " ")
    return found
