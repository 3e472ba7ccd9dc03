"""What can be found out about a plugin without touching a port.

Held against the contract: what a plugin says of itself, whether it works on this host, and what it
would do for a port of each kind. All of it reads only, so it may run on a host in use; the suite of
:mod:`vifd.testing.kit` is the rest of the contract. It is to be called on the plugin's lane.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from vifd.errors import VifError
from vifd.model import UUID, Attachment, Vif, Wiring, decode
from vifd.plugin import CONTRACT_VERSION, VERBS, Advert, Health, Observed, Probe, Requirement
from vifd.plugin import VifPlugin as Plugin
from vifd.plugin.registry import compatible

#: Seconds that a probe may take: it runs at every check of the host.
PROBE_SECONDS = 0.5
#: The kernel's limit for the name of a device.
DEVICE_LENGTH = 15

#: A port that exists nowhere: its id is not one that anybody gives.
_PORT = "00000000-0000-4000-8000-0000000fffff"
_MAC = "02:00:00:ff:ff:fe"


class Check(Struct, frozen=True):
    """One thing that was looked at.

    :param name: what, dotted
    :param ok: whether the contract is kept
    :param detail: what was found
    """

    name: str
    ok: bool
    detail: str


class Inspection(Struct, frozen=True):
    """The result of all.

    :param ok: whether the plugin keeps the contract as far as this can tell; a plugin that cannot
        work on this host now keeps it if it says so
    """

    plugin: str
    version: str
    contract_version: str
    ok: bool
    checks: list[Check]


@dataclass
class _Notes:
    """Collects checks; what raises is one that failed."""

    checks: list[Check] = field(default_factory=list)

    def add(self, name: str, ok: bool, detail: object) -> None:
        self.checks.append(Check(name, ok, str(detail)))

    def attempt(self, name: str, call: Callable[[], Any]) -> Any:
        """The result of a verb, or ``None`` once it was noted that it raised."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            self.add(name, ok=False, detail=f"raised {type(error).__name__}: {error}")
            return None


def inspect(plugin: Plugin) -> Inspection:
    """Look at everything; never raises."""
    notes = _Notes()
    _identity(plugin, notes)
    _options(plugin, notes)
    advert = notes.attempt("describe", plugin.describe)
    if isinstance(advert, Advert):
        _advert(advert, notes)
        for network_type in advert.network_types:
            document = sample(plugin.plugin_name, advert, network_type)
            _port(plugin, document, network_type, notes)
    elif advert is not None:
        notes.add("describe", ok=False, detail=f"is no Advert: {advert!r:.80}")
    _probe(plugin, notes)
    _observe(plugin, notes)
    return Inspection(
        plugin=plugin.plugin_name,
        version=str(plugin.plugin_version),
        contract_version=str(plugin.contract_version),
        ok=all(check.ok for check in notes.checks),
        checks=notes.checks,
    )


def sample(plugin: str, advert: Advert, network_type: str) -> Attachment:
    """A document that a plugin with this advert could be asked to serve."""
    segment: dict[str, Any] = {"network_type": network_type}
    if network_type in ("flat", "vlan"):
        segment["physical_network"] = "physnet1"
    if network_type not in ("flat", "local"):
        segment["segmentation_id"] = 101
    document = {
        "version": "1.0",
        "plugin": plugin,
        "vif_type": advert.vif_types[0],
        "port": {"id": _PORT, "mac_address": _MAC, "vnic_type": advert.vnic_types[0]},
        "network": {"id": _PORT, "mtu": 1450, "segment": segment},
        "fixed_ips": [{"ip_address": "192.0.2.2"}],
    }
    return decode(document).attachment


# --- what it says of itself -----------------------------------------------------------------------


def _identity(plugin: Plugin, notes: _Notes) -> None:
    version = plugin.contract_version
    speaks = f"{version}, this vifd speaks {CONTRACT_VERSION}"
    notes.add("contract.version", compatible(version), speaks)
    lacking = [verb for verb in VERBS if not callable(getattr(plugin, verb, None))]
    notes.add("contract.verbs", not lacking, f"lacks {', '.join(lacking)}" if lacking else "all")


def _options(plugin: Plugin, notes: _Notes) -> None:
    options = notes.attempt("options", lambda: list(plugin.options()))
    if options is None:
        return
    silent = [o.name for o in options if not (o.help or "").strip()]
    detail = f"without help: {', '.join(silent)}" if silent else f"{len(options)} documented"
    notes.add("options.documented", not silent, detail)


def _advert(advert: Advert, notes: _Notes) -> None:
    notes.add("describe.vif_types", bool(advert.vif_types), ", ".join(advert.vif_types))
    types = ", ".join(advert.network_types)
    notes.add("describe.network_types", bool(advert.network_types), types or "none")
    unknown = sorted(path for path in advert.in_place if not _is_path(path))
    detail = f"no such field: {', '.join(unknown)}" if unknown else f"{len(advert.in_place)} fields"
    notes.add("describe.in_place", not unknown, detail)


