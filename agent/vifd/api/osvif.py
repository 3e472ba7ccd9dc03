"""What os-vif reads: the host's plugins, and a port's VIF, as its versioned objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import falcon

from vifd import errors
from vifd.api import query
from vifd.api.described import (
    ADDRESSED,
    TEXT,
    Call,
    Calls,
    Schema,
    Shape,
    fields,
    good,
    parameter,
)
from vifd.api.resource import Resource, answer, port_id_of
from vifd.model import Phase, PortRecord, Vif
from vifd.plugin import Advert
from vifd.plugin.vifs.kinds import Kind, Named
from vifd.plugin.vifs.translate import vif_object
from vifd.plugin.vifs.versions import Range, number

FORMAT = "os-vif"
_PARAMS = ("format", "max_version", "max_profile_version")

OBJECT = Shape(
    "VersionedObject",
    fields(
        {
            "versioned_object.name": TEXT,
            "versioned_object.namespace": {"const": "os_vif"},
            "versioned_object.version": TEXT,
            "versioned_object.data": {"type": "object"},
        },
        description="An object of os-vif, as os-vif serialises it.",
    ),
)
FORMAT_ASKED = parameter("format", {"enum": [FORMAT]}, "as the versioned object of os-vif")
_VERSION: Schema = {"type": "string", "pattern": r"^[0-9]{1,4}\.[0-9]{1,4}$"}
_ASKED = (
    FORMAT_ASKED,
    parameter(
        "max_version", _VERSION, "with format: the newest version of the VIF class to answer in"
    ),
    parameter("max_profile_version", _VERSION, "with format: the same for the port profile"),
)


def chosen_format(given: Mapping[str, str]) -> bool:
    """Whether os-vif's format is asked for.

    :raises errors.BadDocument: another one is
    """
    wanted = given.get("format")
    if wanted not in (None, FORMAT):
        raise query.bad("format", f"must be {FORMAT!r} or left out")
    return wanted is not None


class PortVif(Resource):
    """``/v1/ports/{id}/vif``"""

    calls = Calls(
        get=Call(
            "The port's VIF, also as os-vif reads it",
            {200: good("the VIF", Vif, OBJECT)},
            (*ADDRESSED, errors.NotPlugged, errors.NoCommonVersion),
            _ASKED,
        )
    )

    def on_get(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        given = query.params(req, _PARAMS)
        theirs = chosen_format(given)
        record = self.backend.port(port_id_of(port_id))
        if record.vif is None:
            phase = record.phase.value
            facts = {"port": record.id, "phase": phase}
            raise errors.NotPlugged(facts=facts, stage="vif", port=record.id)
        if not theirs:
            for name in _PARAMS[1:]:
                if name in given:
                    raise query.bad(name, f"belongs to format={FORMAT}")
            answer(resp, 200, record.vif)
            return
        advert = self.backend.offers.advert(record.plugin)
        answer(resp, 200, serialised(record, record.vif, advert, given))


def serialised(
    record: PortRecord, made: Vif, advert: Advert | None, given: Mapping[str, str]
) -> dict[str, Any]:
    """The port's VIF in the highest version that both sides have.

    :raises errors.NoCommonVersion: there is none
    """
    kind = (advert or Advert((record.vif_type,))).kind(record.vif_type)
    selection = record.selection
    names = [profile.name for profile in kind.profiles]
    agreed = selection.profile if selection and selection.profile in names else names[0]
    profile = kind.profiles[names.index(agreed)]
    version = _common(kind.vif, "max_version", given, kind, record)
    profile_version = _common(profile, "max_profile_version", given, kind, record)
    details = record.wiring.details if record.wiring else {}
    features = advert.features if advert else frozenset()
    secured = record.doc.attachment.port.port_security_enabled
    found = vif_object(
        record.doc.attachment, made, plugin=record.plugin, vif_type=record.vif_type,
        active=record.open and record.phase is not Phase.FAILED,
        filtering=secured and "port_security" in features, profile=profile.name,
        datapath_type=str(details.get("datapath_type") or ""),
    )  # fmt: skip
    return found.primitive(version, {profile.name: profile_version})


def _common(
    named: Named, parameter: str, given: Mapping[str, str], kind: Kind, record: PortRecord
) -> str:
    limit = given.get(parameter)
    if limit is None:
        return named.versions.max or named.versions.min
    try:
        number(limit)
    except ValueError as error:
        raise query.bad(parameter, str(error)) from error
    wanted = Range(named.versions.min, limit)
    version = named.common(wanted)
    if version is None:
        facts = {
            "what": named.name, "wanted": f"up to {limit}", "have": str(named.versions),
            "plugin": record.plugin, "vif_type": record.vif_type, "vif_class": kind.vif.name,
        }  # fmt: skip
        raise errors.NoCommonVersion(facts=facts, stage="vif", port=record.id)
    return version
