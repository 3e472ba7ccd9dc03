"""A switch that knows the routes of its namespace: tunnels need them."""

from __future__ import annotations

from pathlib import Path

from vifd.testing.sandbox import Daemon, PrivateOvs


class Switch(PrivateOvs):
    """See the module."""

    def __init__(self, directory: Path | str | None = None) -> None:
        super().__init__(directory, prompt=True)

    def _daemon(self, name: str, *arguments: str, ready: str) -> Daemon:
        kept = [word for word in arguments if word != "--disable-system-route"]
        return super()._daemon(name, *kept, ready=ready)
