"""What an offer depended on, to be held against the host later.

A token carries what was chosen and the facts of the host that the choice stood on, so that nothing
is kept in memory, it outlives a restart of the daemon, and a stale one can say *what* has changed.
It is no credential: who may plug a port is decided by the peer's user alone. The sum at its end
finds text that was cut or mixed up.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from vifd import errors
from vifd.model import Attachment
from vifd.negotiation.candidate import Candidate, Choice, Usable

#: Characters of a token that are accepted.
MAX_LENGTH = 8192
_PREFIX = "v1."
_CODED = re.compile(r"[A-Za-z0-9_-]+")
_SUM = 8
#: What a plugin may tell of the host, in its probe's facts, that a port stands on.
_SETTLED = ("bridge", "datapath_type", "port_type", "socket_dir")
#: A capability that no probe had told yet. It refuses nothing, so neither does learning it; what is
#: then found missing refuses the candidate, which is another matter.
_UNTOLD = [None, None]


class Claims(Struct, frozen=True, array_like=True):
    """What a token says.

    :param expires: seconds since the epoch
    """

    port: str
    expires: float
    plugin: str
    vif_type: str
    version: str
    profile: str
    profile_version: str
    facts: dict[str, Any]


def issue(attachment: Attachment, usable: Usable, expires: float) -> str:
    """The token of a candidate."""
    claims = Claims(
        attachment.id, expires, usable.candidate.name, usable.vif_type, usable.version,
        *usable.profile, dependencies(attachment, usable.candidate),
    )  # fmt: skip
    body = msgspec.msgpack.encode(claims)
    text = base64.urlsafe_b64encode(body + _sum(body)).decode().rstrip("=")
    return _PREFIX + text


def _sum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_SUM).digest()


def read(text: str, field: str) -> Claims:
    """What a token says.

    :param field: where it was found, for the error
    :raises errors.BadDocument: it is none, or was damaged
    """
    try:
        claims = _claims(text)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        claims = None
    if claims is None:
        problem = "is no token of an offer, or was damaged on its way"
        raise errors.BadDocument.at_field(field, problem)
    return claims


def _claims(text: str) -> Claims | None:
    if not text.startswith(_PREFIX) or len(text) > MAX_LENGTH:
        return None
    coded = text[len(_PREFIX) :]
    if not _CODED.fullmatch(coded):
        return None  # the decoder takes the letters of the other alphabet as well
    raw = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
    body, total = raw[:-_SUM], raw[-_SUM:]
    return msgspec.msgpack.decode(body, type=Claims) if _sum(body) == total else None


def dependencies(attachment: Attachment, candidate: Candidate) -> dict[str, Any]:
    """By name, the facts of the host that this candidate's answer stands on, as JSON values."""
    segment = attachment.network.segment
    physnet, kind = segment.physical_network, segment.network_type
    facts: dict[str, Any] = {
        "plugin.version": candidate.version,
        "plugin.health": candidate.probe.health.value,
        "network.segment": [kind, physnet, segment.segmentation_id],
    }
    probe = candidate.probe
    facts |= {f"plugin.{n}": _settled(probe.facts[n]) for n in _SETTLED if n in probe.facts}
    facts |= {f"capability.{name}": value for name, value in candidate.consulted.items()}
    uplink = probe.physical_networks.get(physnet or "") or probe.tunnels.get(kind)
    if uplink is not None:
        where = f"physical_network.{physnet}" if physnet else f"tunnel.{kind}"
        for name in ("device", "up", "mtu", "local_ip"):
            facts[f"{where}.{name}"] = getattr(uplink, name)
    plain: dict[str, Any] = msgspec.to_builtins(facts, enc_hook=str)
    return plain


def _settled(value: Any) -> Any:
    """Of a bridge its name: how many ports it has, and whether it was made already, changes with
    the next port that comes, and takes none of them elsewhere."""
    return value.get("name") if isinstance(value, Mapping) else value


def redeem(claims: Claims, attachment: Attachment, choice: Choice, now: float) -> Choice:
    """The choice that the token stands for, if the host is still as it was.

    :param choice: what would be chosen now, without the token
    :raises errors.TokenStale: with what has changed
    """
    wanted = (claims.plugin, claims.vif_type)
    changed: list[dict[str, Any]] = []
    if claims.port != attachment.id:
        changed.append(_change("port", claims.port, attachment.id))
    if now > claims.expires:
        changed.append(_change("token.expires", claims.expires, now))
    found = next((u for u in choice.usable if (u.candidate.name, u.vif_type) == wanted), None)
    refused = [r for r in choice.refused if (r.candidate.name, r.vif_type) == wanted]
    candidate = found.candidate if found else refused[0].candidate if refused else None
    if candidate is None:
        changed.append(_change("plugin", claims.plugin, None))
    else:
        changed += _differences(claims.facts, dependencies(attachment, candidate))
    if refused:
        changed.append(_change("candidate", "usable", refused[0].error.code))
    if changed or found is None:
        raise _stale(claims, attachment, changed, [r.error for r in refused])
    others = tuple(u for u in choice.usable if u is not found)
    return Choice((_pinned(found, claims), *others), choice.refused, asked=True)


def _pinned(found: Usable, claims: Claims) -> Usable:
    """In the versions that were agreed on."""
    profile = (claims.profile, claims.profile_version)
    return Usable(found.candidate, found.vif_type, found.kind, claims.version, profile, found.order)


def _differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = sorted({*was, *now})
    differ = [n for n in names if was.get(n) not in (now.get(n), _UNTOLD)]
    return [_change(n, was.get(n), now.get(n)) for n in differ]


def _change(fact: str, was: Any, now: Any) -> dict[str, Any]:
    return {"fact": fact, "was": was, "is": now}


def _stale(
    claims: Claims,
    attachment: Attachment,
    changed: list[dict[str, Any]],
    refusals: list[errors.VifError],
) -> errors.TokenStale:
    said = "; ".join(f"{c['fact']} was {c['was']}, is {c['is']}" for c in changed)
    facts = {"changed": changed, "plugin": claims.plugin, "vif_type": claims.vif_type}
    return errors.TokenStale(
        f"the token of the offer is stale: {said}",
        facts=facts, stage="negotiate", port=attachment.id, candidates=refusals,
    )  # fmt: skip
