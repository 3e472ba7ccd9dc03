"""ARP and neighbour discovery of guests on VXLAN networks, answered on their own devices.

Off unless asked for (``arp_responder``). The kernel's own ways are not taken: ``proxy`` of a VXLAN
device swallows every question about an address that nobody told, ``neigh_suppress`` of its port
announcements and the detection of duplicate addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from vifd.drivers import Nft
from vifd.drivers.nft.objects import ANSWERED as TABLE
from vifd.model import Attachment, Evidence
from vifd.model.evidence import fact
from vifd.model.sets import Forwarding, SetKind
from vifd.plugin import Entry, SetChange, Sets
from vifd.policy.addresses import allowed
from vifd.policy.answering import Here, answering
from vifd_linuxbridge import wiring
from vifd_linuxbridge.batch import Work
from vifd_linuxbridge.wiring import LinuxWiring

_NOBODY = "nothing"
_TUNNELLED = "vxlan"


class Asker(NamedTuple):
    """A port of a network that leaves by a tunnel."""

    port_id: str
    device: str
    attachment: Attachment
    names: LinuxWiring

    @classmethod
    def of(cls, work: Work) -> Asker:
        return cls(work.id, work.device, work.item.attachment, work.names)


def tunnelled(names: LinuxWiring) -> bool:
    """Whether a port's network leaves by a tunnel."""
    return names.network_type == _TUNNELLED


def known(forwarding: Forwarding, attachments: Iterable[Attachment]) -> dict[str, str]:
    """What is answered about a network: MAC address by IP address.

    :param attachments: its ports on this host
    """
    here = Here.of(pair for attachment in attachments for pair in allowed(attachment))
    claims: dict[str, set[str]] = {}
    for endpoint in forwarding.endpoints:
        for port in endpoint.ports:
            for address in port.ip_addresses:
                claims.setdefault(address, set()).add(port.mac_address)
    found = ((address, answering(address, macs, here)) for address, macs in claims.items())
    return {address: mac for address, mac in found if mac is not None}


class Answering:
    """What is answered on this host, kept by the difference.

    :param ledger: every port of this host that has names
    :param on: whether questions are answered at all
    """

    def __init__(
        self, nft: Nft, ledger: Callable[[], Mapping[str, Entry]], sets: Sets, plugin: str, *,
        on: bool,
    ) -> None:  # fmt: skip
        self._nft, self._ledger, self._sets, self._plugin = nft, ledger, sets, plugin
        self._on = on

    @cached_property
    def _ports(self) -> list[Asker]:
        """Every port of this host whose network leaves by a tunnel."""
        return [
            Asker(port_id, entry.wiring.device, entry.attachment, wiring.read(entry.wiring))
            for port_id, entry in self._ledger().items()
            if entry.wiring.plugin == self._plugin
            and entry.attachment.network.segment.network_type == _TUNNELLED
        ]

    def settle(self, askers: Sequence[Asker], *, without: Collection[str] = ()) -> None:
        """Have the questions of ports be answered, or not be, and their networks be known.

        :param without: ports that go, with what they claim
        """
        going = {a.device: None for a in askers if a.port_id in without}
        networks = {a.names.uplink: a.names for a in askers}
        told = {uplink: self._known(names, without) for uplink, names in networks.items()}
        if going:
            self._nft.ask(TABLE, going)
        for uplink, answers in told.items():
            self._nft.answer(TABLE, uplink, answers)
        staying = {a.device: self._asks(a) for a in askers if a.device not in going}
        if staying:
            self._nft.ask(TABLE, staying)

    def silence(self, works: Iterable[Work]) -> None:
        """Ports go: nothing that they ask is answered any more."""
        going = [Asker.of(work) for work in works if tunnelled(work.names)]
        if going:
            self.settle(going, without=[asker.port_id for asker in going])

    def _known(self, names: LinuxWiring, without: Collection[str] = ()) -> dict[str, str] | None:
        """What is answered about a network; ``None`` for one that nobody answers for."""
        forwarding = self._sets.forwarding(names.network_id) if self._on else None
        if forwarding is None:
            return None
        ports = [a.attachment for a in self._ports
                 if a.names.uplink == names.uplink and a.port_id not in without]  # fmt: skip
        return known(forwarding, ports) if ports else None

    def _asks(self, asker: Asker) -> str | None:
        """The network that a port's questions are answered for. Who has no port security may
        announce any address as his own, and that is for everybody."""
        there = self._on and self._sets.forwarding(asker.names.network_id) is not None
        return asker.names.uplink if there and asker.attachment.port.port_security_enabled else None

    def refresh(self, changes: Sequence[SetChange]) -> set[str]:
        """Bring networks whose forwarding changed to it.

        :returns: the ports on them
        """
        changed = {c.key.id for c in changes if c.key.kind is SetKind.FORWARDING}
        askers = [a for a in self._ports if a.names.network_id in changed] if self._on else []
        if askers:
            self.settle(askers)
        return {a.port_id for a in askers}

    def tidy(self) -> None:
        """Remove what no port of this host stands for."""
        devices, networks = self._nft.list_answers(TABLE)
        mine = {a.device for a in self._ports}
        gone = {device: None for device in devices if device not in mine}
        if gone:
            self._nft.ask(TABLE, gone)
        for network in {*networks} - {a.names.uplink for a in self._ports}:
            self._nft.answer(TABLE, network, None)

    def evidence(self, works: Sequence[Work]) -> dict[str, list[Evidence]]:
        """What is answered of each port's questions, by port."""
        askers = [Asker.of(work) for work in works if tunnelled(work.names)]
        have = self._nft.asking(TABLE, [a.device for a in askers]) if askers else {}
        networks = {a.names.uplink: a.names for a in askers if self._asks(a)}
        states = {uplink: self._state(names) for uplink, names in networks.items()}
        found: dict[str, list[Evidence]] = {}
        for asker in askers:
            wanted, there = self._asks(asker), have.get(asker.device)
            if wanted is None and there is None:
                continue
            facts = [fact("nft.asks", there or _NOBODY, wanted or _NOBODY, "nft")]
            if there is not None and wanted is not None:
                facts.append(fact("nft.answers", states[wanted], "as wanted", "nft"))
            found[asker.port_id] = facts
        return found

    def _state(self, names: LinuxWiring) -> str:
        have, wanted = self._nft.answers(TABLE, names.uplink), self._known(names)
        if have is None or wanted is None:
            return "missing"
        wrong = sorted(ip for ip in {*have, *wanted} if have.get(ip) != wanted.get(ip))
        return f"otherwise about {', '.join(wrong[:4])}" if wrong else "as wanted"
