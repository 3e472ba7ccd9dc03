"""The schemas of the OpenAPI document. Generated from the classes wherever there is one."""

from __future__ import annotations

from typing import Any

import msgspec

from vifd.api.batch import MAX_PORTS, Batch
from vifd.api.garbage import MAX_ID, MAX_IDS
from vifd.api.guests import PrepareRequest, RepairView
from vifd.api.sides import PartView
from vifd.api.view import PortView
from vifd.capabilities.view import InventoryView
from vifd.explain import Explanation
from vifd.garbage.view import CollectedView, GarbageView, RestoredView
from vifd.guests import Prepared
from vifd.model import Attachment, ComputeSaid, Phase
from vifd.model.comparison import Compared
from vifd.model.event import Event
from vifd.negotiation import Acceptable, Offer
from vifd.plugin.inspection import Inspection
from vifd.upgrade.view import UpgradeView

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
        "live": {**_FLAG, "description": "the daemon answers, and none of its threads is gone"},
        "ready": {**_FLAG, "description": "ports can be plugged"},
        "version": _TEXT,
        "plugins": {"description": "the state of each plugin"},
    },
    description="What the daemon says of itself.",
)

VERSIONED_OBJECT = _object(
    {
        "versioned_object.name": _TEXT,
        "versioned_object.namespace": {"const": "os_vif"},
        "versioned_object.version": _TEXT,
        "versioned_object.data": {"type": "object"},
    },
    description="An object of os-vif, as os-vif serialises it.",
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

_UPLINKS: Schema = {
    "type": "object",
    "additionalProperties": _object(
        {
            "device": {**_TEXT, "description": "the bridge or interface it is mapped to"},
            "up": {"type": ["boolean", "null"], "description": "null where it cannot be read"},
            "mtu": {"type": ["integer", "null"], "description": "the largest of a network on it"},
            "local_ip": _TEXT,
            "devices": {"type": "array", "items": _TEXT},
            "problem": _TEXT,
        }
    ),
}

HOST_FACTS = _object(
    {
        "host": _TEXT,
        "kernel": _TEXT,
        "machine": _TEXT,
        "inventory": ref("InventoryView"),
        "plugins": {
            "type": "object",
            "additionalProperties": _object(
                {
                    "state": {"enum": ["ready", "degraded", "unavailable"]},
                    "reasons": {
                        "type": "array", "items": _TEXT,
                        "description": "what it lacks, and how to get it",
                    },
                    "physical_networks": _UPLINKS,
                    "tunnels": _UPLINKS,
                    "facts": {"type": "object"},
                }
            ),
        },
    },
    description="What is known of the host.",
)  # fmt: skip


_IDS: Schema = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": MAX_ID},
    "minItems": 1,
    "maxItems": MAX_IDS,
}

COLLECT = {
    "type": "object",
    "properties": {
        "ids": {**_IDS, "description": "which orphans; all that are ripe by default"},
        "force": {**_FLAG, "default": False,
                  "description": "beyond the limits, and although a journal was lost"},
    },
    "additionalProperties": False,
}  # fmt: skip

COMPARE = {
    "type": "object",
    "required": ["ids"],
    "properties": {
        "ids": {"type": "array", "items": UUID_SCHEMA, "maxItems": MAX_PORTS, "uniqueItems": True},
        "owner": {"type": ["string", "null"], "description": "only parts of this owner"},
        "remove": {**_FLAG, "default": False, "description": "take the stale parts away"},
        "force": {**_FLAG, "default": False, "description": "beyond the limits of [garbage]"},
    },
    "additionalProperties": False,
}

RELEASE = {
    "type": "object",
    "properties": {
        "force": {**_FLAG, "default": False,
                  "description": "although vifd made the port, or nobody else passes its frames"},
    },
    "additionalProperties": False,
}  # fmt: skip

UNDO = {
    "type": "object",
    "properties": {"ids": {**_IDS, "description": "which ones; the last one by default"}},
    "additionalProperties": False,
}

#: The body that lets an upgrade begin.
APPROVE: Schema = {
    "type": "object",
    "required": ["approve"],
    "properties": {"approve": {"const": True}},
    "additionalProperties": False,
}


def port_list() -> Schema:
    """Ports, whole or with the fields that were asked for."""
    return _object({"ports": {"type": "array", "items": {"anyOf": [ref("PortView"), _fields()]}}})


def _fields() -> Schema:
    names = {"enum": list(PortView.__struct_fields__)}
    return {"type": "object", "propertyNames": names, "description": "with ?fields="}


def _list_of(name: str, items: Schema) -> Schema:
    members = {"type": "array", "items": items, "minItems": 1, "maxItems": MAX_PORTS}
    return _object({name: members}, additionalProperties=False)


def plug_request() -> Schema:
    """Documents, and the tokens of those that have one."""
    request = _list_of("ports", ref("Attachment"))
    tokens = {"type": "object", "propertyNames": UUID_SCHEMA, "additionalProperties": _TEXT}
    request["properties"]["tokens"] = {**tokens, "description": "by port, the token of an offer"}
    return request


def offer_request() -> Schema:
    """An attachment without a choice, and what the network side takes."""
    request = _object({"attachment": ref("Attachment")}, additionalProperties=False)
    request["properties"]["acceptable"] = {
        "type": ["array", "null"], "items": ref("Acceptable"), "minItems": 1, "maxItems": 256,
        "description": "what the network side takes, in its order; without it, everything",
    }  # fmt: skip
    request["properties"]["contract_version"] = {
        "type": ["string", "null"],
        "description": "of the offer; without it, the highest",
    }
    return request


def components() -> dict[str, Schema]:
    """All schemas by name."""
    _, made = msgspec.json.schema_components(
        [
            Attachment,
            ComputeSaid,
            PortView,
            PartView,
            Compared,
            Batch,
            CollectedView,
            Event,
            GarbageView,
            RestoredView,
            UpgradeView,
            Explanation,
            Acceptable,
            Inspection,
            InventoryView,
            Offer,
            Phase,
            PrepareRequest,
            Prepared,
            RepairView,
        ],
        ref_template=_TEMPLATE,
        schema_hook=lambda _: {"description": "any value"},
    )
    made["CollectRequest"] = COLLECT
    made["CompareRequest"] = COMPARE
    made["UndoRequest"] = UNDO
    made["ReleaseRequest"] = RELEASE
    made["ApproveRequest"] = APPROVE
    made["Attachment"]["properties"]["version"] = {"enum": ["1.0"]}
    made["ComputePart"] = made.pop("ComputeSaid")
    made["ComputePart"]["properties"]["version"] = {"enum": ["1.0"]}
    return {
        **made,
        "NetworkPart": {**made["Attachment"], "not": {"required": ["instance"]}},
        "Error": ERROR,
        "DaemonStatus": STATUS,
        "PluginList": PLUGIN_LIST,
        "HostFacts": HOST_FACTS,
        "PortList": port_list(),
        "PlugRequest": plug_request(),
        "OfferRequest": offer_request(),
        "VersionedObject": VERSIONED_OBJECT,
        "UnplugRequest": _list_of("ids", UUID_SCHEMA),
    }
