"""A switch that knows the routes of its namespace: tunnels need them."""

from __future__ import annotations

from vifd.testing.sandbox import Daemon, PrivateOvs


class Switch(PrivateOvs):
    """See the module."""

    def _daemon(self, name: str, *arguments: str, ready: str) -> Daemon:
        kept = [word for word in arguments if word != "--disable-system-route"]
        return super()._daemon(name, *kept, ready=ready)
