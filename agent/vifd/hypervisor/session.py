"""One connection to libvirt, from its opening to its loss. Every call blocks."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from vifd.errors import HypervisorError
from vifd.hypervisor import Guest, GuestInterface, Rest, capabilities, definition
from vifd.hypervisor.library import Subscription

#: Seconds between two signs of life, and how many may fail to come.
KEEPALIVE = (5, 3)


def _denied(libvirt: Any, error: Any) -> bool:
    """Whether libvirt, or the mode of its socket, refuses us, and not everybody."""
    names = ("AUTH_FAILED", "AUTH_CANCELLED", "AUTH_UNAVAILABLE", "ACCESS_DENIED")
    codes = {getattr(libvirt, f"VIR_ERR_{name}", None) for name in names}
    return error.get_error_code() in codes or os.strerror(errno.EACCES) in str(error)


class Session:
    """Guests as libvirt tells them, and what is done to them.

    :param libvirt: the binding
    :param changed: see :class:`~vifd.hypervisor.library.Subscription`, as for ``closed``
    :raises HypervisorError: it cannot be opened
    """

    def __init__(
        self, libvirt: Any, uri: str, changed: Callable[[str], None], closed: Callable[[], None],
        happened: Callable[[str, str], None] = lambda _guest, _what: None,
    ) -> None:  # fmt: skip
        self._libvirt = libvirt
        #: why it may only read guests; empty where it may act on them
        self.reads_only = ""
        with self._in_own_words():
            self._connection = self._open(uri)
            # A driver within this process has no connection that could be lost, and refuses.
            with suppress(libvirt.libvirtError):
                self._connection.setKeepAlive(*KEEPALIVE)
            self._events = Subscription(libvirt, self._connection, changed, closed, happened)

    def _open(self, uri: str) -> Any:
        """With the right to act on guests where libvirt gives it, else only to read them."""
        libvirt = self._libvirt
        try:
            return libvirt.open(uri)
        except libvirt.libvirtError as error:
            if not _denied(libvirt, error):
                raise
            connection = libvirt.openReadOnly(uri)
            self.reads_only = str(error)
            return connection

    @contextmanager
    def _in_own_words(self) -> Iterator[None]:
        """libvirt's errors as one of ours, with its sentence."""
        try:
            yield
        except self._libvirt.libvirtError as error:
            facts = {"problem": str(error), "code": error.get_error_code()}
            raise HypervisorError(facts=facts, stage="libvirt") from error

    def close(self) -> None:
        self._events.end()

    def alive(self) -> bool:
        """Whether the connection stands, as far as is known without asking."""
        try:
            return bool(self._connection.isAlive())
        except self._libvirt.libvirtError:
            return False

    # --- questions ---

    def guests(self) -> dict[str, Guest]:
        """Every guest, running or defined."""
        with self._in_own_words():
            found = self._connection.listAllDomains()
        guests = (self._guest(domain) for domain in found)
        return {guest.id: guest for guest in guests if guest is not None}

    def guest(self, guest: str) -> Guest | None:
        """One guest; ``None`` when there is none of that UUID."""
        domain = self._find(guest)
        return None if domain is None else self._guest(domain)

    def _find(self, guest: str) -> Any:
        try:
            return self._connection.lookupByUUIDString(guest)
        except self._libvirt.libvirtError as error:
            if error.get_error_code() == self._libvirt.VIR_ERR_NO_DOMAIN:
                return None
            with self._in_own_words():
                raise

    def _guest(self, domain: Any) -> Guest | None:
        libvirt = self._libvirt
        try:
            running, persistent = bool(domain.isActive()), bool(domain.isPersistent())
            found = definition.interfaces(domain.XMLDesc(0), running=running)
            if running and persistent:
                inactive = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
                present = {interface.device for interface in found}
                later = definition.interfaces(inactive, running=False)
                found += [i for i in later if i.device not in present]
            return Guest(
                id=domain.UUIDString(),
                name=domain.name(),
                running=running,
                autostart=persistent and bool(domain.autostart()),
                rest=Rest.UNKNOWN if running else self._rest(*domain.state()),
                interfaces=tuple(found),
                arrived=running and self._arrived(*domain.state()),
            )
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            with self._in_own_words():
                raise
        except definition.BadXml as error:
            facts = {"problem": f"the definition of {domain.name()}: {error}"}
            raise HypervisorError(facts=facts, stage="libvirt") from error

    def _rest(self, state: int, reason: int) -> Rest:
        libvirt = self._libvirt
        if state == libvirt.VIR_DOMAIN_CRASHED:
            return Rest.CRASHED
        if state != libvirt.VIR_DOMAIN_SHUTOFF:
            return Rest.UNKNOWN
        known = {
            libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN: Rest.UNKNOWN,
            libvirt.VIR_DOMAIN_SHUTOFF_FAILED: Rest.FAILED,
            libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: Rest.CRASHED,
            libvirt.VIR_DOMAIN_SHUTOFF_DAEMON: Rest.CRASHED,
        }
        return known.get(reason, Rest.OFF)

    def _arrived(self, state: int, reason: int) -> bool:
        libvirt = self._libvirt
        names = ("MIGRATED", "POSTCOPY")
        reasons = {getattr(libvirt, f"VIR_DOMAIN_RUNNING_{name}", None) for name in names}
        running = getattr(libvirt, "VIR_DOMAIN_RUNNING", None)
        return state == running and reason in reasons

    def facts(self) -> dict[str, Any]:
        """Versions and capabilities; libvirt may have to start QEMU for them, which takes time."""
        with self._in_own_words():
            connection = self._connection
            qemu = connection.getVersion()
            facts = {
                "libvirt_version": capabilities.version(connection.getLibVersion()),
                "hypervisor": connection.getType(),
                "hypervisor_version": capabilities.version(qemu),
            }
            try:
                facts |= capabilities.host(connection.getCapabilities())
                facts["domains"] = [self._machine(facts["arch"], v) for v in facts["virt_types"]]
            except definition.BadXml as error:
                facts["capabilities_problem"] = str(error)
        facts["nic_models"] = list(capabilities.models(str(facts.get("arch", "")), qemu))
        return facts

    def _machine(self, arch: str, virt_type: str) -> dict[str, Any]:
        """What the default machine type of a kind of virtualisation can do."""
        try:
            text = self._connection.getDomainCapabilities(None, arch, None, virt_type)
        except self._libvirt.libvirtError as error:
            return {"virt_type": virt_type, "problem": str(error)}
        return capabilities.machine(text)

    # --- effects ---

    def _demand(self) -> None:
        """:raises HypervisorError: the connection may only read"""
        if self.reads_only:
            problem = f"libvirt lets vifd read guests and not act on them ({self.reads_only})"
            facts = {"problem": problem}
            hint = "switch the function on in etc/polkit/50-vifd.rules: docs/boot.md"
            raise HypervisorError(facts=facts, stage="libvirt", hint=hint)

    def start(self, guest: str) -> None:
        """Start a defined guest; one that runs already is no error."""
        self._demand()
        with self._in_own_words():
            domain = self._domain(guest)
            if not domain.isActive():
                domain.create()

    def definition(self, interface: GuestInterface) -> str:
        """The XML of an interface of a running guest."""
        try:
            with self._in_own_words():
                text = self._domain(interface.guest).XMLDesc(0)
            return definition.definition_of(text, interface)
        except definition.BadXml as error:
            raise HypervisorError(facts={"problem": str(error)}, stage="libvirt") from error

    def detach(self, guest: str, xml: str) -> None:
        """Ask the guest to let go of an interface; it does so in its own time, or never."""
        self._demand()
        with self._in_own_words():
            live = self._libvirt.VIR_DOMAIN_AFFECT_LIVE
            self._domain(guest).detachDeviceFlags(xml, live)

    def attach(self, guest: str, xml: str) -> None:
        """Give a running guest an interface."""
        self._demand()
        with self._in_own_words():
            live = self._libvirt.VIR_DOMAIN_AFFECT_LIVE
            self._domain(guest).attachDeviceFlags(xml, live)

    def _domain(self, guest: str) -> Any:
        return self._connection.lookupByUUIDString(guest)
