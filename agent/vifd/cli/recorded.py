"""The daemon's answers out of a support bundle, in the place of its client."""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vifd.cli.client import Params, Refused, Unreachable
from vifd.cli.collecting import ANSWERS

#: Bytes of one file of a bundle that are read; who sent it may mean harm.
_LARGEST = 512 << 20
#: What selects ports, and where a port has it.
_SELECTS = {
    "phase": ("phase",), "status": ("status",), "plugin": ("plugin",),
    "network": ("document", "network", "id"), "instance": ("document", "instance", "id"),
}  # fmt: skip


class NotInBundle(Unreachable):
    """The bundle does not have what is asked for."""


class Recorded:
    """A bundle that is asked like the daemon.

    :raises NotInBundle: the file is none
    """

    margin = 0.0

    def __init__(self, path: str) -> None:
        self.path = path
        #: the last thing that was asked, for who cannot read its answer
        self.asked = ""
        try:
            self._tar = tarfile.open(path)  # noqa: SIM115 - closed in close()
            self._files = {
                member.name.partition("/")[2]: member
                for member in self._tar.getmembers()
                if member.isfile()
            }
        except tarfile.ReadError as error:
            raise NotInBundle(f"{path} is no bundle: it is no tar, or not all of one") from error
        except (OSError, tarfile.TarError, EOFError) as error:
            why = getattr(error, "strerror", None) or error
            raise NotInBundle(f"{path} is no bundle that can be read: {why}") from error
        if "manifest.json" not in self._files:
            raise NotInBundle(f"{path} is no bundle of vifd, or not all of one")

    def call(self, method: str, path: str, body: Any = None, params: Params | None = None) -> Any:
        """An answer that the daemon gave when the bundle was made.

        :raises NotInBundle: it was not asked for
        :raises Refused: it was a refusal; or something is to be changed
        """
        del body
        self.asked = f"{method} {path}"
        if method != "GET":
            problem = "a bundle can be read, and nothing of its host can be changed or asked"
            raise NotInBundle(f"{self.path}: {problem}")
        given = dict(params or {})
        for name, known in ANSWERS.items():
            if path == known:
                return _selected(name, self._json(f"api/{name}.json"), given)
        return self._of_port(path)

    def events(self, after: str, follow: bool) -> Iterator[tuple[str, dict[str, Any]]]:
        """See :meth:`vifd.cli.client.Client.events`; a bundle has no new ones."""
        del follow
        self.asked = "GET /v1/events"
        begin = int(after) if after.isdigit() else None
        for number, event in self._json("api/events.json"):
            if begin is not None and int(number) > begin:
                yield number, event

    def text(self, path: str) -> str:
        """The metrics."""
        return self._read(f"{path.strip('/')}.txt").decode("utf-8", "replace")

    def close(self) -> None:
        self._tar.close()

    def _of_port(self, path: str) -> Any:
        _, _, rest = path.partition("/v1/ports/")
        port_id, _, verb = rest.partition("/")
        if not port_id or verb not in ("", "explain"):
            raise NotInBundle(f"{self.path}: the bundle has no answer to {path}")
        if verb == "explain":
            return self._explained(port_id)
        for port in self._json("api/ports.json")["ports"]:
            if port["id"] == port_id:
                return port
        raise Refused(404, {"code": "E_STATE_NOT_FOUND", "port": port_id,
                            "message": f"the bundle has no port {port_id}"})  # fmt: skip

    def _explained(self, port_id: str) -> Any:
        """As the daemon explained it; a port that was well then, by the journal in the bundle. The
        daemon's own code reads that, and is loaded for it alone."""
        name = f"api/explain/{port_id}.json"
        if name in self._files:
            found = self._json(name)
            if "steps" not in found:
                raise Refused(0, found)
            return found
        from vifd.explain import offline

        with tempfile.TemporaryDirectory(prefix="vifd-bundle-") as scratch:
            journal = Path(scratch) / "journal.db"
            journal.write_bytes(self._read("journal.db"))
            said = offline.answer(journal, port_id, "this is what the bundle's journal says")
        if "error" in said:
            raise Refused(0, said["error"])
        return said["explanation"]

    def _json(self, name: str) -> Any:
        try:
            return json.loads(self._read(name))
        except (ValueError, RecursionError) as error:
            problem = self._problem(name) or f"it is damaged ({error})"
            raise NotInBundle(f"{self.path}: {name}: {problem}") from error

    def _read(self, name: str) -> bytes:
        member = self._files.get(name)
        if member is None or member.size > _LARGEST:
            why = self._problem(name) if name != "manifest.json" else ""
            raise NotInBundle(f"{self.path}: {name} is not in the bundle{': ' * bool(why)}{why}")
        try:
            file = self._tar.extractfile(member)
            return file.read() if file is not None else b""
        except (OSError, tarfile.TarError, EOFError) as error:
            raise NotInBundle(f"{self.path}: {name} cannot be read: {error}") from error

    def _problem(self, name: str) -> str:
        """What was noted of a file when the bundle was made."""
        try:
            noted = json.loads(self._read("manifest.json"))
            return next(
                (str(e["problem"]) for e in noted if e["name"] == name and e["problem"]), ""
            )
        except (ValueError, LookupError, TypeError, RecursionError):
            return ""  # it is damaged as well


def _selected(name: str, value: Any, given: dict[str, Any]) -> Any:
    """The ports that are asked for, out of all; other answers are as they are."""
    if name != "ports" or "ports" not in value:
        return value
    wanted = {k: v for k, v in given.items() if k in _SELECTS and v is not None}
    ports = [
        port
        for port in value["ports"]
        if all(_of(port, _SELECTS[k]) == v for k, v in wanted.items())
    ]
    return {"ports": ports}


def _of(port: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        port = (port or {}).get(name)
    return port
