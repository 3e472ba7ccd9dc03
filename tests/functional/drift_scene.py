"""A daemon whose periodic check can be had or not, on ports that somebody else changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vifd.testing import frames
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import Expired, until

FAST = {"retry_first": 0.05, "retry_longest": 0.5}


class Host:
    """Two ports on one network, and what the daemon says of them."""

    def __init__(
        self, directory: Path, ovs: PrivateOvs, documents: list[dict[str, Any]], **options: Any
    ) -> None:
        plugin = options.pop("plugin")
        engine = {**FAST, "check_interval": 0}
        self.vifd = Vifd(
            directory, ovs, {"engine": engine, "plugins": {"enabled_plugins": plugin}, **options}
        )
        self.ovs = ovs
        self.documents = documents
        self.ids = [d["port"]["id"] for d in documents]
        self.devices = [f"tap{i[:11]}" for i in self.ids]
        self._read = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[Host]:
        """Plugged at the beginning, unplugged at the end."""
        with self.vifd:
            for document in self.documents:
                status, answer = self.vifd.plug(document)
                assert status == 201, answer
            try:
                yield self
            finally:
                self.vifd.clear()

    def mark(self) -> None:
        """What the daemon logged until now is of no interest."""
        self._read = len(self.vifd.log)

    @property
    def news(self) -> str:
        """What the daemon logged since."""
        return self.vifd.log[self._read :]

    def healed(self, *facts: str) -> None:
        """Wait until the daemon has found one of these facts, and has mended it."""

        def done() -> bool:
            found = any(f"drift on {self.devices[0]}: {fact} is " in self.news for fact in facts)
            return found and self.quiet()

        try:
            until(done, f"{' or '.join(facts)} is found and mended")
        except Expired as error:
            raise AssertionError(f"{error}\n{self.news[-4000:]}") from None

    def quiet(self) -> bool:
        """Whether both ports are proven."""
        ports = self.vifd.get("/v1/ports")["ports"]
        return all(p["phase"] == "LIVE" and not p["error"] for p in ports)

    def check(self) -> None:
        """As the periodic check does, for what makes no event."""
        self.vifd.call("POST", f"/v1/ports/{self.ids[0]}/check")

    def hello(self) -> bytes:
        """A frame from the second port's guest to all."""
        second = self.documents[1]
        mac, ip = second["port"]["mac_address"], second["fixed_ips"][0]["ip_address"]
        return frames.arp_request(mac, ip, "10.255.255.254")
