"""The OpenAPI 3.1 document, made from what stands beside each call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

import vifd
from vifd import errors
from vifd.api.described import (
    FLAG,
    TEMPLATE,
    TEXT,
    UUID_SCHEMA,
    Answer,
    Call,
    Calls,
    Kind,
    Schema,
    Shape,
    fields,
    header,
    in_path,
    ref,
)
from vifd.model import Attachment

#: Classes of errors that are about the call; with all others the daemon's work can end.
_CALL = ("document", "auth", "api", "internal")

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
#: What stands in braces in a path.
PLACEHOLDERS: Mapping[str, Schema] = {
    "port_id": in_path("port_id", UUID_SCHEMA, "the port's id"),
    "set_id": in_path("set_id", UUID_SCHEMA, "the set's id; of forwarding, the network's"),
    "name": in_path("name", TEXT, "the plugin's name"),
    "number": in_path("number", TEXT, "the migration's number"),
}
_REQUEST_ID = header(
    "X-Request-ID", TEXT,
    "names the request in answers and logs (up to 64 letters, digits and ._:-); "
    "without a usable one the daemon makes one up",
)  # fmt: skip

_ERROR = Shape(
    "Error",
    fields(
        {
            "schema": {"const": 1},
            "code": {**TEXT, "description": "stable; what scripts should look at"},
            "class": TEXT,
            "stage": {**TEXT, "description": "the step that failed"},
            "port": {"type": ["string", "null"]},
            "host": TEXT,
            "message": {**TEXT, "description": "one sentence for people"},
            "facts": {"type": "object", "description": "what was wanted and what was there"},
            "remediation": {**TEXT, "description": "what mends it"},
            "retryable": {**FLAG, "description": "this host may succeed later"},
            "retry_after": {"type": ["number", "null"], "description": "seconds"},
            "reschedulable": {**FLAG, "description": "another host may succeed"},
            "scope": {"enum": ["request", "port", "host", "plugin"]},
            "owner": {"enum": ["user", "operator", "host", "backend", "transient"]},
            "candidates": {"type": "array", "items": {"$ref": TEMPLATE.format(name="Error")}},
            "cause": {"type": "array", "items": TEXT},
        },
        description="Why something was refused or failed.",
    ),
)

Paths = Mapping[str, Calls]


def document(paths: Paths) -> dict[str, Any]:
    """The whole document. Plugins may bring codes of their own, so it is made from those known.

    :param paths: the calls by path and method
    """
    calls = [call for found in paths.values() for call in found.by_method().values()]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vifd",
            "version": vifd.__version__,
            "summary": "The per-host VIF daemon",
            "description": "HTTP over a unix socket; admission by the peer's uid and gids.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {path: _path(path, found) for path, found in paths.items()},
        "components": {"schemas": _components(calls)},
    }


def _path(path: str, calls: Calls) -> Schema:
    made: Schema = {method: _call(call) for method, call in calls.by_method().items()}
    if named := [PLACEHOLDERS[name] for name in _PLACEHOLDER.findall(path)]:
        made["parameters"] = named
    return made


def _call(call: Call) -> Schema:
    codes = [*call.codes, *(_work() if call.works else ())]
    made: Schema = {
        "summary": call.summary,
        "parameters": [*call.parameters, _REQUEST_ID],
        "responses": {
            **{str(status): _answer(each) for status, each in call.answers.items()},
            **_refusals(codes),
            "default": _json(ref(_ERROR), "E_API_HTTP, E_API_METHOD, E_API_NO_ROUTE"),
        },
    }
    if call.body is not None:
        content = {"application/json": {"schema": ref(call.body)}}
        made["requestBody"] = {"required": call.required, "content": content}
    return made


def _answer(found: Answer) -> Schema:
    if found.media == "application/json":
        schemas = [ref(kind) for kind in found.kinds]
        one = found.schema or (schemas[0] if len(schemas) == 1 else {"anyOf": schemas})
        return _json(one, found.description)
    content = {"content": {found.media: {"schema": TEXT}}} if found.media else {}
    return {"description": found.description, **content}


def _json(schema: Schema, description: str) -> Schema:
    headers = {"X-Request-ID": {"schema": TEXT}}
    content = {"application/json": {"schema": schema}}
    return {"description": description, "headers": headers, "content": content}


def _work() -> list[type[errors.VifError]]:
    return [kind for kind in errors.all_codes().values() if kind.klass not in _CALL]


def _refusals(codes: Iterable[type[errors.VifError]]) -> dict[str, Schema]:
    """One answer per HTTP status, with every code that comes under it."""
    by_status: dict[int, set[str]] = {}
    for kind in codes:
        by_status.setdefault(kind.http, set()).add(kind.code)
    made = {}
    for status, names in sorted(by_status.items()):
        code = {"properties": {"code": {"enum": sorted(names)}}}
        made[str(status)] = _json({"allOf": [ref(_ERROR), code]}, ", ".join(sorted(names)))
    return made


def _components(calls: Iterable[Call]) -> dict[str, Schema]:
    """All schemas by name: of each class and shape that a call refers to."""
    kinds: dict[Kind, None] = {Attachment: None, _ERROR: None}
    for call in calls:
        kinds.update(dict.fromkeys(call.kinds()))
    shapes = [kind for kind in kinds if isinstance(kind, Shape)]
    classes = [kind for kind in kinds if not isinstance(kind, Shape)]
    used = [kind for shape in shapes for kind in shape.uses]
    _, made = msgspec.json.schema_components(
        list(dict.fromkeys([*classes, *used])),
        ref_template=TEMPLATE,
        schema_hook=lambda _: {"description": "any value"},
    )
    # defaults that are tuples are arrays
    made = msgspec.json.decode(msgspec.json.encode(made), type=dict[str, Schema])
    made["Attachment"]["properties"]["version"] = {"enum": ["1.0"]}
    for shape in shapes:
        made[shape.name] = shape.schema(made) if callable(shape.schema) else shape.schema
    return made
