"""The real API server on a real unix socket, in a thread of its own, for tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from vifd.api.app import Api
from vifd.api.auth import Policy
from vifd.api.backend import Backend
from vifd.api.hub import Hub
from vifd.api.server import Limits, Server, listen
from vifd.testing.wait import PATIENCE


@dataclass
class Served:
    """A running server.

    :param path: of its socket
    :param hub: its event loop, made in the server's thread
    :param server: to be touched in the hub's thread only
    """

    path: str
    hub: Hub = field(init=False)
    api: Api = field(init=False)
    server: Server = field(init=False)


@contextmanager
def serve(
    backend: Backend,
    path: str,
    policy: Policy | None = None,
    limits: Limits | None = None,
    keep_alive: float = 15.0,
    mode: int = 0o660,
) -> Iterator[Served]:
    """Serve a backend at a path until the block ends.

    The hub belongs to the thread that makes it, so all of it is built in the new thread.
    """
    served = Served(path)
    ready: Future[None] = Future()

    def run() -> None:
        try:
            served.hub = Hub()
            served.api = Api(served.hub, backend, policy or Policy(), keep_alive)
            listener = listen(path, mode)
            served.server = Server(served.hub, served.api, listener, limits or Limits())
            served.server.start()
        except BaseException as error:
            ready.set_exception(error)
            raise
        served.hub.call_soon(lambda: ready.set_result(None))
        served.hub.run_until()
        served.server.stop(grace=5)
        served.hub.close()

    thread = threading.Thread(target=run, name="api", daemon=True)
    thread.start()
    ready.result(timeout=PATIENCE)
    try:
        yield served
    finally:
        served.hub.stop()
        thread.join(timeout=PATIENCE)
        if thread.is_alive():
            raise RuntimeError("the API server did not stop")
