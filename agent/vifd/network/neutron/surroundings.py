"""What ports stand on: their networks, their subnets and the QoS policies that they have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from vifd.model import Status
from vifd.network.neutron import translate
from vifd.network.neutron.abreast import answers
from vifd.network.neutron.cache import Cache
from vifd.network.neutron.objects import Plain
from vifd.network.neutron.server import Server


class Surroundings:
    """Of the ports that a cache has. What is not known is asked for."""

    def __init__(self, server: Server, cache: Cache) -> None:
        self._server = server
        self._cache = cache
        self._networks = cache.all("Network")

    def read(self, ports: Sequence[Plain], *, anew: bool = False) -> None:
        """Know the networks, subnets and policies of ports.

        :param anew: also those that are known; all others are forgotten
        :raises Exception: the service could not be asked
        """
        wanted: dict[str, set[str]] = {"Network": set(), "Subnet": set()}
        for port in ports:
            network, subnets, _ = translate.needs(port, {})
            wanted["Network"].add(network)
            wanted["Subnet"].update(subnets)
        self._read(wanted, anew=anew)
        # which it is the networks say
        self._read_policies(ports, anew=anew)

    def changed(self, kind: str, item: Plain) -> list[Plain]:
        """An object changed: the ports that stand on it; none of one that nobody asked for.

        :raises Exception: something else had to be asked for, and could not be
        """
        known = self._cache.get(kind, item["id"]) is not None
        if not known or not self._cache.put(kind, item):
            return []
        ports = self._cache.all("Port").values()
        concerned = [port for port in ports if item["id"] in self._needs(port)]
        if kind == "Network":
            # its policy may be another one
            self._read_policies(concerned)
        return concerned

    def segments(self, host: str) -> dict[str, str]:
        """The networks that have ports on a host, with the types of their segments."""
        found = {}
        for port in list(self._cache.all("Port").values()):
            network = self._cache.get("Network", str(port.get("network_id")))
            segment = translate.segment_of(port, network, host)
            if network is not None and segment:
                found[network["id"]] = str(segment["network_type"])
        return found

    def busy(self, host: str) -> set[str]:
        """The networks of ports that the service has as working on a host."""
        here = (p for p in self._cache.all("Port").values() if translate.active_here(p, host))
        return {str(p.get("network_id")) for p in here if p.get("status") == Status.ACTIVE.value}

    def _needs(self, port: Plain) -> set[str]:
        network, subnets, policies = translate.needs(port, self._networks)
        return {network, *subnets, *policies}

    def _read_policies(self, ports: Iterable[Plain], *, anew: bool = False) -> None:
        ids = {p for port in ports for p in translate.needs(port, self._networks)[2]}
        self._read({"QosPolicy": ids}, anew=anew)

    def _read(self, wanted: Mapping[str, set[str]], *, anew: bool) -> None:
        asked = [partial(self._found, kind, ids, anew=anew) for kind, ids in wanted.items()]
        for (kind, ids), found in zip(wanted.items(), answers(asked), strict=True):
            for item in found:
                self._cache.put(kind, item)
            if anew:
                self._cache.keep_only(kind, ids)

    def _found(self, kind: str, ids: set[str], *, anew: bool) -> list[Plain]:
        lacking = ids if anew else ids - self._cache.all(kind).keys()
        return list(self._server.pull(kind, lacking - {""}))