def _is_path(path: str) -> bool:
    """Whether a document can have this path."""
    kind: Any = Attachment
    for part in path.split("."):
        if not isinstance(kind, type) or not issubclass(kind, Struct):
            return True  # below free-form values everything may stand
        fields = {f.name: f.type for f in msgspec.structs.fields(kind)}
        if part not in fields:
            return False
        kind = _struct_of(fields[part])
    return True


def _struct_of(kind: Any) -> Any:
    """The struct in an optional or plain type."""
    arguments = getattr(kind, "__args__", ())
    found = [a for a in arguments if isinstance(a, type) and issubclass(a, Struct)]
    return found[0] if found else kind


# --- what it would do -----------------------------------------------------------------------------


def _port(plugin: Plugin, document: Attachment, kind: str, notes: _Notes) -> None:
    """The pure verbs for a port of one kind of network, on which nothing is made."""
    needs = notes.attempt(f"requires.{kind}", lambda: list(plugin.requires(document)))
    if needs is None:
        return
    wrong = [n for n in needs if not _is_requirement(n)]
    unmet = [n.name for n in needs if n not in wrong and not n.met]
    said = f"not met here: {', '.join(unmet)}" if unmet else f"{len(needs)} met"
    notes.add(f"requires.{kind}", not wrong, f"no Requirement: {wrong!r:.80}" if wrong else said)
    if unmet or wrong:
        return
    wiring = notes.attempt(f"name.{kind}", lambda: _named(plugin, document))
    if wiring is not None:
        problem = _bad_names(plugin, wiring)
        notes.add(f"name.{kind}", not problem, problem or f"device {wiring.device or '(none)'}")
    if isinstance(wiring, Wiring):
        vif = notes.attempt(f"vif.{kind}", lambda: plugin.vif(document, wiring))
        if vif is not None:
            notes.add(f"vif.{kind}", isinstance(vif, Vif), getattr(vif, "type", f"{vif!r:.80}"))


def _is_requirement(need: object) -> bool:
    return isinstance(need, Requirement) and isinstance(need.error, VifError | None)


def _named(plugin: Plugin, document: Attachment) -> Any:
    try:
        return plugin.name(document, plugin.host.ledger())
    except VifError as error:
        # A refusal with a code is an answer; there may be no place for another port just now.
        return Wiring(plugin.plugin_name, "", "", {"refused": error.code})


def _bad_names(plugin: Plugin, wiring: object) -> str:
    if not isinstance(wiring, Wiring):
        return f"is no Wiring: {wiring!r:.80}"
    if wiring.plugin != plugin.plugin_name:
        return f"names the plugin {wiring.plugin!r}"
    if len(wiring.device.encode()) > DEVICE_LENGTH:
        return f"the device's name {wiring.device!r} is longer than {DEVICE_LENGTH} bytes"
    try:
        same = msgspec.json.decode(msgspec.json.encode(wiring), type=Wiring) == wiring
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        return f"cannot be kept as JSON: {error}"
    return "" if same else "comes back from JSON as something else"


# --- this host ------------------------------------------------------------------------------------


def _probe(plugin: Plugin, notes: _Notes) -> None:
    start = time.perf_counter()
    probe = notes.attempt("probe", plugin.probe)
    seconds = time.perf_counter() - start
    if probe is None:
        return
    if not isinstance(probe, Probe) or not isinstance(probe.health, Health):
        notes.add("probe", ok=False, detail=f"is no Probe: {probe!r:.80}")
        return
    silent = probe.health is not Health.READY and not probe.reasons
    said = "; ".join(probe.reasons)
    detail = "names no reason" if silent else f"{probe.health}{f': {said}' if said else ''}"
    notes.add("probe.health", not silent, detail)
    notes.add("probe.time", seconds < PROBE_SECONDS, f"{seconds * 1e3:.1f} ms")
    encoded = notes.attempt("probe.facts", lambda: msgspec.json.encode(probe.facts))
    if encoded is not None:
        notes.add("probe.facts", ok=True, detail=f"{len(probe.facts)} facts")


def _observe(plugin: Plugin, notes: _Notes) -> None:
    found = notes.attempt("observe", plugin.observe)
    if found is None:
        return
    problems = list(_bad_observations(plugin, found))
    known = plugin.host.ledger()
    strays = [o.port_id for o in found if isinstance(o, Observed) and o.port_id not in known]
    said = f"{len(found)} ports" + (f", {len(strays)} not in the journal" if strays else "")
    notes.add("observe", not problems, "; ".join(problems[:3]) or said)


def _bad_observations(plugin: Plugin, found: Sequence[object]) -> Iterator[str]:
    for item in found:
        if not isinstance(item, Observed):
            yield f"is no Observed: {item!r:.80}"
        elif not re.match(UUID, item.port_id):
            yield f"port id {item.port_id!r:.64} is no UUID"
        else:
            problem = _bad_names(plugin, item.wiring)
            if problem:
                yield f"port {item.port_id}: the wiring {problem}"


__all__ = ["Check", "Inspection", "inspect", "sample"]
