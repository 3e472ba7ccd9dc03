"""Others have filled the queue of the API's socket: who comes then waits for room."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

from vifd.cli.client import _Connection
from vifd.testing.wait import PATIENCE, until


def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    connected = threading.Event()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(1)
        for _ in range(2):
            peer = stack.enter_context(socket.socket(socket.AF_UNIX))
            peer.connect(path)
        late = _Connection(path, PATIENCE)
        stack.callback(late.close)

        def connect() -> None:
            late.connect()
            connected.set()

        thread = threading.Thread(target=connect)
        thread.start()
        until(lambda: late.sock, "it knocks")
        stack.enter_context(listener.accept()[0])
        assert connected.wait(PATIENCE)
        thread.join()
