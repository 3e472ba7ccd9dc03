"""How a call of the API is described beside its code; the OpenAPI document is made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vifd import errors
from vifd.api import query

Schema = dict[str, Any]
#: What is made of the other schemas of the document, by name.
Derived = Callable[[dict[str, Schema]], Schema]

TEMPLATE = "#/components/schemas/{name}"


@dataclass(frozen=True, eq=False)
class Shape:
    """A JSON object that no class of ours stands for.

    :param name: of its schema in the document
    :param uses: classes that its schema refers to
    """

    name: str
    schema: Schema | Derived
    uses: tuple[type, ...] = ()


#: What a body is: a class, whose schema is generated, or a shape.
Kind = type | Shape


def ref(kind: Kind) -> Schema:
    """A reference to a schema of the document."""
    return {"$ref": TEMPLATE.format(name=kind.name if isinstance(kind, Shape) else kind.__name__)}


# --- schemas --------------------------------------------------------------------------------------

UUID_SCHEMA: Schema = {
    "type": "string",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    "minLength": 36,
    "maxLength": 36,
}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
ANY: Schema = {"type": "object"}


def fields(required: dict[str, Schema], **more: Any) -> Schema:
    """An object that has these fields."""
    return {"type": "object", "required": list(required), "properties": required, **more}


def only(optional: dict[str, Schema]) -> Schema:
    """An object that may have these fields and no other."""
    return {"type": "object", "properties": optional, "additionalProperties": False}


def many(name: str, items: Schema, most: int) -> Schema:
    """An object with one array of 1 to ``most`` items."""
    members = {"type": "array", "items": items, "minItems": 1, "maxItems": most}
    return fields({name: members}, additionalProperties=False)


# --- parameters -----------------------------------------------------------------------------------


def parameter(name: str, schema: Schema, description: str) -> Schema:
    """A parameter of the query string."""
    return {"name": name, "in": "query", "schema": schema, "description": description}


def header(name: str, schema: Schema, description: str) -> Schema:
    """A header of the request."""
    return {"name": name, "in": "header", "schema": schema, "description": description}


def in_path(name: str, schema: Schema, description: str) -> Schema:
    """A part of the path."""
    where = {"name": name, "in": "path", "required": True}
    return {**where, "schema": schema, "description": description}


def timeout(default: float, description: str) -> Schema:
    """The seconds that an answer may take."""
    most = {"minimum": 0, "maximum": query.MAX_TIMEOUT}
    return parameter("timeout", {"type": "number", **most, "default": default}, description)


TIMEOUT = timeout(30, "seconds to wait")


def wait(wanted: str, meaning: str, *, sooner: str = "") -> tuple[Schema, ...]:
    """``?wait=…&timeout=…``

    :param sooner: what may be waited for instead; empty for nothing
    """
    known = [sooner, wanted] if sooner else [wanted]
    return parameter("wait", {"enum": known}, f"answer once {meaning}"), TIMEOUT


# --- answers --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """A good answer.

    :param kinds: what its body is one of
    :param media: its type, where it is not JSON; empty for no body
    :param schema: of a body that needs no name
    """

    description: str
    kinds: tuple[Kind, ...] = ()
    media: str = "application/json"
    schema: Schema | None = None


def good(description: str, *kinds: Kind) -> Answer:
    """A good answer in JSON."""
    return Answer(description, kinds)


Errors = tuple[type[errors.VifError], ...]

#: Codes that every call may be answered with.
ALWAYS: Errors = (errors.BadHttp, errors.BadDocument, errors.Forbidden, errors.InternalError)
#: Those of a call about one port.
ADDRESSED: Errors = (*ALWAYS, errors.PortNotFound)
#: Those of a call with a body, besides.
BODY: Errors = (
    errors.UnsupportedVersion, errors.UnknownRequired, errors.UnreadTooLarge, errors.BodyTooLarge,
    errors.MediaTypeUnsupported, errors.Busy,
)  # fmt: skip

WHERE_WANTED = "the port is where its document wants it"
ACCEPTED = "accepted: it is on disk and will be done"


@dataclass(frozen=True)
class Call:
    """One verb on one path.

    :param answers: the good ones, by HTTP status
    :param codes: the errors that it may be answered with
    :param works: besides, every error that work on the host can end in
    :param body: what is sent
    :param required: whether that must be sent
    """

    summary: str
    answers: Mapping[int, Answer]
    codes: Errors = ALWAYS
    parameters: Iterable[Schema] = ()
    body: Kind | None = None
    required: bool = True
    works: bool = False

    def kinds(self) -> Iterable[Kind]:
        """Everything that it refers to."""
        for each in self.answers.values():
            yield from each.kinds
        if self.body is not None:
            yield self.body


@dataclass(frozen=True, kw_only=True)
class Calls:
    """What is said of each verb of a resource."""

    get: Call | None = None
    put: Call | None = None
    post: Call | None = None
    patch: Call | None = None
    delete: Call | None = None

    def by_method(self) -> dict[str, Call]:
        """The verbs that there are."""
        return {name: call for name, call in vars(self).items() if call is not None}
