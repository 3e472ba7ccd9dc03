"""What was counted of a port's frames."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress

import falcon

from vifd import errors
from vifd.api import query
from vifd.api.described import ADDRESSED, Call, Calls, good, timeout
from vifd.api.resource import Resource, answer, port_id_of
from vifd.model.counted import AllCounters, Counters

#: Seconds that a reading may take before the last one has to do.
DEFAULT_TIMEOUT = 5.0


class PortCounters(Resource):
    """``/v1/ports/{id}/counters``"""

    calls = Calls(
        get=Call(
            "Packets and bytes of the port that passed, and that were refused, by reason and "
            "direction, read now",
            {200: good("the sums; a note says why there is nothing, or nothing new", Counters)},
            (*ADDRESSED, errors.Stopping),
            [timeout(5, "seconds that reading the host may take; then the last one has to do")],
        )
    )

    def on_get(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        deadline = query.within(req, "counted", DEFAULT_TIMEOUT)
        answer(resp, 200, self._counted(port_id_of(port_id), deadline))

    def _counted(self, port_id: str, deadline: query.Deadline) -> Counters:
        future = self.backend.counting.ask(port_id)
        return _within(self, future, port_id, deadline)


class EveryCounter(Resource):
    """``/v1/counters``"""

    calls = Calls(
        get=Call(
            "The same of every port, by one reading of the host for each plugin",
            {200: good("a port whose note says so has nothing new", AllCounters)},
            (errors.Stopping,),
            [timeout(5, "seconds that reading the host may take; then the last one has to do")],
        )
    )

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        deadline = query.within(req, "counted", DEFAULT_TIMEOUT)
        found = []
        for port_id, future in self.backend.counting.everybody().items():
            with suppress(errors.PortNotFound):  # it went meanwhile
                found.append(_within(self, future, port_id, deadline))
        answer(resp, 200, AllCounters(ports=found))


def _within(
    asking: Resource, future: Future[Counters], port_id: str, deadline: query.Deadline
) -> Counters:
    try:
        return asking.waits.result(future, port_id, deadline)
    except errors.WaitTimeout:
        late = f"reading them took more than {deadline.seconds:g} s"
        return asking.backend.counting.recall(port_id, late)
