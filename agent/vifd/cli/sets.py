"""Shared sets: security groups, address groups, and the forwarding of networks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from vifd.cli import documents, report, setwords
from vifd.cli.base import ApiList, ApiShow, Lines, NoSuchPort, UsageError


@dataclass(frozen=True)
class Flag:
    """An option that names pieces on the command line.

    :param field: of the set's body that the pieces are in
    :param read: makes pieces of the texts that were given
    """

    option: str
    field: str
    help: str
    read: Callable[[list[str]], list[Any]]


#: The state of a set that is as it was said.
IN_FORCE = "in force"


@dataclass(frozen=True)
class Kind:
    """One kind of set.

    :param word: as the command has it
    :param path: of the list in the API
    :param key: of the list in its answer
    :param flags: how its pieces are named
    """

    word: str
    noun: str
    path: str
    key: str
    flags: tuple[Flag, ...]
    below: str = ""


def _each(read: Callable[[str], Any]) -> Callable[[list[str]], list[Any]]:
    return lambda texts: [read(text) for text in texts]


_RULE = Flag("--rule", "rules", f"a rule: {setwords.SYNTAX}", _each(setwords.rule))
_MEMBER = Flag("--member", "members", "a member: ADDRESS[,MAC]", _each(setwords.member))
_ADDRESS = Flag("--address", "addresses", "an address or prefix", list)
_ENDPOINT = Flag(
    "--endpoint", "endpoints",
    "a tunnel endpoint, with a port behind it or flooded to alone: ADDRESS[=MAC[,IP…]]",
    setwords.endpoints,
)  # fmt: skip

SG = Kind("sg", "security group", "/v1/security-groups", "security_groups", (_RULE, _MEMBER))
AG = Kind("address-group", "address group", "/v1/address-groups", "address_groups", (_ADDRESS,))
NETWORK = Kind("network", "network's forwarding", "/v1/networks", "networks", (_ENDPOINT,),
               "/forwarding")  # fmt: skip


class _OfKind:
    """What the commands of a kind share."""

    kind: Kind
    client: Any

    def path(self, set_id: str) -> str:
        """The path of one set."""
        return f"{self.kind.path}/{quote(set_id, safe='')}{self.kind.below}"

    def all(self) -> list[dict[str, Any]]:
        """Every set of the kind, without what it holds."""
        found: list[dict[str, Any]] = self.client.call("GET", self.kind.path)[self.kind.key]
        return found

    def find(self, wanted: str) -> str:
        """The id of a set by its id, the beginning of it (4 characters or more), or its name.

        :raises NoSuchPort: there is none, or several
        """
        sets = self.all()
        exact = [s["id"] for s in sets if wanted == s["id"]]
        named = [s["id"] for s in sets if wanted == s.get("name")]
        begun = [s["id"] for s in sets if len(wanted) >= 4 and s["id"].startswith(wanted)]
        found = exact or named or begun
        if len(found) == 1:
            return str(found[0])
        if not found:
            raise NoSuchPort(f"there is no {self.kind.noun} {wanted!r:.80} on this host")
        raise UsageError(f"{wanted!r:.80} is several: {', '.join(found)}")


class ListSets(_OfKind, ApiList):
    watchable = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--owner", help="only those that this owner said")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        params = {"owner": parsed_args.owner}
        sets = self.client.call("GET", self.kind.path, params=params)[self.kind.key]
        named = self.kind is not NETWORK
        columns = ("id", *(("name",) if named else ()), "owner", "revision", "holds", "ports",
                   "state")  # fmt: skip
        return columns, [
            (
                s["id"], *((report.clean(s["name"]),) if named else ()), report.clean(s["owner"]),
                s["revision"], _counts(s), len(s["ports"]), state(s),
            )
            for s in sets
        ]  # fmt: skip


def _counts(shown: dict[str, Any]) -> str:
    counts = {name.replace("_", " "): n for name, n in shown["counts"].items()}
    return ", ".join(f"{n} {name if n != 1 else name.removesuffix('s')}"
                     for name, n in counts.items()) or "nothing"  # fmt: skip


def state(shown: dict[str, Any]) -> str:
    """Whether a set is in force."""
    if shown["pending"]:
        return f"waits for {', '.join(shown['pending'])}"
    return "going" if shown["going"] else IN_FORCE


class One(_OfKind, ApiShow):
    """A command about one set."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("set", metavar="SET", help="its id or the beginning of it, or its name")
        return parser

    def show(self, shown: dict[str, Any]) -> tuple[Any, Any]:
        """The set as columns."""
        if not self.for_people:
            return tuple(shown), tuple(shown.values())
        columns: dict[str, Any] = {
            name: shown[name] for name in ("id", "name", "stateful", "owner", "revision")
            if name in shown
        }  # fmt: skip
        columns["state"] = state(shown)
        for flag in self.kind.flags:
            text = "\n".join(_texts(flag, shown))
            columns[flag.field] = Lines(text or "-")
        columns["ports"] = Lines("\n".join(shown["ports"]) or "-")
        columns["used by"] = Lines("\n".join(shown["used_by"]) or "-")
        return tuple(columns), tuple(
            report.clean(v) if isinstance(v, str) else v for v in columns.values()
        )


