"""A libvirt domain's definition: its network cards read, exchanged, and put back. Pure.

The text between them is left as it is, byte for byte, so that what others put into a definition
(namespaces of QEMU, metadata) stays, and the difference shows what was changed and nothing else.
What stood there before is kept in the definition itself, in ``<metadata>``: it goes where the
domain goes, and with it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from vifd.hypervisor import definition

#: The namespace of what is kept in the metadata.
NAMESPACE = "urn:vifd:wired:1"
#: What of a card belongs to its old way out, and goes with it.
_OLD_WAY = {"source", "target", "virtualport", "vlan", "filterref", "mtu", "guest", "backend",
            "script", "link", "port"}  # fmt: skip


class BadDefinition(ValueError):
    """Text that is no domain's definition."""


@dataclass(frozen=True)
class Card:
    """A network card of a domain.

    :param text: its XML as it stands
    :param at: where it begins in the definition, and where it ends
    """

    mac: str
    text: str
    at: tuple[int, int]


@dataclass(frozen=True)
class Kept:
    """A card that was exchanged: the port it has now, and its XML of before (empty: none)."""

    port: str
    mac: str
    before: str


@dataclass(frozen=True)
class Definition:
    """A domain's definition.

    :param end: where ``</devices>`` begins
    :param note: where the note of an earlier wiring stands, with its line
    """

    text: str
    name: str
    uuid: str
    cards: tuple[Card, ...]
    kept: tuple[Kept, ...]
    end: int
    note: tuple[int, int] | None
    shared_memory: bool


class _Reader:
    """Where things stand in a definition, as byte positions of its UTF-8."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.spans: list[tuple[str, dict[str, str], int, int]] = []
        self.texts: dict[str, str] = {}
        self._open: list[tuple[str, dict[str, str], int]] = []
        self._parser = expat.ParserCreate(namespace_separator="}")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            raise BadDefinition(str(error)) from error

    def _refuse(self, *_: object) -> None:
        raise BadDefinition("it has a document type")

    def _path(self) -> str:
        return "/".join(name for name, _, _ in self._open)

    def _start(self, name: str, given: dict[str, str]) -> None:
        self._open.append((name, given, self._parser.CurrentByteIndex))

    def _end(self, _name: str) -> None:
        path, (_, given, begin) = self._path(), self._open.pop()
        here = self._parser.CurrentByteIndex
        # an empty element has no tag that closes it
        closing = here if self.data[here : here + 2] == b"</" else begin
        self.spans.append((path, given, begin, self.data.index(b">", closing) + 1))

    def _text(self, data: str) -> None:
        path = self._path()
        self.texts[path] = self.texts.get(path, "") + data

    def of(self, path: str) -> Iterator[tuple[dict[str, str], int, int]]:
        """Every element of a path, in order: attributes, begin, end."""
        found = [(given, b, e) for p, given, b, e in self.spans if p == path]
        yield from sorted(found, key=lambda each: each[1])


def parse(text: str) -> Definition:
    """Read a definition.

    :raises BadDefinition: it is none
    """
    data = text.encode()
    reader = _Reader(data)
    devices = next(reader.of("domain/devices"), None)
    if devices is None:
        raise BadDefinition("it has no devices")
    note = next(reader.of(f"domain/metadata/{NAMESPACE}}}wired"), None)
    modes = [given.get("mode") for given, _, _ in reader.of("domain/memoryBacking/access")]
    return Definition(
        text=text,
        name=reader.texts.get("domain/name", "").strip(),
        uuid=reader.texts.get("domain/uuid", "").strip().lower(),
        cards=tuple(_cards(reader)),
        kept=tuple(_kept(reader)),
        end=data.rindex(b"<", 0, devices[2]),
        note=None if note is None else _lines(data, note[1], note[2]),
        shared_memory="shared" in modes,
    )


def _cards(reader: _Reader) -> Iterator[Card]:
    path = "domain/devices/interface"
    macs = list(reader.of(f"{path}/mac"))
    for _, begin, end in reader.of(path):
        mac = next((g.get("address", "") for g, b, _ in macs if begin < b < end), "")
        yield Card(mac.lower(), reader.data[begin:end].decode(), (begin, end))


def _kept(reader: _Reader) -> Iterator[Kept]:
    path = f"domain/metadata/{NAMESPACE}}}wired/{NAMESPACE}}}port"
    cards = list(reader.of(f"{path}/interface"))
    for given, begin, end in reader.of(path):
        inside = [reader.data[b:e].decode() for _, b, e in cards if begin < b < end]
        yield Kept(given.get("id", ""), given.get("mac", ""), inside[0] if inside else "")


def _lines(data: bytes, begin: int, end: int) -> tuple[int, int]:
    """A span with the indent before it, where nothing else is on its line."""
    start = data.rfind(b"\n", 0, begin) + 1
    if not data[start:begin].strip() and data[end : end + 1] == b"\n":
        return start, end + 1
    return begin, end


def _edited(text: str, changes: Sequence[tuple[int, int, str]]) -> str:
    data = text.encode()
    for begin, end, new in sorted(changes, reverse=True):
        data = data[:begin] + new.encode() + data[end:]
    return data.decode()


# --- wiring ---


def wired(present: Definition, ports: Sequence[tuple[Card | None, Mapping[str, Any]]]) -> str:
    """The definition with ports of this host in the place of its cards.

    :param present: one that is not wired
    :param ports: for each the card that it replaces, or ``None`` for one more, and ``id`` and
        ``vif`` as the API answers them
    """
    changes, notes = [], []
    for card, port in ports:
        new = card_for(port["vif"], card)
        if card is None:
            changes.append((present.end, present.end, f"  {new}\n  "))
        else:
            changes.append((*card.at, new))
        inside = f"\n      {card.text}\n    " if card else ""
        given = f"id={quoteattr(port['id'])} mac={quoteattr(port['vif']['mac_address'])}"
        notes.append(f"    <vifd:port {given}>{inside}</vifd:port>\n")
    note = f"<vifd:wired xmlns:vifd='{NAMESPACE}'>\n{''.join(notes)}    </vifd:wired>"
    changes.append(_place_of_note(present, note))
    return _edited(present.text, changes)


def same(present: Definition, ports: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a definition is wired to just these ports, however libvirt wrote it down.

    :param ports: each with ``id`` and ``vif``
    """
    if [(k.port, k.mac) for k in present.kept] != [
        (p["id"], p["vif"]["mac_address"]) for p in ports
    ]:
        return False
    cards = {card.mac: card for card in present.cards}
    return all(
        (card := cards.get(p["vif"]["mac_address"])) is not None
        and _way(card.text) == _way(card_for(p["vif"], card))
        for p in ports
    )


