"""Guests: made ready for before they start, and given back what they lost."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import falcon
from msgspec import Meta, Struct

from vifd.api import query
from vifd.api.body import convert, expect_empty, read_json
from vifd.api.described import ADDRESSED, ALWAYS, BODY, TIMEOUT, Call, Calls, good
from vifd.api.resource import Resource, answer, port_id_of
from vifd.api.view import PortView
from vifd.guests import Prepared
from vifd.hypervisor import GuestInterface

#: Seconds by which an answer about a guest may be later than the time that its ports were given.
_MARGIN = 5.0

_Name = Annotated[str, Meta(max_length=4096)]


class AskedInterface(Struct, frozen=True, forbid_unknown_fields=True):
    """An interface of a guest, as its definition has it; what it does not have is left out.

    :param device: the host's end: a device's name, or a vhost-user socket's path
    :param port: the port's id
    """

    device: _Name = ""
    port: _Name = ""
    mac: _Name = ""


class PrepareRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A guest that is about to start.

    :param guest: its UUID or name, for logs
    """

    guest: _Name
    interfaces: Annotated[list[AskedInterface], Meta(max_length=1000)]


class RepairView(Struct, frozen=True):
    """What came of a repair.

    :param port: the port as read back afterwards
    :param done: whether the guest's interface was taken out and put back
    :param text: one sentence for people
    :param seconds: how long it took
    """

    port: PortView
    done: bool
    text: str
    guest: str
    device: str
    seconds: float


class Prepare(Resource):
    """``/v1/guests:prepare``"""

    calls = Calls(
        post=Call(
            "Make sure that the devices of a guest that is about to start are there",
            {200: good("the guest's ports, each with its error if it has one", Prepared)},
            (*ALWAYS, *BODY),
            [TIMEOUT],
            PrepareRequest,
            works=True,
        )
    )

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        timeout = query.within(req, "").seconds
        asked = read_json(req, partial(convert, kind=PrepareRequest))
        interfaces = [
            GuestInterface(i.device, asked.guest, mac=i.mac.lower(), port=i.port.lower())
            for i in asked.interfaces
        ]
        request_id = req.context.request_id
        future = self.backend.guests.prepare(asked.guest, interfaces, request_id, timeout)
        deadline = query.Deadline("prepared", timeout + _MARGIN)
        done: Prepared = self.waits.result(future, "", deadline)
        answer(resp, 200, done)


class Repair(Resource):
    """``/v1/ports/{id}/repair``"""

    calls = Calls(
        post=Call(
            "Give the port's running guest the device back that it lost",
            {200: good("what came of it", RepairView)},
            ADDRESSED,
            [TIMEOUT],
            works=True,
        )
    )

    def on_post(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        timeout = query.within(req, "").seconds
        expect_empty(req)
        port_id = port_id_of(port_id)
        future = self.backend.guests.repair(port_id, req.context.request_id, timeout)
        # Putting an interface back is tried for a while, whatever the caller's time.
        done = self.waits.result(future, port_id, query.Deadline("repaired", timeout + 20.0))
        shown: dict[str, Any] = {f: getattr(done, f) for f in RepairView.__struct_fields__}
        answer(resp, 200, RepairView(**{**shown, "port": self.shown(done.port)}))