def _texts(flag: Flag, shown: dict[str, Any]) -> list[str]:
    word = flag.option[2:]
    found = setwords.lines({flag.field: shown.get(flag.field) or []})
    texts = [line.removeprefix(f"{word} ") for line in found]
    if flag is _RULE:
        ids = [r["id"] for r in shown.get("rules") or ()]
        return [f"{i[:8]}  {t}" for i, t in zip(ids, texts, strict=True)]
    return texts


class ShowSet(One):
    watchable = True

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        return self.show(self.client.call("GET", self.path(self.find(parsed_args.set))))


class _Change(One):
    """A command that changes a set."""

    waits = True
    #: whether the id may be of a set that is not there
    makes = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        for flag in self.kind.flags:
            parser.add_argument(flag.option, action="append", default=[], metavar="TEXT",
                                help=flag.help)  # fmt: skip
        parser.add_argument("--owner", default="vifctl", help="who says it (default: %(default)s)")
        parser.add_argument(
            "-n",
            "--dry-run",
            action="store_true",
            help="show what would change, and change nothing",
        )
        return parser

    def pieces(self) -> dict[str, Any]:
        """What the options name, by field of the body."""
        given = ((f, getattr(self.args, f.option[2:].replace("-", "_"))) for f in self.kind.flags)
        return {flag.field: flag.read(texts) for flag, texts in given if texts}

    def present(self, set_id: str) -> dict[str, Any]:
        """The set as it is; empty where it is not there."""
        if all(s["id"] != set_id for s in self.all()):
            return {}
        found: dict[str, Any] = self.client.call("GET", self.path(set_id))
        return found

    def send(self, method: str, set_id: str, body: Any) -> tuple[Any, Any]:
        """Make the change and show the set."""
        params = {**self.waiting("applied"), "owner": self.args.owner}
        return self.show(self.client.call(method, self.path(set_id), body, params))

    def would(self, set_id: str, old: dict[str, Any], new: dict[str, Any]) -> tuple[Any, Any]:
        """What would change."""
        changed = setwords.difference(old, new)
        head: dict[str, Any] = {
            "id": set_id,
            "changes": Lines("\n".join(changed) or "nothing would change"),
        }
        if not self.for_people:
            head["changes"] = changed
        return tuple(head), tuple(head.values())


