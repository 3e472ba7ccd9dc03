"""The floor: what a plug costs when nothing but the effects is done.

The same device, database rows and flows as the daemon makes, with every request packed before the
clock starts: ioctls, one netlink message per device, JSON-RPC on the database's socket, OpenFlow on
the bridge's own socket, and every effect read back. No checks of what was there before, no journal,
no undo, no traces, and the flows are open at once.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vifd.drivers import rtnl
from vifd.openflow import message as msg
from vifd.openflow.flow import Flow
from vifd.openflow.message import Command, Control, Type

_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_IFF_TAP_NO_PI = 0x1002
_IFF_UP = 0x1
_IFINFO_FLAGS = 24
_TIMEOUT = 30.0
_GROUP = 0x76696664


class Broken(RuntimeError):
    """An effect was not as it should be."""


# --- devices --------------------------------------------------------------------------------------


class Device:
    """A tap, packed. :meth:`make` is the work."""

    def __init__(self, name: str, mac: str, mtu: int, alias: str) -> None:
        self.name = name
        self._ifreq = struct.pack("16sH22x", name.encode(), _IFF_TAP_NO_PI)
        ipv6 = os.path.isdir("/proc/sys/net/ipv6")
        self._ipv6 = f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6" if ipv6 else ""
        self._set = rtnl.set_link(name, mac=mac, mtu=mtu, alias=alias, up=True).pack(1)
        self._get = rtnl.get(name).pack(2)
        self._mac = bytes.fromhex(mac.replace(":", ""))

    def make(self, netlink: socket.socket) -> None:
        """Make the tap with all its settings, up and persistent."""
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(file, _TUNSETIFF, self._ifreq)
            if self._ipv6:
                proc = os.open(self._ipv6, os.O_WRONLY | os.O_CLOEXEC)
                os.write(proc, b"1")
                os.close(proc)
            netlink.send(self._set)
            if netlink.recv(4096)[16:20] != b"\0\0\0\0":
                raise Broken(f"{self.name} cannot be set")
            fcntl.ioctl(file, _TUNSETPERSIST, 1)
        finally:
            os.close(file)

    def prove(self, netlink: socket.socket) -> None:
        """Read the device back."""
        netlink.send(self._get)
        answer = netlink.recv(16384)
        up = struct.unpack_from("I", answer, _IFINFO_FLAGS)[0] & _IFF_UP
        if not up or self._mac not in answer:
            raise Broken(f"{self.name} is not as it should be")


def netlink_socket() -> socket.socket:
    """A request socket of this namespace."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    sock.settimeout(_TIMEOUT)
    sock.bind((0, 0))
    return sock


def remove_devices(netlink: socket.socket, names: Sequence[str]) -> None:
    """All by one request, the cheapest way there is."""
    for name in names:
        netlink.send(rtnl.set_group(socket.if_nametoindex(name), _GROUP).pack(3))
        netlink.recv(4096)
    netlink.send(rtnl.delete_group(_GROUP).pack(4))
    if netlink.recv(4096)[16:20] != b"\0\0\0\0":
        raise Broken("devices cannot be removed")


# --- the database ---------------------------------------------------------------------------------


