"""What the host can do."""

from __future__ import annotations

import falcon

from vifd import errors
from vifd.api import osvif, query
from vifd.api.body import expect_empty
from vifd.api.described import (
    ALWAYS,
    TEXT,
    TIMEOUT,
    Call,
    Calls,
    Schema,
    Shape,
    fields,
    good,
    ref,
)
from vifd.api.resource import Resource, answer
from vifd.capabilities.view import InventoryView

_UPLINKS: Schema = {
    "type": "object",
    "additionalProperties": fields(
        {
            "device": {**TEXT, "description": "the bridge or interface it is mapped to"},
            "up": {"type": ["boolean", "null"], "description": "null where it cannot be read"},
            "mtu": {"type": ["integer", "null"], "description": "the largest of a network on it"},
            "local_ip": TEXT,
            "devices": {"type": "array", "items": TEXT},
            "problem": TEXT,
        }
    ),
}

FACTS = Shape(
    "HostFacts",
    fields(
        {
            "host": TEXT,
            "kernel": TEXT,
            "machine": TEXT,
            "inventory": ref(InventoryView),
            "plugins": {
                "type": "object",
                "additionalProperties": fields(
                    {
                        "state": {"enum": ["ready", "degraded", "unavailable"]},
                        "reasons": {
                            "type": "array", "items": TEXT,
                            "description": "what it lacks, and how to get it",
                        },
                        "physical_networks": _UPLINKS,
                        "tunnels": _UPLINKS,
                        "facts": {"type": "object"},
                    }
                ),
            },
        },
        description="What is known of the host.",
    ),
    uses=(InventoryView,),
)  # fmt: skip


class Host(Resource):
    """``/v1/host``"""

    calls = Calls(
        get=Call(
            "What is known of the host",
            {200: good("the host", FACTS, osvif.OBJECT)},
            ALWAYS,
            [osvif.FORMAT_ASKED],
        )
    )

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        theirs = osvif.chosen_format(query.params(req, ("format",)))
        answer(resp, 200, self.backend.offers.host_info() if theirs else self.backend.host.show())


class Refresh(Resource):
    """``/v1/host/refresh``"""

    calls = Calls(
        post=Call(
            "Read the host now: what hangs is left behind, marked as stale",
            {200: good("the host as it is now", FACTS)},
            (*ALWAYS, errors.Stopping, errors.WaitTimeout),
            [TIMEOUT],
        )
    )

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        deadline = query.within(req, "refreshed")
        expect_empty(req)
        answer(resp, 200, self.waits.result(self.backend.host.refresh(), "", deadline))
