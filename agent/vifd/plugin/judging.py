"""What plugins raise and answer, judged where it comes in.

A plugin is code of somebody else: it may raise anything, also what is no :class:`Exception` and
ends a thread, and answer anything. Whoever works with an answer later, the journal, the API,
another port's caller, must not be the first to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from itertools import islice
from typing import Any, TypeVar

import msgspec
from oslo_config import cfg

from vifd.errors import InternalError, VifError
from vifd.errors import wrap as wrap_error
from vifd.model import Evidence, Report, Vif, Wiring
from vifd.plugin.advert import Advert
from vifd.plugin.health import Health, Probe, Uplink
from vifd.plugin.item import Observed, Recalled, Requirement
from vifd.plugin.marked import Key, Marked, Wanted
from vifd.plugin.meanings import Meaning, Meanings
from vifd.plugin.severing import Severing
from vifd.safety.plain import plain

T = TypeVar("T")
S = TypeVar("S", Wiring, Vif)

#: Elements of one answer, and bytes of what is kept of a single port.
MAX_ITEMS = 100_000
MAX_REQUIREMENTS = 1000
MAX_OPTIONS = 1000
MAX_BYTES = 1 << 20

_encode = msgspec.json.Encoder(enc_hook=str).encode
_strictly = msgspec.json.Encoder().encode


def wrong(answer: object, wanted: str) -> TypeError:
    """An answer of another type than the contract's."""
    return TypeError(f"{type(answer).__name__} is no {wanted}")


def sound_meanings(answer: object) -> Meanings:
    """What a plugin says its facts mean, every row of which is one."""
    if not isinstance(answer, Meanings):
        raise wrong(answer, "Meanings")
    for row in answer.rows:
        if not isinstance(row, Meaning):
            raise wrong(row, "Meaning")
    some: object = answer.severing
    if not isinstance(some, Severing):
        raise wrong(some, "Severing")
    return answer


def sound_error(error: BaseException) -> Exception:
    """What was raised, as an exception that ends no thread and that can be told to anybody."""
    if isinstance(error, VifError):
        return _sound_refusal(error)
    if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
        try:
            return error if str(error).isprintable() else wrap_error(error)
        except BaseException:  # noqa: BLE001 - it may do anything
            return wrap_error(error)
    return wrap_error(error)


def _sound_refusal(error: VifError) -> Exception:
    try:
        body = _encode(error.copy().to_dict())
        str(error).encode()
    except BaseException as problem:  # noqa: BLE001 - it is another's class
        known = f"{type(error).__name__}, which cannot be told ({type(problem).__name__})"
        return InternalError(f"unexpected {known}")
    if len(body) > MAX_BYTES:
        return InternalError(f"{type(error).__name__} with {len(body)} bytes of facts")
    return error


def sound_struct(answer: object, kind: type[S]) -> S:
    """A :class:`Wiring` or :class:`Vif` as the journal will give it back.

    :raises TypeError: it is none, or holds what is no JSON value
    """
    if not isinstance(answer, kind):
        raise wrong(answer, kind.__name__)
    try:
        text = _strictly(answer)
        again = msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"a {kind.__name__} that cannot be kept: {error}") from None
    if len(text) > MAX_BYTES:
        raise TypeError(f"a {kind.__name__} of {len(text)} bytes")
    return again


def sound_names(answer: object) -> Wiring:
    """What ``name``, ``plug`` and ``claim`` answer.

    :raises TypeError: it is no Wiring, or its device can be none
    """
    wiring = sound_struct(answer, Wiring)
    for part in (wiring.plugin, wiring.vif_type, wiring.device):
        if not part.isprintable() or len(part) > 255:
            raise TypeError(f"a Wiring with a name that can be none: {part[:40]!r}")
    return wiring


