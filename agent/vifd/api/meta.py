"""What is said of the daemon and the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import falcon

from vifd.api import query
from vifd.api.backend import Backend
from vifd.api.body import expect_empty
from vifd.api.ports import Resource, answer


class Fact:
    """A resource that is read and takes no parameters."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self.read = read

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query.params(req, ())
        answer(resp, 200, self.read())


class VerifyPlugin(Resource):
    """``/v1/plugins/{name}/verify``"""

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        given = query.params(req, ("timeout",))
        timeout = query.seconds(given["timeout"]) if given else query.DEFAULT_TIMEOUT
        expect_empty(req)
        future = self.backend.verify_plugin(name)
        answer(resp, 200, self.waits.result(future, "", query.Deadline("verified", timeout)))


class Metrics:
    """``/metrics`` in the Prometheus text format."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query.params(req, ())
        resp.content_type = "text/plain; version=0.0.4; charset=utf-8"
        resp.data = self.backend.metrics()
