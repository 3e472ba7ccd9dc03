"""``vifctl adopt --scan``: look at this host, and write the file for ``vifctl adopt --all``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from vifd import errors
from vifd.cli import documents, hostscan, neutron, report, switchrows, virt
from vifd.cli.base import FAILED, OK, USAGE, UsageError
from vifd.cli.hostscan import Guest, Link, Scan
from vifd.hypervisor import definition

_DEVICES = Path("/sys/class/net")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a scan."""
    group = parser.add_argument_group("look at this host, and write the file")
    group.add_argument(
        "--scan", action="store_true",
        help="print documents of what others plugged here (Open vSwitch, libvirt) and say what "
        "must be added; nothing is changed, and the daemon is not asked",
    )  # fmt: skip
    group.add_argument("-o", "--output", metavar="FILE", help="where they go (default: stdout)")
    group.add_argument(
        "--neutron", metavar="FILE", action="append", default=[],
        help="with --scan: answers of the Networking API, as for document from-neutron; repeat it",
    )  # fmt: skip
    group.add_argument("--ovsdb", metavar="PATH", default=switchrows.DATABASE,
                       help=f"the switch's database (default: {switchrows.DATABASE})")  # fmt: skip
    group.add_argument("--connect", metavar="URI", help="which libvirt, as for guest wire")


def run(args: argparse.Namespace) -> int:
    """Write the documents, and on stderr what is to be known of them."""
    try:
        found = look(args)
        text = json.dumps({"ports": found.ports}, indent=2, ensure_ascii=False) + "\n"
        if args.output:
            Path(args.output).write_text(text)
        else:
            sys.stdout.write(text)
    except (UsageError, neutron.Lacking, OSError) as error:
        sys.stderr.write(f"vifctl: {report.clean(str(error))}\n")
        return USAGE
    except errors.VifError as error:
        sys.stderr.write(report.error_text(error.to_dict()))
        return FAILED
    for hint in found.hints:
        sys.stderr.write(f"vifctl: {report.clean(hint)}\n")
    where = args.output or "FILE"
    sys.stderr.write(
        f"vifctl: {len(found.ports)} ports to take over, {found.ours} are vifd's already. Next: "
        f"vifctl adopt --all --dry-run -f {report.clean(where)}\n"
    )
    return OK


def look(args: argparse.Namespace) -> Scan:
    """What is plugged here.

    :raises UsageError: the switch does not answer, or a file cannot be read
    :raises errors.OddAnswer: the switch answers something else
    :raises neutron.Lacking: a file is not what it should be
    """
    values = [value for name in args.neutron for value in documents.values(name)]
    made = neutron.documents(values, role="ACTIVE") if values else []
    known = {str(doc["port"]["id"]): doc for doc in made}
    try:
        tables = switchrows.select(hostscan.TABLES, args.ovsdb)
    except switchrows.OddRows as error:
        raise errors.OddAnswer(
            facts={"source": args.ovsdb, "question": "what is plugged", "problem": str(error)}
        ) from error
    except OSError as error:
        raise UsageError(
            f"Open vSwitch's database {args.ovsdb} cannot be read: {error}. Next: run it as root, "
            "or say where it is with --ovsdb"
        ) from error
    guests, silent = _guests(args.connect)
    found = hostscan.scan(tables, _links(), guests, known)
    if silent:
        found.hints.append(f"libvirt's guests are not known: {silent}")
    return found


def _links() -> Iterator[Link]:
    for place in sorted(_DEVICES.iterdir()):
        try:
            bridge = place / "brport/bridge"
            yield Link(
                place.name,
                int((place / "mtu").read_text()),
                (place / "ifalias").read_text().strip(),
                bridge.resolve().name if bridge.exists() else "",
                (place / "tun_flags").exists(),
            )
        except (OSError, ValueError):  # it went meanwhile
            continue


def _guests(where: str | None) -> tuple[list[Guest], str]:
    """The cards of libvirt's guests that have a device here, and why they are not known."""
    try:
        with virt.Domains(virt.uri(where)) as domains:
            return [card for text in domains.all() for card in cards(text)], ""
    except errors.VifError as error:
        return [], str(error.facts.get("problem", error))
    except definition.BadXml as error:
        return [], f"a definition is no XML that can be read: {error}"


def cards(text: str) -> list[Guest]:
    """The cards of a domain's definition that have a device here. Pure."""
    root = definition.parse(text)
    guest, name = root.findtext("uuid", "").lower(), root.findtext("name", "")
    found = []
    for card in root.iterfind("./devices/interface"):
        device, mac = card.find("target"), card.find("mac")
        if device is not None and mac is not None and device.get("dev"):
            found.append(Guest(guest, name, device.get("dev", ""), mac.get("address", "")))
    return found
