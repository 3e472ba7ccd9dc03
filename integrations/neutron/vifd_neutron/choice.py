"""Which candidate of a host serves a port on a segment, or why none does. Pure.

The codes are vifd's own, so that an operator finds the same word in the API, in the server's log
and on the host (``docs/errors.md`` of vifd).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vifd_neutron.report import PHYSICAL, TUNNELLED, Candidate, Report

#: In ``binding:profile``: VIF types that the caller can use, the preferred first.
WISH = "vif_types"


@dataclass(frozen=True)
class Wanted:
    """A port on one segment of its network.

    :param vif_types: what whoever binds it can use, the preferred first; empty for anything
    :param mtu: of the network; 0 where it is not known
    """

    vnic_type: str
    network_type: str
    physical_network: str
    mtu: int = 0
    vif_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """Why a candidate does not serve a port.

    :param code: one of vifd's
    :param next_step: what an operator can do about it
    """

    code: str
    message: str
    next_step: str
    candidate: str = ""


@dataclass(frozen=True)
class Choice:
    """The candidate and VIF type for a port."""

    candidate: Candidate
    vif_type: str


def wish(profile: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What a binding profile says of VIF types that can be used."""
    said = (profile or {}).get(WISH)
    words = [said] if isinstance(said, str) else said if isinstance(said, Sequence) else ()
    return tuple(word for word in words if isinstance(word, str))


def choose(wanted: Wanted, report: Report) -> Choice | list[Refusal]:
    """The best candidate, by the order of whoever binds the port or else by the host's."""
    refusals: list[Refusal] = []
    fitting: list[Choice] = []
    for candidate in report.candidates:
        against = list(_against(wanted, candidate, report))
        refusals += against
        if not against:
            fitting += [Choice(candidate, kind) for kind in candidate.vif_types]
    if not report.candidates:
        refusals.append(_nothing(report))
    if wanted.vif_types:
        asked = [c for c in fitting if c.vif_type in wanted.vif_types]
        refusals += [_not_asked(wanted, c) for c in fitting if c not in asked]
        fitting = sorted(asked, key=lambda c: wanted.vif_types.index(c.vif_type))
    return fitting[0] if fitting else refusals


def network_types(candidate: Candidate, report: Report) -> tuple[str, ...]:
    """What a candidate can carry here: a tunnel needs the host's word for its type as well."""
    said = candidate.network_types
    if said is None:
        return ("local", *PHYSICAL, *report.tunnel_types)
    return tuple(kind for kind in said if kind not in TUNNELLED or kind in report.tunnel_types)


def served_types(report: Report) -> set[str]:
    """What any candidate of the host can carry."""
    return {kind for candidate in report.candidates for kind in network_types(candidate, report)}


def best(refusals: Sequence[Refusal]) -> Refusal:
    """The refusal to tell first: a plugin for something else altogether says the least."""
    least = ("E_NEG_NO_COMMON_VIF", "E_VNIC_UNSUPPORTED", "E_SEG_TYPE_UNSUPPORTED")
    return min(refusals, key=lambda r: least.index(r.code) + 1 if r.code in least else 0)


def _against(wanted: Wanted, candidate: Candidate, report: Report) -> Iterator[Refusal]:
    name = candidate.plugin
    kinds = candidate.vnic_types
    if kinds is not None and wanted.vnic_type not in kinds:
        yield Refusal(
            "E_VNIC_UNSUPPORTED",
            f"vnic_type {wanted.vnic_type!r} is not served by plugin {name!r} (have {_all(kinds)})",
            "use a served vnic_type, or install a plugin that serves this one", name,
        )  # fmt: skip
    yield from _segment(wanted, candidate, report)
    limit = candidate.mtus.get(wanted.physical_network)
    if limit and wanted.mtu > limit:
        way = wanted.physical_network or "the tunnels' underlay"
        yield Refusal(
            "E_PLUG_MTU", f"MTU {wanted.mtu} cannot be carried: {way} allows {limit}",
            "lower the network's MTU or raise that of the named device", name,
        )  # fmt: skip


def _segment(wanted: Wanted, candidate: Candidate, report: Report) -> Iterator[Refusal]:
    name, kind = candidate.plugin, wanted.network_type
    kinds = network_types(candidate, report)
    if kind not in kinds:
        bind = "bind the port to a segment of a type that it serves"
        able = candidate.network_types is None or kind in candidate.network_types
        enable = f", or add {kind} to tunnel_types in agent.conf of the host and restart vifd"
        yield Refusal(
            "E_SEG_TYPE_UNSUPPORTED",
            f"network type {kind!r} is not served by plugin {name!r} (have {_all(kinds)})",
            f"{bind}{enable if able and kind in TUNNELLED else ', or use another host'}", name,
        )  # fmt: skip
        return
    if kind in TUNNELLED and not report.tunneling_ip:
        yield Refusal(
            "E_SEG_PHYSNET_DOWN",
            f"{kind} networks are served by plugin {name!r}, and no tunnel endpoint is set",
            "set local_ip in agent.conf of the host", name,
        )  # fmt: skip
    have = report.mappings if candidate.physnets is None else candidate.physnets
    if kind in PHYSICAL and wanted.physical_network not in have:
        yield Refusal(
            "E_SEG_PHYSNET_UNMAPPED",
            f"physical network {wanted.physical_network!r} is not mapped on this host "
            f"(have {_all(sorted(have))})",
            "add the physical network to bridge_mappings in agent.conf", name,
        )  # fmt: skip


def _not_asked(wanted: Wanted, choice: Choice) -> Refusal:
    return Refusal(
        "E_NEG_NO_COMMON_VIF",
        f"VIF type {choice.vif_type!r} of plugin {choice.candidate.plugin!r} is none of those that "
        f"binding:profile accepts ({_all(wanted.vif_types)})",
        f"name {choice.vif_type!r} in {WISH} of binding:profile, or leave it out",
        choice.candidate.plugin,
    )  # fmt: skip


def _nothing(report: Report) -> Refusal:
    return Refusal(
        "E_PLUGIN_MISSING", "no plugin of this host can work now",
        f"vifctl plugin list on {report.host} shows what is installed and why it is unavailable",
    )  # fmt: skip


def _all(words: Sequence[str]) -> str:
    return ", ".join(words) or "none"
