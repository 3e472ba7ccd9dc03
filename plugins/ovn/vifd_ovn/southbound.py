"""What OVN's southbound database says of a logical port: asked when somebody asks why, and before
the destination of a live migration is plugged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vifd_ovn.jsonrpc import NO_TLS, Tls, Unanswered, ask

_DATABASE = "OVN_Southbound"
_NO_ROW = ["set", []]


@dataclass(frozen=True)
class PortBinding:
    """A row of Port_Binding.

    :param kind: empty for a plain port of a guest
    :param up: what OVN says of it; ``None`` where it says nothing
    :param chassis: the name of the chassis that has it, or empty
    :param requested: the chassis that may have it, separated by commas, or empty
    :param strategy: by what those but the first are activated, or empty
    """

    kind: str
    up: bool | None
    chassis: str
    requested: str
    strategy: str = ""


@dataclass(frozen=True)
class Answer:
    """What was read.

    :param binding: ``None`` where there is no such logical port
    :param problem: why nothing could be read; then nothing else counts
    """

    binding: PortBinding | None = None
    problem: str = ""


def read(remotes: str, port_id: str, timeout: float, tls: Tls = NO_TLS) -> Answer:
    """Ask the first database that answers.

    :param remotes: the value of ``ovn-remote``: addresses, separated by commas
    :param timeout: seconds, for each of them
    """
    problems = []
    for address in (word.strip() for word in remotes.split(",")):
        if not address:
            continue
        try:
            return Answer(_Database(address, timeout, tls).binding(port_id))
        except Unanswered as error:
            problems.append(str(error))
    return Answer(problem="; ".join(problems) or "no address is set")


@dataclass(frozen=True)
class _Database:
    """One address of it."""

    address: str
    timeout: float
    tls: Tls

    def binding(self, port_id: str) -> PortBinding | None:
        rows = self._select("Port_Binding", [["logical_port", "==", port_id]])
        if not rows:
            return None
        row = rows[0]
        options = _map(row.get("options"))
        return PortBinding(
            kind=str(row.get("type") or ""),
            up=row["up"] if isinstance(row.get("up"), bool) else None,
            chassis=self._chassis(row.get("chassis")),
            requested=options.get("requested-chassis", ""),
            strategy=options.get("activation-strategy", ""),
        )

    def _chassis(self, reference: Any) -> str:
        """The name of the chassis that a reference stands for."""
        if not reference or reference == _NO_ROW:
            return ""
        rows = self._select("Chassis", [["_uuid", "==", reference]])
        return str(rows[0].get("name") or "") if rows else ""

    def _select(self, table: str, where: list[Any]) -> list[dict[str, Any]]:
        operation = {"op": "select", "table": table, "where": where}
        answer = ask(self.address, "transact", [_DATABASE, operation], self.timeout, self.tls)
        result = answer[0] if isinstance(answer, list) and answer else None
        rows = result.get("rows") if isinstance(result, Mapping) else None
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise Unanswered(f"{self.address}: {table}: {str(result)[:200]}")
        return rows


def _map(value: Any) -> dict[str, str]:
    """A map column in the form of RFC 7047."""
    match value:
        case ["map", [*members]]:
            pairs = (m for m in members if isinstance(m, list) and len(m) == 2)
            return {str(key): str(item) for key, item in pairs}
    return {}