class WantSet(_Change):
    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--file", help="the whole set as JSON or YAML; - is standard input")
        if self.kind is not NETWORK:
            parser.add_argument("--name", help="its name")
        if self.kind is SG:
            parser.add_argument("--stateless", action="store_true", help="without connections: "
                                "what answers needs a rule of its own")  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        body = self.body(parsed_args)
        try:
            set_id = self.find(parsed_args.set)
        except NoSuchPort:
            set_id = str(body.get("id", parsed_args.set))
        if parsed_args.dry_run:
            return self.would(set_id, self.present(set_id), {**_EMPTY[self.kind.word], **body})
        return self.send("PUT", set_id, body)

    def body(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        body: dict[str, Any] = {}
        if parsed_args.file:
            values = documents.values(parsed_args.file)
            if len(values) != 1 or not isinstance(values[0], dict):
                raise UsageError(
                    f"{parsed_args.file}: holds more or less than one {self.kind.noun}"
                )
            inner = values[0].get(self.kind.key.removesuffix("s"))
            body = dict(inner if isinstance(inner, dict) else values[0])
        body |= self.pieces()
        if getattr(parsed_args, "name", None) is not None:
            body["name"] = parsed_args.name
        if getattr(parsed_args, "stateless", False):
            body["stateful"] = False
        return body


_EMPTY: dict[str, dict[str, Any]] = {
    "sg": {"name": "", "stateful": True}, "address-group": {"name": ""}, "network": {},
    "log": {"name": "", "event": "ALL", "enabled": True},
}  # fmt: skip


class AddSet(_Change):
    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        pieces = self.pieces()
        if not pieces:
            options = ", ".join(flag.option for flag in self.kind.flags)
            raise UsageError(f"nothing to add: name it with {options}")
        try:
            set_id = self.find(parsed_args.set)
        except NoSuchPort:
            if self.kind is not NETWORK:
                raise
            set_id = parsed_args.set
        if parsed_args.dry_run:
            old = self.present(set_id)
            new = {**old, **{n: [*(old.get(n) or []), *more] for n, more in pieces.items()}}
            return self.would(set_id, old, new)
        return self.send("PATCH", set_id, {"add": pieces})


class ReduceSet(_Change):
    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        set_id = self.find(parsed_args.set)
        old = self.client.call("GET", self.path(set_id))
        remove = self._named(old)
        if not remove:
            options = ", ".join(flag.option for flag in self.kind.flags)
            raise UsageError(f"nothing to remove: name it with {options}")
        if parsed_args.dry_run:
            gone = {line for name, pieces in remove.items() for line in _gone(name, pieces, old)}
            changed = [f"- {line}" for line in setwords.lines(old) if line in gone]
            text: Any = Lines("\n".join(changed) or "nothing would change")
            return ("id", "changes"), (set_id, text if self.for_people else changed)
        return self.send("PATCH", set_id, {"remove": remove})

    def _named(self, old: dict[str, Any]) -> dict[str, Any]:
        given = {f.field: getattr(self.args, f.option[2:]) for f in self.kind.flags}
        remove = {name: list(texts) for name, texts in given.items() if texts}
        if "rules" in remove:
            remove["rules"] = [_rule_id(text, old) for text in remove["rules"]]
        if "members" in remove:
            remove["members"] = [setwords.member(text) for text in remove["members"]]
        if "endpoints" in remove:
            remove["endpoints"] = setwords.endpoints(remove["endpoints"])
        return remove


def _gone(name: str, pieces: list[Any], old: dict[str, Any]) -> list[str]:
    """The lines of what a removal takes away."""
    if name == "rules":
        return setwords.lines({name: [r for r in old["rules"] if r["id"] in pieces]})
    if name == "endpoints":
        whole = {e["address"] for e in pieces if "ports" not in e}
        macs = {p["mac_address"].lower() for e in pieces for p in e.get("ports", ())}
        left = [line for e in old["endpoints"] for line in setwords.lines({name: [e]})]
        return [t for t in left if t.split()[1].partition("=")[0] in whole
                or t.partition("=")[2].partition(",")[0] in macs]  # fmt: skip
    if name == "members":
        addresses = {m["ip_address"] for m in pieces if "mac_address" not in m}
        found = [m for m in old["members"] if m in pieces or m["ip_address"] in addresses]
        return setwords.lines({name: found})
    return setwords.lines({name: pieces})


def _rule_id(text: str, old: dict[str, Any]) -> str:
    """A rule by its id, the beginning of it, or in words."""
    rules = old.get("rules") or []
    begun = [r["id"] for r in rules if len(text) >= 4 and r["id"].startswith(text)]
    if len(begun) == 1:
        return str(begun[0])
    if begun:
        raise UsageError(f"{text!r:.80} is several rules: {', '.join(begun)}")
    wanted = setwords.rule_text(setwords.rule(text))
    same = [r["id"] for r in rules if setwords.rule_text(r) == wanted]
    if not same:
        raise UsageError(f"there is no rule {wanted!r} in it")
    return str(same[0])


class DeleteSet(_Change):
    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("--later", action="store_true", help="one that is in use stays in "
                            "force, and goes once nothing refers to it")  # fmt: skip
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        set_id = self.find(parsed_args.set)
        if parsed_args.dry_run:
            return self.would(set_id, self.present(set_id), {})
        params = {**self.waiting("applied"), "owner": parsed_args.owner,
                  "later": "true" if parsed_args.later else None}  # fmt: skip
        left = self.client.call("DELETE", self.path(set_id), params=params)
        if left is not None:
            sys.stderr.write(
                f"vifctl: {self.kind.noun} {set_id} is in use, and goes once it is not\n"
            )
            return self.show(left)
        return ("id", "result"), (set_id, "gone")
