"""What a caller sent, or may not send."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class BadDocument(VifError):
    """A document that cannot be read; ``facts.field`` is the path of the offending field."""

    code = "E_DOC_INVALID"
    reached = "a document or query with a field of the wrong type, range or form"
    klass = "document"
    http = 400
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    scope: ClassVar[Scope] = "request"
    template = "{field}: {problem}"
    remediation = "correct the named field; GET /v1/openapi.json describes every field"

    @classmethod
    def at_field(cls, field: str, problem: str, *, port: str = "") -> BadDocument:
        """The usual form: which field, and what is wrong with it."""
        # a key may be empty
        return cls(facts={"field": field or '""', "problem": problem}, stage="decode", port=port)


class UnreadTooLarge(BadDocument):
    """Fields that this daemon does not read are kept with a port, and these are too much."""

    code = "E_DOC_UNREAD"
    reached = "a document with more unknown fields than are kept of one, or of all on this host"
    reschedulable = True
    template = "{field}: {problem}"
    remediation = "leave out what vifd does not read; GET /v1/openapi.json describes every field"


class UnsupportedVersion(BadDocument):
    """A document in a version that this daemon does not speak."""

    code = "E_DOC_VERSION"
    reached = "a document with another major version"
    http = 406
    cni = 1
    template = "{field}: version {wanted} is not spoken here (have {have})"
    remediation = "send the document in one of the versions under facts.have"


class UnknownRequired(BadDocument):
    """A field under ``required`` that this daemon does not understand, so it may not ignore it."""

    code = "E_DOC_REQUIRED_UNKNOWN"
    reached = "a key under required that this version does not know"
    cni = 2
    reschedulable = True
    template = "{field}: this daemon does not know this requirement"
    remediation = "upgrade vifd on this host, or leave the field out of 'required'"


class Forbidden(VifError):
    """The peer's uid and gid give no right to this call."""

    code = "E_AUTH_FORBIDDEN"
    reached = "a call by a user that is neither admin nor reader"
    klass = "auth"
    http = 403
    cni = 4
    reschedulable = False
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "request"
    template = "uid {uid} may not {action}"
    remediation = "add the uid or gid to [api] admin_uids/admin_gids or reader_uids/reader_gids"


class NoSuchRoute(VifError):
    """There is no such resource or method in the API."""

    code = "E_API_NO_ROUTE"
    reached = "a path that does not exist"
    klass = "api"
    http = 404
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    scope: ClassVar[Scope] = "request"
    template = "{method} {path} is not part of this API"
    remediation = "GET /v1/openapi.json lists every call"


class MethodNotAllowed(NoSuchRoute):
    """The resource exists, the method on it does not."""

    code = "E_API_METHOD"
    reached = "a method that the resource does not have"
    http = 405


class BadHttp(NoSuchRoute):
    """The request is not proper HTTP, or its head is too large."""

    code = "E_API_HTTP"
    reached = "bytes that are no HTTP request, or too many headers"
    http = 400
    template = "{problem}"
    remediation = "use an HTTP/1.1 client library or vifctl"


class BodyTooLarge(NoSuchRoute):
    """The body is larger than the API accepts."""

    code = "E_API_BODY_SIZE"
    reached = "a body above the limit"
    http = 413
    template = "the body has more than {limit} bytes"
    remediation = "send fewer documents in one call"


class MediaTypeUnsupported(NoSuchRoute):
    """The body is not declared as JSON."""

    code = "E_API_MEDIA_TYPE"
    reached = "a body with another content type than JSON"
    http = 415
    template = "content type {have!r} is not accepted (wanted: {wanted})"
    remediation = "send the header Content-Type: application/json"


class Busy(VifError):
    """As many callers as the daemon serves are there already."""

    code = "E_API_BUSY"
    reached = "one more reader of the event stream, large body or connection than are served"
    klass = "api"
    http = 503
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "transient"
    scope: ClassVar[Scope] = "request"
    template = "{limit} {what} are served at a time, and are there already"
    remediation = "come again in a moment; close connections and streams that are not used"


class Stopping(VifError):
    """The daemon is on its way down."""

    code = "E_AGENT_STOPPING"
    reached = "a request while the daemon shuts down"
    klass = "agent"
    http = 503
    cni = 11
    retryable = True
    owner: ClassVar[Owner] = "transient"
    scope: ClassVar[Scope] = "host"
    template = "vifd on this host is stopping"
    remediation = "repeat the call once the daemon is back"
