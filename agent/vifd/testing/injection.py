"""Faults at the n-th call of any driver, whatever the plugin and whatever the drivers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from vifd.drivers import Bridging, Drivers, Links, Nft, OpenFlow, Ovsdb, Tracer

#: Calls that neither change nor read the host.
_PASSIVE = frozenset(
    {
        "subscribe",
        "watch",
        "close",
        "connected",
        "generation",
        "forget",
        "lacking",
        "held",
        "unanswerable",
        "overhear",
        "deafened",
    }
)
#: Calls that change the host.
WRITES = frozenset(
    {
        "links.create_taps", "links.set", "links.delete",
        "ovsdb.ensure_bridge", "ovsdb.delete_bridge", "ovsdb.set_fail_mode",
        "ovsdb.ensure_ports", "ovsdb.delete_ports", "ovsdb.set_external_ids",
        "openflow.apply", "openflow.set_fragments", "openflow.set_meters", "openflow.packet_out",
        "bridging.make", "bridging.enslave", "bridging.release", "bridging.change_fdb",
        "bridging.guard", "bridging.say",
        "nft.apply", "nft.delete_table", "nft.deafen", "nft.undeafen",
        "nft.answer", "nft.ask",
    }
)  # fmt: skip


class Injected(RuntimeError):
    """The fault that was ordered."""


class Injector:
    """Drivers that count their calls and fail at one of them.

    :ivar drivers: what to hand to the plugin
    :ivar calls: the calls since :meth:`arm`, e.g. ``ovsdb.ensure_ports``
    """

    def __init__(self, real: Drivers) -> None:
        self.calls: list[str] = []
        self._at: int | None = None
        self._after = False
        self._error: Callable[[str], Exception] = Injected
        self.drivers = Drivers(
            links=cast(Links, _Proxy(self, "links", real.links)),
            ovsdb=cast(Ovsdb, _Proxy(self, "ovsdb", real.ovsdb)),
            openflow=cast(OpenFlow, _Proxy(self, "openflow", real.openflow)),
            tracer=cast(Tracer, _Proxy(self, "tracer", real.tracer)),
            bridging=real.bridging and cast(Bridging, _Proxy(self, "bridging", real.bridging)),
            nft=real.nft and cast(Nft, _Proxy(self, "nft", real.nft)),
        )

    def arm(
        self,
        at: int | None = None,
        *,
        after: bool = False,
        error: Callable[[str], Exception] = Injected,
    ) -> None:
        """Count anew, and fail once at call number ``at``, counted from 0.

        :param after: fail once the effect has taken place, as when an answer is lost
        :param error: makes the exception from a sentence
        """
        self.calls.clear()
        self._at, self._after, self._error = at, after, error

    @property
    def writes(self) -> list[str]:
        """The calls since :meth:`arm` that change the host."""
        return [call for call in self.calls if call in WRITES]

    def _call(self, name: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        hit = self._at == len(self.calls)
        self.calls.append(name)
        if hit and not self._after:
            raise self._error(f"injected before {name}")
        result = call(*args, **kwargs)
        if hit:
            raise self._error(f"injected after {name}")
        return result


class _Proxy:
    def __init__(self, injector: Injector, name: str, target: object) -> None:
        self._injector, self._name, self._target = injector, name, target

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._target, attribute)
        if attribute in _PASSIVE or not callable(found):
            return found
        name = f"{self._name}.{attribute}"
        return lambda *args, **kwargs: self._injector._call(name, found, *args, **kwargs)
