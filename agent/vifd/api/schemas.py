"""The schemas of the OpenAPI document. Generated from the classes wherever there is one."""

from __future__ import annotations

from typing import Any

import msgspec

from vifd.api.batch import MAX_PORTS, Batch
from vifd.api.view import PortView
from vifd.inspection import Inspection
from vifd.model import Attachment, Phase
from vifd.ticket import Event

Schema = dict[str, Any]

_TEMPLATE = "#/components/schemas/{name}"

UUID_SCHEMA: Schema = {
    "type": "string",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    "minLength": 36,
    "maxLength": 36,
}
_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}


def ref(name: str) -> Schema:
    """A reference to a component."""
    return {"$ref": _TEMPLATE.format(name=name)}


def _object(required: dict[str, Schema], **more: Any) -> Schema:
    return {"type": "object", "required": list(required), "properties": required, **more}


ERROR = _object(
    {
        "schema": {"const": 1},
        "code": {**_TEXT, "description": "stable; what scripts should look at"},
        "class": _TEXT,
        "stage": {**_TEXT, "description": "the step that failed"},
        "port": {"type": ["string", "null"]},
        "host": _TEXT,
        "message": {**_TEXT, "description": "one sentence for people"},
        "facts": {"type": "object", "description": "what was wanted and what was there"},
        "remediation": {**_TEXT, "description": "what mends it"},
        "retryable": {**_FLAG, "description": "this host may succeed later"},
        "retry_after": {"type": ["number", "null"], "description": "seconds"},
        "reschedulable": {**_FLAG, "description": "another host may succeed"},
        "scope": {"enum": ["request", "port", "host", "plugin"]},
        "owner": {"enum": ["user", "operator", "host", "backend", "transient"]},
        "candidates": {"type": "array", "items": {"$ref": _TEMPLATE.format(name="Error")}},
        "cause": {"type": "array", "items": _TEXT},
    },
    description="Why something was refused or failed.",
)

STATUS = _object(
    {
        "live": {**_FLAG, "description": "the daemon answers"},
        "ready": {**_FLAG, "description": "ports can be plugged"},
        "version": _TEXT,
        "plugins": {"description": "the state of each plugin"},
    },
    description="What the daemon says of itself.",
)

PLUGIN_LIST = _object(
    {
        "plugins": {
            "type": "array",
            "items": _object({"name": _TEXT, "distribution": _TEXT, "state": _TEXT}),
        }
    },
    description="Every plugin found on this host, admitted or refused.",
)


def port_list() -> Schema:
    """Ports, whole or with the fields that were asked for."""
    return _object({"ports": {"type": "array", "items": {"anyOf": [ref("PortView"), _fields()]}}})


def _fields() -> Schema:
    names = {"enum": list(PortView.__struct_fields__)}
    return {"type": "object", "propertyNames": names, "description": "with ?fields="}


def _list_of(name: str, items: Schema) -> Schema:
    members = {"type": "array", "items": items, "minItems": 1, "maxItems": MAX_PORTS}
    return _object({name: members}, additionalProperties=False)


def components() -> dict[str, Schema]:
    """All schemas by name."""
    _, made = msgspec.json.schema_components(
        [Attachment, PortView, Batch, Event, Inspection, Phase],
        ref_template=_TEMPLATE,
        schema_hook=lambda _: {"description": "any value"},
    )
    made["Attachment"]["properties"]["version"] = {"enum": ["1.0"]}
    return {
        **made,
        "Error": ERROR,
        "DaemonStatus": STATUS,
        "PluginList": PLUGIN_LIST,
        "HostFacts": {"type": "object", "description": "What is known of the host."},
        "PortList": port_list(),
        "PlugRequest": _list_of("ports", ref("Attachment")),
        "UnplugRequest": _list_of("ids", UUID_SCHEMA),
    }
