"""Values as people read them. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vifd.safety.plain import shown

#: Where a fact was read, and the section it is shown under.
SECTIONS = {
    "netlink": "device", "ovsdb": "switch", "openflow": "flows", "trace": "packets",
    "libvirt": "used by",
}  # fmt: skip

#: How the daemon ends what it says of a field that is none of a host's business.
SAYS_NOTHING = "says nothing to a host"


#: What others wrote, on one line.
clean = shown


def words(value: Any) -> str:
    """Any JSON value in one line or, for an object, one line per member."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case Mapping():
            return "\n".join(f"{clean(str(k))}={flat(v)}" for k, v in value.items()) or "-"
        case list():
            return ", ".join(map(flat, value)) or "-"
        case _:
            return clean(str(value))


def flat(value: Any) -> str:
    """Any JSON value in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{clean(str(k))}: {flat(v)}" for k, v in value.items()) + "}"
    return words(value)


def tree(value: Any, indent: str = "") -> str:
    """Any JSON value, an object within an object indented below its name."""
    if not isinstance(value, Mapping):
        return indent + flat(value)
    lines = []
    for name, member in value.items():
        if isinstance(member, Mapping) and member:
            lines += [f"{indent}{clean(str(name))}", tree(member, indent + "  ")]
        else:
            lines.append(f"{indent}{clean(str(name))} = {flat(member) if member != {} else '-'}")
    return "\n".join(lines) or f"{indent}-"


def when(seconds: float | None) -> str:
    """A point in time, in UTC."""
    if not seconds:
        return "-"
    fraction = int(seconds % 1 * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:03d}Z"


def evidence_line(fact: Mapping[str, Any]) -> str:
    """One fact: what is there, and what should be where that differs."""
    good = fact.get("ok", True)
    line = f"{'✓' if good else '✗'} {clean(str(fact.get('fact')))}: {flat(fact.get('have'))}"
    return line if good else f"{line} (wanted: {flat(fact.get('wanted'))})"


def evidence_lines(evidence: Iterable[Mapping[str, Any]]) -> str:
    """Facts, one per line."""
    return "\n".join(map(evidence_line, evidence)) or "-"


def enforcement_line(entry: Mapping[str, Any]) -> str:
    """One feature that a port asks for: what enforces it, or that nothing does."""
    wanted = f"{clean(str(entry.get('feature')))}: {flat(entry.get('requested'))}"
    note = f" ({clean(str(entry['note']))})" if entry.get("note") else ""
    if entry.get("requested") is False:
        return f"- {wanted}{note}"
    if entry.get("level") == "none":
        return f"✗ {wanted}, not enforced{note}"
    return f"✓ {wanted}, by {clean(str(entry.get('enforced_by')))}{note}"


def enforcement_lines(entries: Iterable[Mapping[str, Any]]) -> str:
    """The enforcement report, one feature per line."""
    return "\n".join(map(enforcement_line, entries)) or "-"


def sections(evidence: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Facts by the part of the path that a frame takes, in the order they were read."""
    found: dict[str, list[Mapping[str, Any]]] = {name: [] for name in SECTIONS.values()}
    for fact in evidence:
        found.setdefault(SECTIONS.get(str(fact.get("source")), "other"), []).append(fact)
    return found


def error_line(error: Mapping[str, Any] | None) -> str:
    """An error object in one line."""
    if not error:
        return ""
    return clean(f"{error.get('code')}: {error.get('message')}")


def error_text(error: Mapping[str, Any]) -> str:
    """An error object as a paragraph."""
    lines = [f"vifctl: {error_line(error)}"]
    for name in ("port", "stage"):
        if error.get(name):
            lines.append(f"  {name + ':':8}{clean(str(error[name]))}")
    label = "facts:"
    for key, value in (error.get("facts") or {}).items():
        lines.append(f"  {label:8}{clean(str(key))} = {flat(value)}")
        label = ""
    lines += [f"  {'tried:':8}{line}" for line in _tried(error)]
    if error.get("remediation"):
        lines.append(f"  {'hint:':8}{clean(str(error['remediation']))}")
    if "retryable" in error:
        here, there = words(error["retryable"]), words(error.get("reschedulable", False))
        lines.append(f"  {'retry:':8}on this host: {here}, on another host: {there}")
    return "\n".join(lines) + "\n"


def not_chosen(selection: Mapping[str, Any] | None) -> str:
    """The candidates that could not serve a port when it was plugged, one per line."""
    refused = (selection or {}).get("refused") or []
    return "\n".join(
        clean(f"{one.get('plugin')}/{one.get('vif_type')}: ") + error_line(one.get("error"))
        for one in refused
    )


