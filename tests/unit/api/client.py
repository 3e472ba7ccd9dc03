"""A plain HTTP client over a unix socket, and documents to send."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any

from vifd.testing.wait import PATIENCE


def uuid(n: int) -> str:
    return f"{n:08x}-0000-4000-8000-000000000000"


def document(n: int = 1, **network: Any) -> dict[str, Any]:
    """A good attachment document."""
    return {
        "version": "1.0",
        "role": "ACTIVE",
        "port": {
            "id": uuid(n),
            "name": f"web-{n}",
            "mac_address": f"fa:16:3e:00:{n >> 8:02x}:{n & 255:02x}",
            "allowed_address_pairs": [{"ip_address": "10.1.0.0/24"}],
            "binding_profile": {},
        },
        "network": {
            "id": uuid(0xA00),
            "mtu": 1450,
            "segment": {
                "network_type": "vlan",
                "physical_network": "physnet1",
                "segmentation_id": 101,
            },
            **network,
        },
        "fixed_ips": [{"ip_address": "10.0.0.5", "subnet_id": uuid(0xB00)}],
        "subnets": [{"id": uuid(0xB00), "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1"}],
        "instance": {"id": uuid(0xC00), "name": "instance-00000001", "vcpus": 2},
    }


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.json["code"]

    @property
    def field(self) -> str:
        return self.json["facts"]["field"]


class Client(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float = 30) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def call(self, method: str, url: str, body: Any = None, **headers: str) -> Answer:
        """One call; anything but bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            named = {"Content-Type": "application/json", **named}
        self.request(method, url, data, named)
        response = self.getresponse()
        return Answer(response.status, response.headers, response.read())

    def plug(self, n: int = 1, query: str = "?wait=active", **network: Any) -> Answer:
        return self.call("PUT", f"/v1/ports/{uuid(n)}{query}", document(n, **network))


def send_raw(path: str, data: bytes) -> bytes:
    """What comes back on a connection of its own for these bytes, until it is closed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(path)
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        pieces = []
        while piece := sock.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)
