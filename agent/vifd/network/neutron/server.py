"""What an agent asks of Neutron's server, by name and version."""

from __future__ import annotations

import datetime
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from vifd.network.neutron.abreast import answers
from vifd.network.neutron.bus import Bus, Unanswered
from vifd.network.neutron.objects import Plain, objects
from vifd.network.neutron.pace import Pace
from vifd.network.neutron.versions import Versions

#: Topics of the server.
PLUGIN, REPORTS, TRUNK = "q-plugin", "q-reports-plugin", "trunk"
#: Answers to a report.
NEW, ALIVE, REVIVED = "new", "alive", "revived"
#: So many times more values than objects go into one question about what few have.
SELDOM = 10
_TIME = "%Y-%m-%dT%H:%M:%S.%f"


@dataclass
class Server:
    """The server as this host sees it; every call may raise whatever the bus raises.

    :param agent: the id by which messages name this agent
    :param timeout: seconds for an answer
    :param step: how many ports go into one message
    """

    bus: Bus
    host: str
    agent: str
    timeout: float
    step: int
    versions: Versions = field(default_factory=Versions)

    @cached_property
    def pace(self) -> Pace:
        """How many ports are to be told of in one call."""
        return Pace(self.step, self.timeout)

    def report(self, state: Plain) -> str:
        """Say that this host is alive; its standing with the server, empty where that did not take
        the report, because it has begun after it was sent."""
        now = datetime.datetime.now(datetime.UTC).strftime(_TIME)
        told = {**state, "uuid": str(uuid.uuid4())}
        sent = {"agent_state": {"agent_state": told}, "time": now}
        answer = self._ask("report_state", "1.2", sent, topic=REPORTS)
        return str(answer or "")

    def port_ids(self, vnic_types: Iterable[str] = ("normal",)) -> list[str]:
        """The ids of all ports that have a binding to this host."""
        found: dict[str, None] = {}
        for vnic_type in vnic_types:
            sent = {"vnic_type": vnic_type, "host": self.host}
            ports = self._ask("get_ports_by_vnic_type_and_host", "1.7", sent)
            found |= {str(p["id"]): None for p in ports or () if isinstance(p, dict)}
        return list(found)

    def ports(self, known: Set[str]) -> list[Plain]:
        """The ports that have a binding to this host, and those that it knows: most of the others
        as a rule, so that they do not wait for the list."""

        def listed() -> list[Plain]:
            return [{"id": i} for i in self.port_ids()]

        def there() -> list[Plain]:
            return list(self.pull("Port", known))

        bound, found = answers([listed, there])
        return [*found, *self.pull("Port", {port["id"] for port in bound} - known)]

    def pull(self, kind: str, ids: Iterable[str]) -> Iterator[Plain]:
        """Objects by id; those that are not there any more are left out."""
        for part in self.parts(kind, ids):
            yield from part

    def parts(self, kind: str, ids: Iterable[str]) -> Iterator[list[Plain]]:
        """The same, answer by answer: what is there can be worked on while the server looks."""
        chunks = _chunks(sorted(set(ids)), self.step)
        return answers([partial(self.where, kind, id=chunk) for chunk in chunks])

    def where(self, kind: str, **filters: Sequence[str]) -> list[Plain]:
        """Objects by what their fields hold."""
        return self._where(kind, self.versions.chosen[kind], filters)

    def by(self, kind: str, field: str, values: Iterable[str]) -> Iterator[Plain]:
        """Objects that have one of these values in a field, as few have."""
        for chunk in _chunks(sorted(set(values)), self.step * SELDOM):
            yield from self.where(kind, **{field: chunk})

    def agree(self, known: Mapping[str, str]) -> bool:
        """Agree on the versions of objects that are spoken; whether they are others than before.

        :param known: by type, the id of an object that is there
        """
        return self.versions.agree(lambda k, i, v: self._where(k, v, {"id": [i]}), known)

    def _where(
        self, kind: str, version: str, filters: Mapping[str, Sequence[str]]
    ) -> list[Plain]:  # fmt: skip
        wanted = {name: list(values) for name, values in filters.items()}
        sent = {"resource_type": kind, "version": version, "filter_kwargs": wanted}
        return objects(self._ask("bulk_pull", "1.1", sent))

    def details(self, port_ids: Sequence[str]) -> None:
        """Have bindings finished that the server has yet to choose a type for."""
        for chunk in _chunks(port_ids, self.step):
            sent = {"devices": list(chunk), **self._self}
            self._ask("get_devices_details_list_and_failed_devices", "1.5", sent)

    def tell(
        self, up: Sequence[str], down: Sequence[str], *, refresh: bool = False
    ) -> tuple[set[str], set[str]]:
        """Say which ports work and which do not.

        :param refresh: have everything told once more that is known of the ports' networks
        :returns: those that were taken as up, and as down
        """
        told = {"devices_up": list(up), "devices_down": list(down), "refresh_tunnels": refresh}
        began, ports = time.monotonic(), len(up) + len(down)
        try:
            answer = self._ask("update_device_list", "1.8", {**told, **self._self})
        except Unanswered:
            self.pace.unanswered(ports)
            raise
        self.pace.answered(ports, time.monotonic() - began)
        failed = answer if isinstance(answer, dict) else {}
        return (
            set(up) - set(map(str, failed.get("failed_devices_up", ()))),
            set(down) - set(map(str, failed.get("failed_devices_down", ()))),
        )

    def tunnels(self, address: str, kind: str) -> dict[str, str]:
        """Say where tunnels of a type to this host lead; by address where those of all hosts do,
        the host, empty where it is not said."""
        sent = {"tunnel_ip": address, "tunnel_type": kind, "host": self.host}
        answer = self._ask("tunnel_sync", "1.4", sent)
        found = answer.get("tunnels", ()) if isinstance(answer, dict) else ()
        told = (t for t in found if isinstance(t, dict) and "ip_address" in t)
        return {str(t["ip_address"]): str(t.get("host") or "") for t in told}

    def bind_sub_ports(self, trunk: str, port_ids: Iterable[str]) -> None:
        """Have sub-ports of a trunk bound to the host that its parent is in force on."""
        sent = {"subports": [{"trunk_id": trunk, "port_id": i} for i in port_ids]}
        self._ask("update_subport_bindings", "1.0", sent, topic=TRUNK)

    def trunk_status(self, trunk: str, status: str) -> None:
        """Say what became of a trunk."""
        sent = {"trunk_id": trunk, "status": status}
        self._ask("update_trunk_status", "1.0", sent, topic=TRUNK)

    @property
    def _self(self) -> Plain:
        return {"agent_id": self.agent, "host": self.host}

    def _ask(self, method: str, version: str, sent: Plain, *, topic: str = PLUGIN) -> Any:
        return self.bus.call(topic, method, version, self.timeout, sent)


def _chunks(items: Sequence[str], step: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), step):
        yield items[start : start + step]
