"""The OpenAPI 3.1 document, served at ``/v1/openapi.json`` and held true by the tests."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import vifd
from vifd import errors
from vifd.api import query
from vifd.api.schemas import UUID_SCHEMA, Schema, components, ref
from vifd.model import Phase, Status

#: Codes that only a call's own text can cause, by the kind of call.
_ALWAYS = (errors.BadHttp, errors.BadDocument, errors.Forbidden, errors.InternalError)
_ADDRESSED = (*_ALWAYS, errors.PortNotFound)
_BODY = (
    errors.UnsupportedVersion, errors.UnknownRequired, errors.UnreadTooLarge, errors.BodyTooLarge,
    errors.MediaTypeUnsupported, errors.Busy,
)  # fmt: skip
#: Classes of errors that are about the call; with all others the daemon's work can end.
_CALL = ("document", "auth", "api", "internal")

#: What a call about one plugin may be answered with.
_INSPECTED = (
    *_ALWAYS, errors.PluginMissing, errors.PluginRefused, errors.PluginUnhealthy, errors.Stopping,
    errors.WaitTimeout,
)  # fmt: skip

#: What a call that explains a port may be answered with.
_EXPLAINED = (*_ADDRESSED, errors.Stopping)

Codes = Iterable[type[errors.VifError]]


def document() -> dict[str, Any]:
    """The whole document. Plugins may bring codes of their own, so it is made from those known."""
    return _document(tuple(sorted(errors.all_codes())))


@lru_cache(maxsize=2)
def _document(_codes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vifd",
            "version": vifd.__version__,
            "summary": "The per-host VIF daemon",
            "description": "HTTP over a unix socket; admission by the peer's uid and gids.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(),
        "components": {"schemas": components()},
    }


# --- parameters -----------------------------------------------------------------------------------


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


_ID: Schema = {
    "name": "port_id",
    "in": "path",
    "required": True,
    "schema": UUID_SCHEMA,
    "description": "the port's id",
}
_PLUGIN: Schema = {
    "name": "name",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "the plugin's name",
}
_REQUEST_ID: Schema = {
    "name": "X-Request-ID",
    "in": "header",
    "schema": {"type": "string"},
    "description": "names the request in answers and logs (up to 64 letters, digits and ._:-); "
    "without a usable one the daemon makes one up",
}
_TIMEOUT = _query(
    "timeout",
    {"type": "number", "minimum": 0, "maximum": query.MAX_TIMEOUT, "default": 30},
    "seconds to wait",
)

#: What an offer may be answered with: nothing that happens on a host while it is made.
_OFFERED = (
    *_ALWAYS, *_BODY, errors.ContractVersion, errors.NoCommonVif, errors.PluginUnhealthy,
    errors.Stopping, errors.WaitTimeout,
)  # fmt: skip

_TOKEN = _query(
    "token", {"type": "string"},
    "of an offer: take just that candidate, if the host is still as it was then",
)  # fmt: skip
_TAKING = _query(
    "take_over", {"type": "boolean"},
    "what another program plugged is taken over in place, where there is such a port",
)  # fmt: skip
_PREWIRE = _query(
    "prewire", {"type": "boolean"}, "the port is made without waiting for compute's part"
)
_OWNER = _query(
    "owner", {"type": "string", "minLength": 1, "maxLength": 64}, "who says it, for people"
)
_REVISION = _query(
    "revision", {"type": "integer", "minimum": 0},
    "the owner's own count of changes: what is older than what was said before is refused",
)  # fmt: skip
_FORMAT = _query("format", {"enum": ["os-vif"]}, "as the versioned object of os-vif")
_VERSION: Schema = {"type": "string", "pattern": r"^[0-9]{1,4}\.[0-9]{1,4}$"}
_VERSIONS = [
    _FORMAT,
    _query(
        "max_version", _VERSION, "with format: the newest version of the VIF class to answer in"
    ),
    _query("max_profile_version", _VERSION, "with format: the same for the port profile"),
]

_READING = _query(
    "timeout",
    {"type": "number", "minimum": 0, "maximum": query.MAX_TIMEOUT, "default": 10},
    "seconds that reading the host may take; then the last report has to do",
)


def _wait(wanted: str, meaning: str) -> list[Schema]:
    return [_query("wait", {"enum": [wanted]}, f"answer once {meaning}"), _TIMEOUT]


_FILTERS = [
    _query("phase", {"enum": list(Phase)}, "only ports in this phase"),
    _query("status", {"enum": list(Status)}, "only ports of this status"),
    _query("plugin", {"type": "string"}, "only ports of this plugin"),
    _query("network", UUID_SCHEMA, "only ports of this network"),
    _query("instance", UUID_SCHEMA, "only ports of this instance"),
    _query("fields", {"type": "string"}, "comma-separated names of the fields to answer with"),
]
_STREAM = [
    _query("after", {"type": ["integer", "string"], "pattern": "^([0-9]+|now)$", "minimum": 0},
           "begin after this id; 'now' skips what is past; default 0"),
    _query("follow", {"type": "boolean", "default": True}, "go on with new events"),
    _query("limit", {"type": "integer", "minimum": 1, "maximum": 100_000, "default": 10_000},
           "with follow=false: how many events at most"),
    {"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer", "minimum": 0},
     "description": "like 'after', which it overrules: sent by a reader that connects again"},
]  # fmt: skip


# --- answers --------------------------------------------------------------------------------------


def _json(schema: Schema, description: str) -> Schema:
    headers = {"X-Request-ID": {"schema": {"type": "string"}}}
    content = {"application/json": {"schema": schema}}
    return {"description": description, "headers": headers, "content": content}


def _text(media_type: str, description: str) -> Schema:
    return {"description": description, "content": {media_type: {"schema": {"type": "string"}}}}


def _refusals(codes: Codes) -> dict[str, Schema]:
    """One answer per HTTP status, with every code that comes under it."""
    by_status: dict[int, list[str]] = {}
    for kind in codes:
        by_status.setdefault(kind.http, []).append(kind.code)
    made = {}
    for status, names in sorted(by_status.items()):
        code = {"properties": {"code": {"enum": sorted(set(names))}}}
        listed = ", ".join(sorted(set(names)))
        made[str(status)] = _json({"allOf": [ref("Error"), code]}, listed)
    return made


def _work(*more: type[errors.VifError]) -> list[type[errors.VifError]]:
    return [*more, *(k for k in errors.all_codes().values() if k.klass not in _CALL)]


def _call(
    summary: str,
    good: dict[str, Schema],
    codes: Codes = _ALWAYS,
    parameters: Iterable[Schema] = (),
    body: str = "",
) -> Schema:
    verb = {
        "summary": summary,
        "parameters": [*parameters, _REQUEST_ID],
        "responses": {
            **good,
            **_refusals(codes),
            "default": _json(ref("Error"), "E_API_HTTP, E_API_METHOD, E_API_NO_ROUTE"),
        },
    }
    if body:
        verb["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": ref(body)}},
        }
    return verb


# --- paths ----------------------------------------------------------------------------------------


def _paths() -> dict[str, Any]:
    return {**_facts(), **_port_paths(), **_batch_paths(), **_guest_paths(), **_garbage_paths(),
            **_reconcile_paths()}  # fmt: skip


def _facts() -> dict[str, Any]:
    def fact(summary: str, schema: Schema) -> Schema:
        return {"get": _call(summary, {"200": _json(schema, summary)})}

    metrics = {"200": _text("text/plain", "the Prometheus text format")}
    stream = {"200": _text("text/event-stream", "server-sent events with ids; data is an Event")}
    busy = (*_ALWAYS, errors.Busy)
    host = {"anyOf": [ref("HostFacts"), ref("VersionedObject")]}
    offered = {"200": _json(ref("Offer"), "candidates, refusals, the choice and its token")}
    return {
        "/v1/status": fact("Whether the daemon is live and ready", ref("DaemonStatus")),
        "/v1/plugins": fact("The plugins and why one is unavailable", ref("PluginList")),
        "/v1/plugins/{name}/verify": {
            "parameters": [_PLUGIN],
            "post": _call(
                "Hold a plugin against its contract; no port is touched",
                {"200": _json(ref("Inspection"), "what was looked at")},
                _INSPECTED,
                [_TIMEOUT],
            ),
        },
        "/v1/host": {
            "get": _call(
                "What is known of the host", {"200": _json(host, "the host")}, _ALWAYS, [_FORMAT]
            ),
        },
        "/v1/offers": {
            "post": _call(
                "What this host can give an attachment; nothing is changed",
                offered,
                _OFFERED,
                [_TIMEOUT],
                "OfferRequest",
            ),
        },
        "/v1/host/refresh": {
            "post": _call(
                "Read the host now: what hangs is left behind, marked as stale",
                {"200": _json(ref("HostFacts"), "the host as it is now")},
                (*_ALWAYS, errors.Stopping, errors.WaitTimeout),
                [_TIMEOUT],
            ),
        },
        "/v1/openapi.json": fact("This document", {"type": "object"}),
        "/v1/events": {"get": _call("What happens, as it happens", stream, busy, _STREAM)},
        "/metrics": {"get": _call("Metrics", metrics)},
    }


def _port_paths() -> dict[str, Any]:
    one = _json(ref("PortView"), "the port")
    accepted = _json(ref("PortView"), "accepted: it is on disk and will be done")
    listed = {"200": _json(ref("PortList"), "the ports")}
    put = {
        "200": _json(ref("PortView"), "the port is where its document wants it"),
        "201": _json(ref("PortView"), "the same, and the port is new"),
        "202": accepted,
    }
    gone = {"202": accepted, "204": {"description": "the port is gone, or never was"}}
    where = "the port is where its document wants it"
    return {
        "/v1/ports": {"get": _call("Ports of this host", listed, _ALWAYS, _FILTERS)},
        "/v1/ports/{port_id}": {
            "parameters": [_ID],
            "get": _call("One port, be it that it waits for a part", {"200": one},
                         _work(*_ADDRESSED), _wait("active", where)),
            "put": _call("Plug a port, or change it in place", put, _work(*_ALWAYS, *_BODY),
                         [*_wait("active", where), _TOKEN, _TAKING], "Attachment"),
            "delete": _call("Unplug a port", gone, _work(*_ALWAYS), _wait("gone", "it is gone")),
        },
        **_side_paths(put, gone, where),
        **_port_readings(one),
        **_port_work(one, accepted, where),
    }  # fmt: skip


def _side_paths(put: dict[str, Any], gone: dict[str, Any], where: str) -> dict[str, Any]:
    """What each side says of a port."""
    said = {"200": _json(ref("PartView"), "what it said")}

    def paths(whose: str, body: str, more: Schema) -> Schema:
        wait = _wait("active", f"{where}; both parts are waited for")
        return {
            "parameters": [_ID],
            "get": _call(f"What {whose} said of a port", said, _ADDRESSED),
            "put": _call(f"Say {whose}'s part of a port; the other one is left as it is", put,
                         _work(*_ALWAYS, *_BODY), [*wait, _OWNER, _REVISION, more], body),
            "delete": _call(f"Take {whose}'s part away: the port is unplugged, the other stays",
                            gone, _work(*_ALWAYS), [*_wait("gone", "it is gone"), _REVISION]),
        }  # fmt: skip

    good = {"200": _json(ref("Compared"), "how the list and this host differ")}
    codes = (*_ALWAYS, *_BODY, errors.GarbageLimit)
    compare = _call("Hold a side's list of its ports against what is here", good, codes, [],
                    "CompareRequest")  # fmt: skip
    return {
        "/v1/compute:compare": {"post": compare},
        "/v1/network:compare": {"post": compare},
        "/v1/ports/{port_id}/instance": paths("compute", "ComputePart", _TAKING),
        "/v1/ports/{port_id}/network": paths("the network service", "NetworkPart", _PREWIRE),
    }


def _port_readings(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "/v1/ports/{port_id}/check": {
            "parameters": [_ID],
            "post": _call("Read the port back now", {"200": one}, _work(*_ADDRESSED), [_TIMEOUT]),
        },
        "/v1/ports/{port_id}/explain": {
            "parameters": [_ID],
            "get": _call("Why the port works or does not: read it back, change and record nothing",
                         {"200": _json(ref("Explanation"), "the steps, and the first broken one")},
                         _EXPLAINED, [_READING]),
        },
        "/v1/ports/{port_id}/vif": {
            "parameters": [_ID],
            "get": _call("The port's VIF, also as os-vif reads it",
                         {"200": _json({"anyOf": [ref("Vif"), ref("VersionedObject")]}, "the VIF")},
                         (*_ADDRESSED, errors.NotPlugged, errors.NoCommonVersion), _VERSIONS),
        },
    }  # fmt: skip


def _port_work(one: dict[str, Any], accepted: dict[str, Any], where: str) -> dict[str, Any]:
    moved, addressed = {"200": one, "202": accepted}, _work(*_ADDRESSED)
    return {
        "/v1/ports/{port_id}/repair": {
            "parameters": [_ID],
            "post": _call("Give the port's running guest the device back that it lost",
                          {"200": _json(ref("RepairView"), "what came of it")}, addressed,
                          [_TIMEOUT]),
        },
        "/v1/ports/{port_id}/activate": {
            "parameters": [_ID],
            "post": _call("Open traffic", moved, addressed, _wait("active", where)),
        },
        "/v1/ports/{port_id}/deactivate": {
            "parameters": [_ID],
            "post": _call("Close traffic, keep the rest", moved, addressed,
                          _wait("inactive", where)),
        },
    }  # fmt: skip


def _guest_paths() -> dict[str, Any]:
    good = {"200": _json(ref("Prepared"), "the guest's ports, each with its error if it has one")}
    codes = _work(*_ALWAYS, *_BODY)
    summary = "Make sure that the devices of a guest that is about to start are there"
    call = _call(summary, good, codes, [_TIMEOUT], "PrepareRequest")
    return {"/v1/guests:prepare": {"post": call}}


def _garbage_paths() -> dict[str, Any]:
    """What belongs to no port, and what is to belong to one."""

    def post(summary: str, answer: str, body: str) -> Schema:
        good = {"200": _json(ref(answer), "what became of each")}
        made = _call(summary, good, _work(*_ALWAYS, *_BODY), [_TIMEOUT], body)
        made["requestBody"]["required"] = False
        return made

    found = {"200": _json(ref("GarbageView"), "what was found; nothing is removed")}
    taken = {
        "200": _json(ref("PortView"), "the port is taken over"),
        "201": _json(ref("PortView"), "the same"),
        "202": _json(ref("PortView"), "it was found, and will be taken over"),
    }
    left = {
        "202": _json(ref("PortView"), "accepted: it is on disk and will be done"),
        "204": {"description": "the port is given back; its device and switch port stay"},
    }
    release = _call("Give a port back in place: its traffic goes on, its record goes", left,
                    _work(*_ADDRESSED, *_BODY), _wait("gone", "it is given back"),
                    "ReleaseRequest")  # fmt: skip
    release["requestBody"]["required"] = False
    where = "the port is taken over and proven"
    return {
        "/v1/garbage": {
            "get": _call("Compare the host with the journal now", found, _work(*_ALWAYS),
                         [_TIMEOUT]),
            "post": post("Remove orphans", "CollectedView", "CollectRequest"),
        },
        "/v1/garbage/undo": {
            "post": post("Put removed orphans back", "RestoredView", "UndoRequest")
        },
        "/v1/ports/{port_id}/adopt": {
            "parameters": [_ID],
            "post": _call("Take over a port that somebody else plugged", taken,
                          _work(*_ADDRESSED, *_BODY), _wait("active", where), "Attachment"),
        },
        "/v1/ports/{port_id}/release": {"parameters": [_ID], "post": release},
    }  # fmt: skip


def _reconcile_paths() -> dict[str, Any]:
    shown = "what an upgrade would change of ports that pass traffic, and where that is"
    good = {"200": _json(ref("UpgradeView"), shown)}
    begun = {"202": _json(ref("UpgradeView"), "it begins, with one port")}
    return {
        "/v1/reconcile": {
            "get": _call("What an upgrade would change", good),
            "post": _call("Approve it", begun, (*_ALWAYS, *_BODY), [], "ApproveRequest"),
        }
    }


def _batch_paths() -> dict[str, Any]:
    def batch(summary: str, body: str, wait: list[Schema]) -> Schema:
        good = {
            "200": _json(ref("Batch"), "all done"),
            "202": _json(ref("Batch"), "all accepted"),
            "207": _json(ref("Batch"), "see the status and error of each item"),
        }
        return {"post": _call(summary, good, _work(*_ALWAYS, *_BODY), wait, body)}

    active = _wait("active", "every port is where its document wants it")
    return {
        "/v1/ports:plug": batch("Plug many ports", "PlugRequest", active),
        "/v1/ports:unplug": batch(
            "Unplug many ports", "UnplugRequest", _wait("gone", "all are gone")
        ),
    }
