"""What the engine calls of those who stand above it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vifd.capabilities.inventory import Inventory
from vifd.engine import notifications
from vifd.engine.decision import Request
from vifd.model import Document, Evidence, PortRecord
from vifd.model.lifecycle import Step
from vifd.store import Outgoing, Records


@dataclass
class Hooks:
    """Given to the engine as a whole and once: by :mod:`vifd.daemon.wiring` in the daemon.

    :param statuses: what the network service shall hear of changed records
    :param outbox_changed: called when the outbox has something new
    :param awaited: called when somebody uses a port of which the network service has said nothing
    :param wake: called when :meth:`Engine.tick` has something to do earlier than it said
    :param on_tick: called with every :meth:`Engine.tick`
    :param health_changed: called when a plugin's probe answers something else
    :param inventory: the capabilities of the host; from memory
    :param extra_evidence: what is known of a port besides what its plugin reads back; from memory
    :param holder: who uses the device of a port, read from the host; empty for nobody
    :param may: whether a step of a port may be taken now; see :attr:`Worker.may`
    :param noted: told of each step of an activation: port, step, seconds since the epoch, and the
        request's id where it is asked for, or the error where it failed
    :param moved: told of records of ports that are being moved to another back end
    :param adopt: takes over what another program plugged, or has the port made
    """

    statuses: Callable[[Records, Records], Sequence[Outgoing]] = notifications.statuses
    outbox_changed: Callable[[], None] = lambda: None
    awaited: Callable[[], None] = lambda: None
    wake: Callable[[], None] = lambda: None
    on_tick: Callable[[], None] = lambda: None
    health_changed: Callable[[], None] = lambda: None
    inventory: Callable[[], Inventory] = Inventory
    extra_evidence: Callable[[PortRecord], list[Evidence]] = lambda _record: []
    holder: Callable[[PortRecord], str] = lambda _record: ""
    may: Callable[[Step, PortRecord], bool] = lambda _step, _record: True
    noted: Callable[[str, str, float, str], None] = lambda _port, _step, _at, _more: None
    moved: Callable[[Sequence[PortRecord]], None] = lambda _records: None
    adopt: Callable[[Request, Document], None] = lambda _request, _doc: None