def _way(text: str) -> set[tuple[str, str]]:
    """Where a card leads to, and what of it comes from its port."""
    card = definition.parse(text)
    found = {("type", card.get("type", ""))}
    for child in card:
        if child.tag in ("source", "target", "mtu", "driver"):
            names = ("dev", "path", "bridge", "size", "queues")
            found |= {(f"{child.tag}.{n}", child.get(n, "")) for n in names if child.get(n)}
    return found


def _place_of_note(present: Definition, note: str) -> tuple[int, int, str]:
    data = present.text.encode()
    found = re.search(rb"\n? *</metadata>", data)
    if found:
        return found.start(), found.start(), f"\n    {note}"
    at = data.index(b"</uuid>") + len(b"</uuid>")
    return at, at, f"\n  <metadata>\n    {note}\n  </metadata>"


def unwired(present: Definition) -> str:
    """The definition as it was before it was wired."""
    changes = []
    kept = {each.mac: each for each in present.kept}
    for card in present.cards:
        if card.mac not in kept:
            continue
        before = kept[card.mac].before
        data = present.text.encode()
        span = card.at if before else _lines(data, *card.at)
        changes.append((*span, before))
    if present.note is not None:
        changes.append((*present.note, ""))
    text = _edited(present.text, changes)
    return re.sub(r"\n? *<metadata>\s*</metadata>", "", text, count=1)


def card_for(vif: Mapping[str, Any], card: Card | None) -> str:
    """The XML of a network card on a port; what it is to the guest stays as it was.

    :param vif: what vifd says of the port's end
    :param card: the one in whose place it comes: MAC address, model and place on the bus stay
    """
    old = definition.parse(card.text) if card else ElementTree.Element("interface")
    new = ElementTree.Element("interface", {"type": str(vif["type"])})
    ElementTree.SubElement(new, "mac", {"address": vif["mac_address"]})
    _end(new, vif)
    if old.find("model") is None:
        ElementTree.SubElement(new, "model", {"type": vif.get("model") or "virtio"})
    if vif["type"] != "vhostuser" and vif.get("mtu"):
        ElementTree.SubElement(new, "mtu", {"size": str(vif["mtu"])})
    if vif.get("queues", 1) > 1:
        ElementTree.SubElement(new, "driver", {"queues": str(vif["queues"])})
    own = {child.tag for child in new}
    for child in old:
        if child.tag not in _OLD_WAY and child.tag not in own:
            new.append(child)
    ElementTree.indent(new, "  ", level=2)
    text = ElementTree.tostring(new, encoding="unicode").rstrip()
    # as libvirt writes it, so that a later difference shows no quotes
    return re.sub(r'="([^"\']*)"', r"='\1'", text).replace(" />", "/>")


def _end(new: ElementTree.Element, vif: Mapping[str, Any]) -> None:
    """The host's end of a card."""
    if vif["type"] == "vhostuser":
        given = {"type": "unix", "path": vif["socket_path"], "mode": vif["socket_mode"]}
        ElementTree.SubElement(new, "source", given)
        return
    if vif["type"] == "bridge":
        ElementTree.SubElement(new, "source", {"bridge": vif["bridge"]})
    managed = "yes" if vif.get("managed") else "no"
    ElementTree.SubElement(new, "target", {"dev": vif["device"], "managed": managed})


def difference(before: str, after: str, name: str) -> str:
    """What changes, as a unified diff; empty where nothing does."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, f"{name}.xml", f"{name}.xml, wired"))
