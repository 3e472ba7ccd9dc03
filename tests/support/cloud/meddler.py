"""Comes between Neutron's pushes and an agent: it gives back what it took in any order, or never.

It stands on the real broker. While it holds a topic, the agents' queues are not bound to the
topic's exchange, and its own queue is.
"""

from __future__ import annotations

import importlib
import json
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from support.cloud.broker import Broker
from vifd.testing.wait import until


def library(name: str) -> Any:
    """A library of oslo.messaging's; without the extra "neutron" it is not there."""
    return importlib.import_module(name)


class Meddler:
    """Holds one topic as a context manager.

    :param kind: of objects, e.g. ``Port``; the version is the one that somebody listens to
    :ivar taken: the messages that were sent meanwhile, in their order
    """

    def __init__(self, broker: Broker, kind: str) -> None:
        self.taken: list[dict[str, Any]] = []
        self._prefix = f"neutron-vo-{kind}-"
        self._exchange = ""
        self._broker = broker
        self._connection = library("kombu").Connection(broker.url.replace("rabbit:", "amqp:") + "/")
        self._queue = f"meddler-{uuid.uuid4()}"
        self._victims: list[str] = []

    def __enter__(self) -> Meddler:
        self._channel: Any = self._connection.channel()
        until(lambda: len(self._heard()) == 1, "one version is listened to", 120, self._heard)
        ((self._exchange, self._victims),) = self._heard().items()
        self._channel.queue_declare(self._queue, auto_delete=False)
        self._channel.queue_bind(self._queue, self._exchange)
        for victim in self._victims:
            self._channel.queue_unbind(victim, self._exchange)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._channel.queue_delete(self._queue)
        self._connection.release()

    def wait(self, number: int) -> Sequence[dict[str, Any]]:
        """Wait until so many messages were taken."""
        until(lambda: self._take() and len(self.taken) >= number, f"{number} messages were sent")
        return self.taken

    def open(self) -> None:
        """Let what is sent from now on reach the agents again."""
        for victim in self._victims:
            self._channel.queue_bind(victim, self._exchange)
        self._take()

    def give(self, message: dict[str, Any]) -> None:
        """Send one that was taken, as if it were another: the library drops what it has seen."""
        inner = json.loads(message["oslo.message"])
        inner["_unique_id"] = uuid.uuid4().hex
        body = json.dumps({**message, "oslo.message": json.dumps(inner)})
        told = library("amqp").Message(
            body, content_type="application/json", content_encoding="utf-8"
        )
        for victim in self._victims:
            self._channel.basic_publish(told, exchange="", routing_key=victim)

    def _heard(self) -> dict[str, list[str]]:
        """By exchange of the topic, the queues that somebody takes messages from."""
        lines = self._broker.ctl("list_queues", "name", "consumers").splitlines()
        taken = {name for name, number in (line.split("\t") for line in lines) if number != "0"}
        words = self._broker.ctl("list_bindings", "source_name", "destination_name").splitlines()
        found: dict[str, list[str]] = {}
        for source, queue in (line.split("\t") for line in words if line.startswith(self._prefix)):
            if source.endswith("_fanout") and queue in taken:
                found.setdefault(source, []).append(queue)
        return found

    def _take(self) -> bool:
        while (found := self._channel.basic_get(self._queue, no_ack=True)) is not None:
            self.taken.append(json.loads(found.body))
        return True
