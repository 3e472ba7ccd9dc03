"""The domains of this host's libvirt, for a command that runs once."""

from __future__ import annotations

import difflib
import os
from types import TracebackType
from typing import Any

from vifd import errors
from vifd.hypervisor import library

DEFAULT_URI = "qemu:///system"


def uri(given: str | None) -> str:
    """Which libvirt: the option, libvirt's own environment, the system's."""
    return given or os.environ.get("LIBVIRT_DEFAULT_URI") or DEFAULT_URI


class Domains:
    """A connection to libvirt, as a context manager.

    :raises errors.HypervisorError: it cannot be had; so do all calls whose cause is libvirt's
    """

    def __init__(self, where: str) -> None:
        try:
            self._libvirt = library.load()
        except library.NotInstalled as problem:
            raise _refused(problem) from problem
        try:
            self._connection = self._libvirt.open(where)
        except self._libvirt.libvirtError as problem:
            raise _refused(f"{where}: {problem}") from problem

    def __enter__(self) -> Domains:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._connection.close()

    def find(self, name: str) -> Any:
        """A domain by name or UUID, which does not run and is not asleep.

        :raises errors.GuestUnknown: there is none
        :raises errors.GuestRunning: it runs
        :raises errors.GuestUnfit: what would be changed is not what it starts with
        """
        domain = self._look(name)
        facts = {"guest": domain.name()}
        if not domain.isPersistent():
            raise errors.GuestUnfit(
                facts={**facts, "problem": "it is transient, and gone once off"}
            )
        if domain.isActive():
            hint = errors.GuestRunning.remediation.format(guest=domain.name())
            raise errors.GuestRunning(facts=facts, hint=hint)
        if domain.hasManagedSaveImage(0):
            problem = "it was saved (virsh managedsave), and would start with the cards of then"
            raise errors.GuestUnfit(facts={**facts, "problem": problem})
        return domain

    def _look(self, name: str) -> Any:
        for lookup in (self._connection.lookupByName, self._connection.lookupByUUIDString):
            try:
                return lookup(name)
            except self._libvirt.libvirtError as problem:
                codes = (self._libvirt.VIR_ERR_NO_DOMAIN, self._libvirt.VIR_ERR_INVALID_ARG)
                if problem.get_error_code() not in codes:
                    raise _refused(problem) from problem
        known = [each.name() for each in self._connection.listAllDomains()]
        close = difflib.get_close_matches(name, known, 1, 0.6)
        facts = {"guest": name, "have": sorted(known)[:50]}
        hint = f"did you mean {close[0]}?" if close else None
        raise errors.GuestUnknown(facts=facts, hint=hint)

    def definition(self, domain: Any) -> str:
        """The XML with which it starts the next time, secrets included, so that they stay."""
        flags = self._libvirt.VIR_DOMAIN_XML_INACTIVE | self._libvirt.VIR_DOMAIN_XML_SECURE
        return str(self._ask(domain.XMLDesc, flags))

    def all(self) -> list[str]:
        """The XML of every domain, as it runs or would start."""
        domains = self._ask(self._connection.listAllDomains)
        return [str(self._ask(domain.XMLDesc, 0)) for domain in domains]

    def define(self, text: str) -> Any:
        """Give a domain another definition."""
        return self._ask(self._connection.defineXML, text)

    def start(self, domain: Any) -> None:
        """Start it."""
        self._ask(domain.create)

    def _ask(self, call: Any, *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except self._libvirt.libvirtError as problem:
            raise _refused(problem) from problem


def _refused(problem: object) -> errors.HypervisorError:
    return errors.HypervisorError(facts={"problem": str(problem)}, stage="libvirt")