class Database:
    """One JSON-RPC connection that hears of every interface's number."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_TIMEOUT)
        self._socket.connect(str(path))
        self._text = ""
        self._decoder = json.JSONDecoder()
        #: ofport by interface name
        self.numbers: dict[str, int] = {}
        columns = {"columns": ["name", "ofport"]}
        self.ask("monitor", ["Open_vSwitch", None, {"Interface": columns}])

    def ask(self, method: str, params: list[Any]) -> Any:
        """A request, and its answer."""
        self.send(pack(method, params))
        return self.answer()

    def send(self, request: bytes) -> None:
        """Send a packed request; :meth:`answer` follows."""
        self._socket.sendall(request)

    def answer(self) -> Any:
        """The next answer; what the monitor tells meanwhile is taken in."""
        while True:
            message = self._message()
            if message.get("id") == 1:
                break
            self._take(message)
        if message["error"] is not None:
            raise Broken(str(message["error"]))
        if isinstance(message["result"], dict):
            self._rows(message["result"])
        else:
            for result in message["result"]:
                if result and "error" in result:
                    raise Broken(str(result))
        return message["result"]

    def wait(self, wanted: dict[str, int]) -> None:
        """Until every interface has the number that was asked for."""
        while any(self.numbers.get(name) != number for name, number in wanted.items()):
            self._take(self._message())

    def wait_numbered(self, names: Iterable[str]) -> None:
        """Until every interface has some number."""
        names = list(names)
        while any(self.numbers.get(name, -1) <= 0 for name in names):
            self._take(self._message())

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("method") == "update":
            self._rows(message["params"][1])
        elif message.get("method") == "echo":
            reply = {"id": message["id"], "result": message["params"], "error": None}
            self._socket.sendall(json.dumps(reply).encode())

    def _rows(self, tables: dict[str, Any]) -> None:
        for row in tables.get("Interface", {}).values():
            new = row.get("new")
            if new is not None and isinstance(new.get("ofport"), int):
                self.numbers[new["name"]] = new["ofport"]

    def _message(self) -> dict[str, Any]:
        while True:
            try:
                message, end = self._decoder.raw_decode(self._text)
            except ValueError:
                self._text += self._socket.recv(1 << 18).decode()
                continue
            self._text = self._text[end:].lstrip()
            return dict(message)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def pack(method: str, params: list[Any]) -> bytes:
    """A request as bytes."""
    return json.dumps({"method": method, "params": params, "id": 1}).encode()


def add_ports(bridge: str, ports: Iterable[tuple[str, int, int, dict[str, str]]]) -> bytes:
    """One transaction that adds ports, each given by name, number, tag and external ids."""
    operations: list[dict[str, Any]] = []
    rows = []
    for index, (name, ofport, tag, ids) in enumerate(ports):
        interface = {
            "name": name, "ofport_request": ofport, "external_ids": ["map", list(ids.items())],
        }  # fmt: skip
        port = {"name": name, "tag": tag, "interfaces": ["named-uuid", f"i{index}"]}
        operations += [
            {"op": "insert", "table": "Interface", "row": interface, "uuid-name": f"i{index}"},
            {"op": "insert", "table": "Port", "row": port, "uuid-name": f"p{index}"},
        ]
        rows.append(["named-uuid", f"p{index}"])
    operations.append(_mutate(bridge, "insert", rows))
    return pack("transact", ["Open_vSwitch", *operations])


def remove_ports(bridge: str, rows: Iterable[str]) -> bytes:
    """One transaction that removes ports, each given by its row."""
    change = _mutate(bridge, "delete", [["uuid", row] for row in rows])
    return pack("transact", ["Open_vSwitch", change])


def _mutate(bridge: str, verb: str, rows: list[list[str]]) -> dict[str, Any]:
    return {
        "op": "mutate", "table": "Bridge", "where": [["name", "==", bridge]],
        "mutations": [["ports", verb, ["set", rows]]],
    }  # fmt: skip


# --- flows ----------------------------------------------------------------------------------------


class FlowSocket:
    """One OpenFlow connection to a bridge's own socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_TIMEOUT)
        self._socket.connect(str(path))
        self._rest = b""
        self._socket.sendall(msg.hello(1))

    def send(self, request: bytes) -> None:
        """Send packed messages; the last has the transaction id that :meth:`until` waits for."""
        self._socket.sendall(request)

    def until(self, xid: int) -> list[msg.Message]:
        """Everything up to the answer of a request."""
        got: list[msg.Message] = []
        while True:
            messages, end = msg.split(self._rest)
            self._rest = self._rest[end:]
            for message in messages:
                if message.type == Type.ERROR:
                    raise Broken(str(msg.error(message)))
                got.append(message)
                if message.xid == xid and not msg.more(message):
                    return got
            self._rest += self._socket.recv(1 << 18)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


#: Transaction ids of what :meth:`FlowSocket.until` waits for.
DONE, READ = 0x7FFFFFF0, 0x7FFFFFF1


def bundle(add: Iterable[Flow], delete: Iterable[Flow] = ()) -> bytes:
    """A whole bundle in one piece, a barrier at its end."""
    parts = [msg.bundle_control(1, 1, Control.OPEN)]
    parts += [
        msg.flow_mod(2, flow, Command.DELETE_STRICT, mask=msg.EXACT, bundle=1) for flow in delete
    ]
    parts += [msg.flow_mod(2, flow, bundle=1) for flow in add]
    parts += [msg.bundle_control(3, 1, Control.COMMIT), msg.barrier(DONE)]
    return b"".join(parts)


def reads(cookies: Sequence[tuple[int, int]]) -> bytes:
    """Requests for the flows with each (cookie, mask); the last has the id :data:`READ`."""
    last = len(cookies) - 1
    return b"".join(
        msg.flow_stats_request(READ if i == last else 5, cookie, mask)
        for i, (cookie, mask) in enumerate(cookies)
    )


def count(replies: Iterable[msg.Message]) -> int:
    """How many flows came back."""
    found = 0
    for reply in replies:
        offset = 8
        while reply.type == Type.MULTIPART_REPLY and offset < len(reply.body):
            offset += int.from_bytes(reply.body[offset : offset + 2], "big")
            found += 1
    return found
