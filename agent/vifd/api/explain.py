"""Why a port works, or does not."""

from __future__ import annotations

import falcon

from vifd import errors
from vifd.api import query
from vifd.api.described import ADDRESSED, Call, Calls, good, timeout
from vifd.api.resource import Resource, answer, port_id_of
from vifd.explain import Explanation

#: Seconds that a reading may take before the last report has to do.
DEFAULT_TIMEOUT = 10.0


class Explain(Resource):
    """``/v1/ports/{id}/explain``"""

    calls = Calls(
        get=Call(
            "Why the port works or does not: read it back, change and record nothing",
            {200: good("the steps, and the first broken one", Explanation)},
            (*ADDRESSED, errors.Stopping),
            [timeout(10, "seconds that reading the host may take; then the last report has to do")],
        )
    )

    def on_get(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        deadline = query.within(req, "explained", DEFAULT_TIMEOUT)
        answer(resp, 200, self._explained(port_id_of(port_id), deadline))

    def _explained(self, port_id: str, deadline: query.Deadline) -> Explanation:
        """An answer in time is worth more than a fresh one."""
        future = self.backend.explainer.explain(port_id)
        try:
            return self.waits.result(future, port_id, deadline)
        except errors.WaitTimeout:
            late = f"its plugin was busy with something else for {deadline.seconds:g} s"
            return self.backend.explainer.recall(port_id, late)
