"""The API as a WSGI application."""

from __future__ import annotations

import logging
import re
import time
import uuid

import falcon

from vifd import errors
from vifd.api import resource
from vifd.api.auth import Access, Peer, Policy, permits
from vifd.api.backend import Backend
from vifd.api.bodies import Bodies
from vifd.api.body import expect_empty
from vifd.api.feed import KEEP_ALIVE, Feed
from vifd.api.hub import Hub
from vifd.api.resource import Context
from vifd.api.routes import ROUTES
from vifd.api.waits import Waits

LOG = logging.getLogger(__name__)

#: Where the server puts the :class:`~vifd.api.auth.Peer` of the connection.
PEER = "vifd.peer"

#: Methods that take no body on any path: what comes with them is judged all the same.
BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})

_request_id = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Api:
    """The application and what must be stopped with it.

    :ivar wsgi: the WSGI application
    """

    def __init__(
        self, hub: Hub, backend: Backend, policy: Policy, keep_alive: float = KEEP_ALIVE
    ) -> None:
        self._policy = policy
        self.waits = Waits(hub, backend)
        self.feed = Feed(hub, backend)
        self.bodies = Bodies(hub)
        self.wsgi = falcon.App(middleware=[self])
        self.wsgi.add_error_handler(Exception, _unexpected)
        self.wsgi.add_error_handler(falcon.HTTPError, _http_error)
        self.wsgi.add_error_handler(errors.VifError, _refused)
        context = Context(backend, self.waits, self.feed, keep_alive)
        for route, made in ROUTES.items():
            self.wsgi.add_route(route, made(context))

    @property
    def policy(self) -> Policy:
        """Who may do what. Another one is in force at once, also for streams that are open."""
        return self._policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self._policy = policy
        self.feed.look_again()

    def stop(self) -> None:
        """End event streams and answer those who wait."""
        self.feed.stop()
        self.waits.stop()
        self.bodies.stop()

    # --- falcon middleware ------------------------------------------------------------------------

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Name the request and admit the peer, before anything of it is looked at."""
        given = req.env.get("HTTP_X_REQUEST_ID")
        valid = given is not None and _request_id.fullmatch(given)
        req.context.request_id = given if valid else f"req-{uuid.uuid4()}"
        req.context.started = time.perf_counter()
        resp.set_header("X-Request-ID", req.context.request_id)
        peer: Peer | None = req.env.get(PEER)
        access = self.policy.access(peer) if peer else Access.NONE
        req.context.allowed = lambda: permits(
            self.policy.access(peer) if peer else Access.NONE, req.method, req.path
        )
        req.context.bodies, req.context.access = self.bodies, access
        if not permits(access, req.method, req.path):
            raise _forbidden(req, peer or Peer(-1, -1), access)
        if req.method in BODILESS:
            expect_empty(req)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """The access log."""
        if LOG.isEnabledFor(logging.DEBUG):
            peer = req.env.get(PEER)
            LOG.debug(
                "%s %s -> %s in %.1f ms (uid %s, pid %s, %s)",
                req.method,
                _printable(req.relative_uri),
                resp.status_code,
                (time.perf_counter() - req.context.started) * 1000,
                peer.uid if peer else "?",
                peer.pid if peer else "?",
                req.context.request_id,
            )


def _printable(text: str) -> str:
    """A path as it may stand in a log line."""
    return ascii(text)[1:-1][:256]


def _forbidden(req: falcon.Request, peer: Peer, access: Access) -> errors.Forbidden:
    path = _printable(req.path)
    LOG.warning(
        "refused: uid %d gid %d pid %d (%s) may not %s %s [%s]",
        peer.uid, peer.gid, peer.pid, access, req.method, path, req.context.request_id,
    )  # fmt: skip
    facts = {"uid": peer.uid, "gid": peer.gid, "access": access, "action": f"{req.method} {path}"}
    return errors.Forbidden(facts=facts, stage="authorise")


# --- errors ---------------------------------------------------------------------------------------


def _refused(
    req: falcon.Request, resp: falcon.Response, error: errors.VifError, _params: object
) -> None:
    """A coded error is its own answer."""
    if error.retry_after is not None:
        resp.set_header("Retry-After", str(max(1, round(error.retry_after))))
    if isinstance(error, errors.InternalError):
        LOG.error("%s %s [%s]", req.method, req.path, req.context.request_id, exc_info=error)
    resource.answer(resp, error.http, error.to_dict())


def _http_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: object
) -> None:
    """What falcon itself refuses: unknown routes and methods, malformed requests."""
    facts = {"method": req.method[:16], "path": _printable(req.path)}
    known: errors.VifError
    if error.status_code == 404:
        known = errors.NoSuchRoute(facts=facts)
    elif error.status_code == 405:
        known = errors.MethodNotAllowed(facts=facts)
        resp.set_headers(error.headers or {})
    else:
        known = errors.BadHttp(facts={"problem": error.title or "malformed request"})
    _refused(req, resp, known, params)


def _unexpected(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: object
) -> None:
    """A defect: logged once with its traceback, answered without it."""
    _refused(req, resp, errors.wrap(error, stage="api"), params)