def sound_recalled(answer: object) -> Recalled | None:
    """What ``recall`` answers.

    :raises TypeError: it is neither a Recalled nor nothing
    """
    if answer is None:
        return None
    if not isinstance(answer, Recalled):
        raise wrong(answer, "Recalled")
    return Recalled(sound_names(answer.wiring), answer.open is True)


def sound_outcome(answer: object) -> Wiring | VifError:
    """What a verb made of one port.

    :raises TypeError: neither a Wiring nor a VifError
    """
    if not isinstance(answer, VifError):
        return sound_names(answer)
    known = sound_error(answer)
    return known if isinstance(known, VifError) else InternalError(str(known))


def sound_list(
    answer: object, each: Callable[[object], T], wanted: str, limit: int = MAX_ITEMS
) -> list[T]:
    """Some of something; an iterator without end is cut off.

    :raises TypeError: it is no such list
    """
    if isinstance(answer, str | bytes | Mapping) or not isinstance(answer, Iterable):
        raise wrong(answer, f"list of {wanted}s")
    found = [each(one) for one in islice(answer, limit + 1)]
    if len(found) > limit:
        raise TypeError(f"more than {limit} {wanted}s")
    return found


def sound_options(answer: object) -> list[cfg.Opt]:
    """A plugin's own options.

    :raises TypeError: it is no list of such
    """

    def each(one: object) -> cfg.Opt:
        if not isinstance(one, cfg.Opt):
            raise wrong(one, "option")
        return one

    return sound_list(answer, each, "option", MAX_OPTIONS)


def sound_mapping(answer: object, wanted: str) -> Mapping[Any, Any]:
    """:raises TypeError: it is no mapping"""
    if not isinstance(answer, Mapping):
        raise wrong(answer, wanted)
    return answer


def sound_requirement(answer: object) -> Requirement:
    """:raises TypeError: it is no requirement, or its error is none that can be told"""
    if not isinstance(answer, Requirement):
        raise wrong(answer, "Requirement")
    if not isinstance(answer.error, VifError | None):
        raise wrong(answer.error, "VifError")
    if answer.error is not None:
        _encode(answer.error.to_dict())
    return replace(
        answer, name=_text(answer.name), met=answer.met is True, note=plain(answer.note or "")
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise wrong(value, "text")
    return value


def sound_probe(answer: object) -> Probe:
    """What a plugin's probe answered, if everybody else can work with it.

    :raises TypeError: it is no answer, or holds what cannot be told
    """
    if not isinstance(answer, Probe) or not isinstance(answer.health, Health):
        raise TypeError(f"{type(answer).__name__} is no Probe with a Health")
    _typed(answer, applies=bool, taken=bool)
    reasons = [plain(reason) for reason in sound_list(answer.reasons, _text, "reason")]
    for ways in (answer.physical_networks, answer.tunnels):
        for name, way in sound_mapping(ways, "mapping of uplinks").items():
            _sound_uplink(_text(name), way)
    sound_mapping(answer.facts, "mapping of facts")
    for feature, reason in sound_mapping(answer.unenforced, "mapping of reasons").items():
        _text(feature), _text(reason)
    _encode(answer)
    return replace(answer, reasons=reasons)


def _sound_uplink(name: str, way: object) -> None:
    if not isinstance(way, Uplink):
        raise wrong(way, f"Uplink of {name[:40]!r}")
    _typed(way, device=str, problem=str, local_ip=str, up=bool | None, mtu=int | None)
    sound_list(way.devices, _text, "device")


def _typed(answer: object, **kinds: Any) -> None:
    """:raises TypeError: a field has another type"""
    for name, kind in kinds.items():
        value = getattr(answer, name)
        if not isinstance(value, kind):
            raise TypeError(f"{type(answer).__name__}.{name} is a {type(value).__name__}")


def sound_report(answer: object) -> Report:
    """What ``check`` read back of one port.

    :raises TypeError: it is no report, or holds what cannot be told
    """
    if not isinstance(answer, Report):
        raise wrong(answer, "Report")
    _typed(answer, passing=bool | None, at=int | float, evidence=list)
    some: list[Any] = [*answer.evidence]
    for one in some:
        if not isinstance(one, Evidence):
            raise wrong(one, "Evidence")
        # a plug's reports have sixty of them, so they are looked at without a loop over names first
        if not (type(one.fact) is type(one.source) is str
                and type(one.ok) is type(one.repairable) is bool):  # fmt: skip
            _typed(one, fact=str, source=str, ok=bool, repairable=bool)
    try:
        size = len(_encode(answer))
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"a Report that cannot be kept: {error}") from None
    if size > MAX_BYTES:
        raise TypeError(f"a Report of {size} bytes")
    return answer


