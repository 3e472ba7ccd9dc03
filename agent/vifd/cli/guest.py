"""``vifctl guest wire`` and ``unwire``: a plain libvirt domain and its ports."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vifd import errors
from vifd.cli import boot, documents, domain, networks, report, virt, wiring
from vifd.cli.asking import agreed, someone_to_ask
from vifd.cli.base import FAILED, ApiList, Lines, UsageError
from vifd.cli.client import Refused, port_path
from vifd.safety.plain import plain_lines

COLUMNS = ("port", "network", "mac", "address", "device", "status")
WHOLE = ("guest", "ports", "before", "after", "boot")


class _OnDomain(ApiList):
    """A command on one domain of libvirt."""

    waits = True
    may_not_wait = False
    conflict_handler = "resolve"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument("domain", metavar="DOMAIN", help="the domain's name or UUID")
        parser.add_argument(
            "--connect", metavar="URI",
            help=f"which libvirt (default: $LIBVIRT_DEFAULT_URI, else {virt.DEFAULT_URI})",
        )  # fmt: skip
        parser.add_argument(
            "-n", "--dry-run", action="store_true", help="show what would change, change nothing"
        )
        parser.add_argument(
            "-y", "--yes", action="store_true", help="do not ask, where a terminal is used"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        try:
            with virt.Domains(virt.uri(parsed_args.connect)) as domains:
                return self.act(domains)
        except domain.BadDefinition as problem:
            raise UsageError(f"libvirt's XML of {parsed_args.domain}: {problem}") from problem
        except errors.VifError as error:
            # the same object that the daemon would answer, so that programs need one reader
            raise Refused(0, error.to_dict()) from error

    def act(self, domains: virt.Domains) -> tuple[Any, Any]:
        """Do it; what is to be shown."""
        raise NotImplementedError

    def approved(self, before: str, after: str, name: str, what: str) -> bool:
        """Show what changes, and ask who sits there."""
        shown = domain.difference(before, after, name)
        if self.args.formatter == "table":
            sys.stdout.write(_painted(shown) or f"The definition of {name} stays as it is.\n")
            sys.stdout.flush()
        if self.args.dry_run:
            return False
        if self.args.yes or not someone_to_ask() or agreed(f"{what} Go on? [y/N] "):
            return True
        sys.stderr.write("vifctl: nothing was done\n")
        self.code = FAILED
        return False

    def unplug(self, port_id: str) -> None:
        """Remove a port, whether it is still there or not."""
        try:
            self.client.call("DELETE", port_path(port_id), None, self.waiting("gone"))
        except Refused as refused:
            if refused.error.get("code") != "E_STATE_NOT_FOUND":
                raise


class Wire(_OnDomain):
    """Give a libvirt domain its ports, from a small file that says which networks there are.

    The domain's network cards are exchanged for ports of this host; MAC address, model and place
    on the bus stay, so that the guest finds its card where it was. What stood there before is kept
    in the domain's metadata: "vifctl guest unwire" puts it back. The domain must be off.

    Calling it again changes the ports to what the file says now.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        documents.add_option(parser)
        parser.add_argument(
            "--network", action="append", default=[], metavar="NAME",
            help="a network of the file for the domain's next card; repeat it for more cards "
            "(default: what the file says of the domain, else its only network for every card)",
        )  # fmt: skip
        parser.add_argument("--start", action="store_true", help="start the domain afterwards")
        return parser

    def act(self, domains: virt.Domains) -> tuple[Any, Any]:
        plan = _plan(self.args.file)
        target = domains.find(self.args.domain)
        present = domain.parse(domains.definition(target))
        bare = domain.parse(domain.unwired(present))
        known = self._known()
        wishes = plan.wishes(bare.name, self.args.network, len(bare.cards))
        ports = wiring.ports(plan, wishes, bare, [port["document"] for port in known.values()])
        vifs = {p.id: self._vif(p, known) for p in ports}
        wiring.fit(bare, vifs.values())
        after = self._wired(present, bare, ports, {i: {"id": i, "vif": v} for i, v in vifs.items()})
        self._gone = [k.port for k in present.kept if k.port not in vifs]
        question = f"{len(ports)} port(s) for {bare.name}."
        done: Mapping[str, Any] = {}
        if self.approved(present.text, after, bare.name, question):
            done, after = self._carry_out(domains, present, bare, ports, known)
        lines = boot.look(bool(target.autostart()), bare.name, install=bool(done))
        if done and self.args.start:
            domains.start(target)
        return self._shown(bare, ports, (present.text, after), done, vifs, lines)

    def _known(self) -> dict[str, dict[str, Any]]:
        """The ports that the daemon has, by id."""
        params = {"fields": "id,vif,document"}
        answer = self.client.call("GET", "/v1/ports", params=params)
        return {port["id"]: port for port in answer["ports"]}

    def _vif(self, port: wiring.Port, known: Mapping[str, Any]) -> dict[str, Any]:
        """What the port's end is, or will be; nothing is plugged yet.

        :raises Refused: no plugin of this host can serve it
        """
        offer = self.client.call(
            "POST", "/v1/offers", {"attachment": port.document}, {"timeout": self.timeout}
        )
        if known.get(port.id, {}).get("vif"):
            return {**known[port.id]["vif"], "mtu": port.document["network"]["mtu"]}
        return wiring.foreseen(port, offer["candidates"][0])

    @staticmethod
    def _wired(
        present: domain.Definition, bare: domain.Definition, ports: Sequence[wiring.Port],
        made: Mapping[str, Mapping[str, Any]],
    ) -> str:  # fmt: skip
        """The definition with these ports; the present one where it has them already."""
        if present.note and domain.same(present, [made[port.id] for port in ports]):
            return present.text
        return domain.wired(bare, [(port.card, made[port.id]) for port in ports])

    def _carry_out(
        self, domains: virt.Domains, present: domain.Definition, bare: domain.Definition,
        ports: Sequence[wiring.Port], known: Mapping[str, Any],
    ) -> tuple[dict[str, Any], str]:  # fmt: skip
        """Plug, then define: a domain never names a device that was not made. Where a step fails,
        what is new of it goes again; killed in between, the same call goes on."""
        plugged: dict[str, Any] = {}
        try:
            for port in ports:
                plugged[port.id] = self.client.call(
                    "PUT", port_path(port.id), port.document, self.waiting("active")
                )
            wiring.fit(bare, [port["vif"] for port in plugged.values()])
            after = self._wired(present, bare, ports, plugged)
            domains.find(self.args.domain)  # it may have been started meanwhile
            if after != present.text:
                domains.define(after)
        except BaseException:
            for port in ports:
                if port.id not in known:
                    self.unplug(port.id)
            raise
        for port_id in self._gone:
            self.unplug(port_id)
        return plugged, after

    def _shown(
        self, bare: domain.Definition, ports: Sequence[wiring.Port], texts: tuple[str, str],
        done: Mapping[str, Any], vifs: Mapping[str, Any], lines: Sequence[boot.Finding],
    ) -> tuple[Any, Any]:  # fmt: skip
        if self.args.formatter in ("json", "yaml"):
            documents_ = [done.get(p.id) or {"document": p.document} for p in ports]
            guest = {"id": bare.uuid, "name": bare.name}
            facts = [{"good": line.good, "text": line.text} for line in lines]
            return WHOLE, [(guest, documents_, *texts, facts)]
        if self.args.formatter == "table":
            for line in lines:
                sys.stderr.write(f"{'✓' if line.good else '✗'} {report.clean(line.text)}\n")
        return COLUMNS, [_row(p, done.get(p.id), vifs[p.id]) for p in ports]


