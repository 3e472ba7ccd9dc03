"""Another host, as vifd's own host sees it: run there, in a network namespace of its own.

``otherhost.py FILE``: with the address of ``two`` it listens as a message bus and as a peer, and
calls ``one`` as that peer would. FILE has how often each of the three succeeded, and what callers
of the bus sent first.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

ONE, TWO = "172.30.0.1", "172.30.0.2"
BUS, PEER = 5672, 7443
TLS = "/root/tls"

counts: Counter[str] = Counter()
lock = threading.Lock()


def note(what: str) -> None:
    """Count it, and let whoever looks at the file know."""
    with lock:
        counts[what] += 1
        with open(sys.argv[1] + ".new", "w") as file:
            json.dump(counts, file)
        os.rename(sys.argv[1] + ".new", sys.argv[1])


def served(port: int, answer: Callable[[socket.socket], None]) -> None:
    """Have everybody who connects answered, one after the other."""
    listener = socket.create_server((TWO, port))

    def run() -> None:
        while True:
            with listener.accept()[0] as caller:
                caller.settimeout(60)
                try:
                    answer(caller)
                except OSError as error:
                    note(f"failed: {error}")

    threading.Thread(target=run, daemon=True).start()


def as_bus(caller: socket.socket) -> None:
    note("bus: " + caller.recv(8)[:4].decode("ascii", "replace"))


def as_peer(caller: socket.socket) -> None:
    server = context(ssl.PROTOCOL_TLS_SERVER)
    with server.wrap_socket(caller, server_side=True):
        note("peer: called")


def context(protocol: int) -> ssl.SSLContext:
    """As ``two``, for those that its authority signed."""
    made = ssl.SSLContext(protocol)
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(f"{TLS}/authority.pem")
    made.load_cert_chain(f"{TLS}/two.pem", f"{TLS}/two.key")
    return made


def call() -> None:
    """Call the peer over and over."""
    while True:
        try:
            with (
                socket.create_connection((ONE, PEER), timeout=60) as plain,
                context(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(plain, server_hostname=ONE) as there,
            ):
                # with TLS 1.3 who was refused hears of it when he reads
                note("peer: answered" if there.recv(1) else "failed: hung up")
        except OSError:
            pass
        time.sleep(0.5)


if __name__ == "__main__":
    served(BUS, as_bus)
    served(PEER, as_peer)
    note("there")
    call()
