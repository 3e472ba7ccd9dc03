"""RabbitMQ of one's own, as a child process with all its files in one directory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support.cloud import places
from support.cloud.child import Child
from vifd.testing.wait import until

#: A broker is an Erlang machine: it starts in 5 to 40 seconds on a busy host.
PATIENCE = 180.0


class Broker:
    """One node.

    :param home: its directory, made here
    :param port: where it listens, on the loopback address of this network namespace
    """

    def __init__(self, home: Path, port: int = 5672) -> None:
        self.home = home
        self.port = port
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """The transport URL of its first user."""
        return f"rabbit://guest:guest@127.0.0.1:{self.port}/"

    def environment(self) -> dict[str, str]:
        """What the node and ``rabbitmqctl`` are told by."""
        return {
            "HOME": str(self.home),
            "RABBITMQ_NODENAME": f"vifd{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.port + 20000),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_MNESIA_BASE": str(self.home / "mnesia"),
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.home / "no-such-file"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # Waiting schedulers shall not spin: the tests share the cores.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def start(self) -> None:
        """Start the node and wait until it takes connections."""
        for name in ("log", "mnesia"):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        self._child = Child(
            [places.RABBITMQ / "rabbitmq-server"], self.home / "log/out", self.environment()
        )
        until(self._is_up, "the broker takes connections", timeout=PATIENCE)

    def stop(self) -> None:
        """End the node at once, as a crash does."""
        if self._child is not None:
            self._child.kill()
            self._child = None
            name = f"vifd{self.port} "
            until(lambda: name not in self._name_server("-names"), "the node is known to be gone")
            # It outlives its nodes, and refuses while one of another broker lives.
            self._name_server("-kill")

    def pause(self) -> None:
        """Let it answer nothing until :meth:`resume`."""
        assert self._child is not None
        self._child.pause()

    def resume(self) -> None:
        """Let it answer again."""
        assert self._child is not None
        self._child.resume()

    def ctl(self, *words: str) -> str:
        """What ``rabbitmqctl`` says."""
        done = subprocess.run(
            [places.RABBITMQ / "rabbitmqctl", "--quiet", *words], timeout=PATIENCE, check=False,
            env={**os.environ, **self.environment()}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _name_server(self, word: str) -> str:
        """What Erlang's name server says, or that there is none."""
        done = subprocess.run(
            ["epmd", word], env={**os.environ, **self.environment()}, check=False,
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        return done.stdout + done.stderr

    def _is_up(self) -> bool:
        assert self._child is not None
        self._child.lives()
        done = subprocess.run(
            [places.RABBITMQ / "rabbitmqctl", "--quiet", "await_startup", "--timeout", "30"],
            env={**os.environ, **self.environment()}, capture_output=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
        return done.returncode == 0