class Unwire(_OnDomain):
    """Put back what "vifctl guest wire" exchanged, and remove the domain's ports.

    The domain must be off.
    """

    def act(self, domains: virt.Domains) -> tuple[Any, Any]:
        target = domains.find(self.args.domain)
        present = domain.parse(domains.definition(target))
        if present.note is None:
            raise errors.GuestNotWired(facts={"guest": present.name})
        after = domain.unwired(present)
        question = f"{len(present.kept)} port(s) of {present.name} are removed."
        if self.approved(present.text, after, present.name, question):
            # The note goes last: who is killed in between, calls it again.
            for kept in present.kept:
                self.unplug(kept.port)
            domains.define(after)
        rows = [
            (k.port, k.mac, Lines(k.before or "(none)") if k.before else "-") for k in present.kept
        ]
        return ("port", "mac", "before"), rows


def _plan(name: str) -> networks.Plan:
    values = documents.values(name)
    if len(values) != 1:
        raise UsageError(f"{name}: must hold one document, and has {len(values)}")
    return networks.read(values[0])


def _row(port: wiring.Port, plugged: Any, vif: Mapping[str, Any]) -> tuple[str, ...]:
    status = plugged["status"] if plugged else "would be plugged"
    vif = plugged["vif"] if plugged else vif
    device = vif.get("device") or vif.get("socket_path") or ""
    network = report.clean(str(port.document["network"]["name"]))
    return (port.id, network, port.mac, "\n".join(port.addresses), report.clean(device), status)


def _painted(diff: str) -> str:
    """A diff in colours where somebody looks at it; what others wrote cannot bring its own."""
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def lines() -> Iterator[str]:
        for line in diff.splitlines():
            colour = {"+": "32", "-": "31", "@": "36"}.get(line[:1], "")
            text = plain_lines(line)
            yield f"\x1b[{colour}m{text}\x1b[0m\n" if colours and colour else f"{text}\n"

    return "".join(lines())