def sound_observed(answer: object) -> Observed:
    """:raises TypeError: it is nothing that was found of one port"""
    if not isinstance(answer, Observed):
        raise wrong(answer, "Observed")
    if answer.document is not None:
        _strictly(sound_mapping(answer.document, "document"))
    objects = tuple(sound_list(answer.objects, _text, "name"))
    return replace(
        answer, port_id=_text(answer.port_id), wiring=sound_names(answer.wiring), objects=objects
    )


def sound_marked(answer: object) -> Marked:
    """:raises TypeError: it is no marked object"""
    if not isinstance(answer, Marked) or not isinstance(answer.kind, str):
        raise wrong(answer, "Marked object")
    for text in (answer.name, answer.where, answer.owner, answer.identity, answer.holder):
        _text(text)
    sound_list(answer.uses, _text, "name")
    sound_list(answer.stands_on, _text, "name")
    _strictly(answer)
    return answer


def sound_desired(answer: object) -> dict[Key, Wanted]:
    """:raises TypeError: it does not say what shall be there"""
    found = dict(sound_mapping(answer, "mapping of what is expected"))
    for key, wanted in found.items():
        if not (isinstance(key, Key) and isinstance(wanted, Wanted)):
            raise TypeError("what is expected is no Key with its Wanted")
    return found


def sound_refusal(answer: object) -> VifError:
    """One of the answers of ``obstacles``.

    :raises TypeError: it is no error that can be told
    """
    if not isinstance(answer, VifError):
        raise wrong(answer, "VifError")
    _encode(answer.to_dict())
    return answer


def sound_failures(answer: object) -> dict[Key, VifError]:
    """What ``discard`` and ``restore`` could not do.

    :raises TypeError: it does not say that
    """
    found = dict(sound_mapping(answer, "mapping of failures"))
    for key, error in found.items():
        if not (isinstance(key, Key) and isinstance(error, VifError)):
            raise TypeError("a failure is no Key with its VifError")
        _encode(error.to_dict())
    return found


def sound_advert(answer: object) -> Advert:
    """What ``describe`` answers.

    :raises TypeError: it is no Advert, or one that names no VIF types
    """
    if not isinstance(answer, Advert):
        raise wrong(answer, "Advert")
    if not getattr(answer, "vif_types", ()):
        raise TypeError(f"describe() names no VIF types: {answer!r:.80}")
    made: dict[str, Any] = {}
    for name in ("vif_types", "vnic_types", "network_types"):
        made[name] = tuple(sound_list(getattr(answer, name), _text, name))
    for name in ("features", "in_place"):
        made[name] = frozenset(sound_list(getattr(answer, name), _text, name))
    profiles = sound_mapping(answer.profiles, "mapping of profiles")
    made["profiles"] = {
        _text(k): tuple(sound_list(v, _text, "profile")) for k, v in profiles.items()
    }
    installed = sound_mapping(answer.installed, "mapping of versions")
    made["installed"] = {_text(k): _text(v) for k, v in installed.items()}
    made["connectivity"] = _text(answer.connectivity)
    for flag in ("on_request", "hands_over", "takes_over"):
        made[flag] = getattr(answer, flag, False) is True
    known = {f.name for f in fields(Advert)}
    return replace(answer, **{k: v for k, v in made.items() if k in known})
