"""A host of vifd that a real Neutron knows: switch, daemon, and compute that uses ports."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from support.cloud.server import Cloud
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until

#: A burst is told to the server in turn, at about 0.2 s of its time for each port.
PATIENCE = 240.0


class VifdHost:
    """One host; its physical network ``physnet1`` is the bridge ``br-phys``.

    :param directory: of the daemon, with a short name
    :param name: what Neutron calls the host
    """

    def __init__(
        self, directory: Path, cloud: Cloud, ovs: PrivateOvs, name: str,
        options: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.cloud = cloud
        self.ovs = ovs
        for bridge in ("br-int", "br-phys"):
            ovs.vsctl("--may-exist", "add-br", bridge, "--", "set", "bridge", bridge,
                      OF_DATAPATH)  # fmt: skip
        given: dict[str, dict[str, object]] = {
            "DEFAULT": {"host": name},
            "ovs": {"bridge_mappings": "physnet1:br-phys"},
            "network": {"service": "neutron"},
            "network_neutron": {
                "transport_url": cloud.broker.url,
                "report_interval": 5,
                "rpc_timeout": 15,
            },
        }
        for group, values in (options or {}).items():
            given.setdefault(group, {}).update(values)
        self.vifd = Vifd(directory, ovs, given)

    def start(self) -> None:
        """Start the daemon, and wait until Neutron knows that the host is alive."""
        self.vifd.start()
        self.vifd.ready()
        until(self.is_known, f"{self.name} has reported", PATIENCE, lambda: self.vifd.log[-3000:])

    def is_known(self) -> bool:
        """Whether Neutron takes the host for alive."""
        agent = self.cloud.agent(self.name)
        return bool(agent and agent["alive"])

    def bind(self, network_id: str, **fields: Any) -> str:
        """A port that is bound to this host; its id. Neutron binds nothing to a host that it takes
        for dead, as it does for a while after the bus was away."""
        until(self.is_known, f"{self.name} is alive for Neutron", PATIENCE)
        return str(self.cloud.make("port", **self._wish(network_id, fields))["id"])

    def bind_many(self, network_id: str, number: int) -> list[str]:
        """So many ports that are bound to this host; their ids."""
        until(self.is_known, f"{self.name} is alive for Neutron", PATIENCE)
        wishes = [self._wish(network_id, {}) for _ in range(number)]
        return [str(p["id"]) for p in self.cloud.call("POST", "ports", {"ports": wishes})["ports"]]

    def _wish(self, network_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "network_id": network_id, "device_owner": "compute:nova",
            "device_id": str(uuid.uuid4()), "binding:host_id": self.name, **fields,
        }  # fmt: skip

    def use(self, port_id: str) -> None:
        """Compute uses the port."""
        body = {"version": "1.0", "instance": {"id": str(uuid.uuid4())}}
        status, answer = self.vifd.call("PUT", f"/v1/ports/{port_id}/instance", body)
        assert status == 202, answer

    def unuse(self, port_id: str) -> None:
        """Compute does not use the port any more."""
        status, answer = self.vifd.call("DELETE", f"/v1/ports/{port_id}/instance")
        assert status < 300, answer

    def phase(self, port_id: str) -> str:
        """What vifd says of the port; empty where it knows none."""
        status, answer = self.vifd.call("GET", f"/v1/ports/{port_id}")
        return str(answer.get("phase", "")) if status == 200 else ""

    def proven(self, ports: Iterable[str]) -> None:
        """Wait until vifd has proven the ports."""
        wanted = list(ports)
        until(
            lambda: all(self.phase(p) == "LIVE" for p in wanted), "the ports are proven",
            PATIENCE, lambda: [(p, self.vifd.call("GET", f"/v1/ports/{p}")[1]) for p in wanted][:2],
        )  # fmt: skip

    def told(self, network_id: str, ports: Iterable[str], status: str) -> None:
        """Wait until Neutron has this status of the ports."""
        wanted = set(ports)

        def lacking() -> list[str]:
            known = self.cloud.ports(network_id)
            return [p for p in wanted if known.get(p, {}).get("status") != status]

        until(
            lambda: not lacking(), f"Neutron has {status} of the ports", PATIENCE,
            lambda: f"{lacking()[:3]}\n{self.vifd.log[-3000:]}",
        )  # fmt: skip

    def close(self) -> None:
        """Stop it."""
        self.vifd.close()
