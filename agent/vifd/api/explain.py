"""Why a port works, or does not."""

from __future__ import annotations

import falcon

from vifd import errors
from vifd.api import query
from vifd.api.ports import Resource, answer, port_id_of
from vifd.explain import Explanation

#: Seconds that a reading may take before the last report has to do.
DEFAULT_TIMEOUT = 10.0


class Explain(Resource):
    """``/v1/ports/{id}/explain``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        given = query.params(req, ("timeout",))
        timeout = query.seconds(given["timeout"]) if given else DEFAULT_TIMEOUT
        answer(resp, 200, self._explained(port_id_of(port_id), timeout))

    def _explained(self, port_id: str, timeout: float) -> Explanation:
        """An answer in time is worth more than a fresh one."""
        future = self.backend.explain(port_id)
        try:
            return self.waits.result(future, port_id, query.Deadline("explained", timeout))
        except errors.WaitTimeout:
            late = f"its plugin was busy with something else for {timeout:g} s"
            return self.backend.recall(port_id, late)
