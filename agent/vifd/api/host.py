"""What the host can do."""

from __future__ import annotations

import falcon

from vifd.api import osvif, query
from vifd.api.body import expect_empty
from vifd.api.ports import Resource, answer


class Host(Resource):
    """``/v1/host``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        theirs = osvif.chosen_format(query.params(req, ("format",)))
        answer(resp, 200, self.backend.host_info() if theirs else self.backend.host())


class Refresh(Resource):
    """``/v1/host/refresh``"""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        given = query.params(req, ("timeout",))
        timeout = query.seconds(given["timeout"]) if given else query.DEFAULT_TIMEOUT
        expect_empty(req)
        future = self.backend.refresh_host()
        answer(resp, 200, self.waits.result(future, "", query.Deadline("refreshed", timeout)))