def _tried(error: Mapping[str, Any]) -> Iterator[str]:
    """The refusals behind an error, those that say the same in one line."""
    said: dict[str, list[str]] = {}
    for candidate in error.get("candidates") or ():
        who = clean(str((candidate.get("facts") or {}).get("plugin") or ""))
        said.setdefault(error_line(candidate), []).append(who)
    for line, plugins in said.items():
        names = ", ".join(filter(None, plugins))
        text = "the same" if line == error_line(error) else line
        yield f"{names}: {text}" if names else text


def notes(port: Mapping[str, Any]) -> str:
    """What should be known of a port and its choice, one per line."""
    # absent in the answer of a daemon that is older than this command
    said = port.get("notes", (port.get("selection") or {}).get("notes"))
    return "\n".join(clean(str(note)) for note in said or ())


def unread(answer: Mapping[str, Any]) -> str:
    """The fields of the document that nothing reads, one per line."""
    return "\n".join(f"✗ {clean(str(remark))}" for remark in answer.get("unread") or ())


def warnings(answer: Mapping[str, Any], *, noted: bool) -> Iterator[str]:
    """What who sent a document should hear at once: a field that was misspelt; not what any port
    of the Networking API has.

    :param noted: also what is only probably not meant, such as a port without an address
    """
    for remark in answer.get("unread") or ():
        if not str(remark).endswith(SAYS_NOTHING):
            yield clean(str(remark))
    if noted:
        yield from (clean(str(note)) for note in answer.get("notes") or ())


def choice(port: Mapping[str, Any]) -> str:
    """How a port came to its plugin, in a few words."""
    selection = port.get("selection") or {}
    if not selection:
        return "-"
    names = ("vif_class", "version", "profile", "profile_version")
    words_ = " ".join(str(selection.get(name, "")) for name in names)
    others = list(selection.get("usable", [])[1:])
    behind = f"; {', '.join(others)} could as well" if others else ""
    asked = ", asked for" if selection.get("asked") else ""
    return clean(f"{words_}{asked}{behind}")


def port_summary(port: Mapping[str, Any]) -> dict[str, str]:
    """What a person wants to know of a port first."""
    document = port["document"]
    network, instance = document.get("network") or {}, document.get("instance") or {}
    segment = network.get("segment") or {}
    vif = port.get("vif") or {}
    where = [segment.get("network_type"), segment.get("physical_network"),
             segment.get("segmentation_id")]  # fmt: skip
    return {
        "id": port["id"],
        "name": clean(document["port"].get("name", "")) or "-",
        "status": f"{port['status']} ({port['phase']}, role {port['role']})",
        "waits": "; ".join(port.get("waits") or []) or "-",
        "said by": _said_by(port.get("parts") or {}),
        "plugin": f"{port['plugin']} / {port['vif_type']}" if port["plugin"] else "-",
        "choice": choice(port),
        "notes": notes(port) or "-",
        "not read": unread(port) or "-",
        "not chosen": not_chosen(port.get("selection")) or "-",
        "network": _network(network, where),
        "instance": f"{instance.get('id', '-')} {clean(instance.get('name', ''))}".rstrip(),
        "addresses": " ".join(
            [document["port"].get("mac_address", "-")]
            + [clean(str(ip.get("ip_address"))) for ip in document.get("fixed_ips", [])]
        ),
        "guest": ", ".join(f"{k} {flat(v)}" for k, v in vif.items()) or "-",
        "changed": f"{when(port['updated_at'])} (revision {port['revision']})",
        "checked": when(port["checked_at"]),
    }


def _network(network: Mapping[str, Any], where: Sequence[Any]) -> str:
    if not network:
        return "-"
    return f"{network['id']} ({' '.join(flat(w) for w in where if w is not None)})"


def _said_by(parts: Mapping[str, Any]) -> str:
    """Who says which part of the port, with that one's own count of changes."""
    said = []
    for side, part in parts.items():
        count = "" if part["revision"] is None else f" (revision {part['revision']})"
        said.append(f"{side}: {clean(part['owner'])}{count}")
    return ", ".join(said) or "-"


def event_line(number: str, event: Mapping[str, Any]) -> str:
    """One event in one line."""
    parts = [when(event.get("at")), f"#{number}", str(event.get("event"))]
    for name in ("port", "instance", "plugin", "phase", "status"):
        if event.get(name):
            parts.append(f"{name}={event[name]}")
    if event.get("error"):
        parts.append(error_line(event["error"]))
    return clean(" ".join(parts))
