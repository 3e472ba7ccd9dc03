"""What is said of the daemon and its plugins."""

from __future__ import annotations

import falcon

from vifd import errors
from vifd.api import query
from vifd.api.body import expect_empty
from vifd.api.described import ALWAYS, FLAG, TEXT, TIMEOUT, Answer, Call, Calls, Shape, fields, good
from vifd.api.resource import Resource, answer
from vifd.plugin.inspection import Inspection

STATUS = Shape(
    "DaemonStatus",
    fields(
        {
            "live": {**FLAG, "description": "the daemon answers, and none of its threads is gone"},
            "ready": {**FLAG, "description": "ports can be plugged"},
            "version": TEXT,
            "plugins": {"description": "the state of each plugin"},
        },
        description="What the daemon says of itself.",
    ),
)

PLUGINS = Shape(
    "PluginList",
    fields(
        {
            "plugins": {
                "type": "array",
                "items": fields({"name": TEXT, "distribution": TEXT, "state": TEXT}),
            }
        },
        description="Every plugin found on this host, admitted or refused.",
    ),
)


class DaemonStatus(Resource):
    """``/v1/status``"""

    calls = Calls(
        get=Call(
            "Whether the daemon is live and ready",
            {200: good("Whether the daemon is live and ready", STATUS)},
        )
    )

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query.params(req, ())
        answer(resp, 200, self.backend.status())


class PluginList(Resource):
    """``/v1/plugins``"""

    calls = Calls(
        get=Call(
            "The plugins and why one is unavailable",
            {200: good("The plugins and why one is unavailable", PLUGINS)},
        )
    )

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query.params(req, ())
        answer(resp, 200, {"plugins": self.backend.plugins()})


class VerifyPlugin(Resource):
    """``/v1/plugins/{name}/verify``"""

    calls = Calls(
        post=Call(
            "Hold a plugin against its contract; no port is touched",
            {200: good("what was looked at", Inspection)},
            (
                *ALWAYS, errors.PluginMissing, errors.PluginRefused, errors.PluginUnhealthy,
                errors.Stopping, errors.WaitTimeout,
            ),
            [TIMEOUT],
        )
    )  # fmt: skip

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        deadline = query.within(req, "verified")
        expect_empty(req)
        answer(resp, 200, self.waits.result(self.backend.verify_plugin(name), "", deadline))


class Metrics(Resource):
    """``/metrics`` in the Prometheus text format."""

    calls = Calls(
        get=Call("Metrics", {200: Answer("the Prometheus text format", media="text/plain")})
    )

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query.params(req, ())
        resp.content_type = "text/plain; version=0.0.4; charset=utf-8"
        resp.data = self.backend.metrics()
