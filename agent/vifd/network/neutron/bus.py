"""The message bus, by oslo.messaging; the one module that names it, and only once it is used."""

from __future__ import annotations

import logging
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

LOG = logging.getLogger(__name__)

#: A message: what it calls, and with what.
Handler = Callable[[str, Mapping[str, Any]], None]

#: What the service casts to agents.
CASTS = (
    "push", "tunnel_update", "tunnel_delete", "add_fdb_entries", "remove_fdb_entries",
    "update_fdb_entries", "port_update", "port_delete", "network_update", "network_delete",
    "binding_activate", "binding_deactivate", "security_groups_rule_updated",
    "security_groups_member_updated", "agent_updated",
)  # fmt: skip
#: What this host sends itself, with ``topic`` and ``word``.
ECHO = "vifd_echo"
#: In what a message says: the request by which it is sent.
BY = "vifd_request"
#: Topics under which the service also casts to one host by its name; under the others this host
#: has a name of its own, because other agents on it listen to the same objects.
HOSTED = "q-agent-notifier-"
#: The namespace of calls under a topic, where they have one.
NAMESPACES = {"trunk": "trunk"}
#: Attempts to hand a message to the bus, before a call counts as failed.
RETRIES = 1


class Bus(Protocol):
    """Calls to the service, and what it tells."""

    def call(
        self, topic: str, method: str, version: str, timeout: float, arguments: Mapping[str, Any]
    ) -> Any:
        """Ask the service.

        :raises Refused: it answered with an error
        :raises Unanswered: it did not answer in time; whether it does what was asked is not known
        :raises Exception: the bus is not there
        """

    def listen(self, topics: Sequence[str], handler: Handler) -> None:
        """Have what is told under these topics handed over, on threads of the bus; blocks until the
        bus is there."""

    def leave(self, topics: Sequence[str]) -> None:
        """Have nothing of these topics handed over any more."""

    def echo(self, topic: str, word: str) -> None:
        """Send this host alone a message under a topic; where nobody listens it is lost.

        :raises Exception: the bus is not there
        """

    def close(self) -> None:
        """Let go of it, without waiting for anybody."""


class Refused(Exception):
    """The service answered with an error.

    :ivar kind: the class of the error there
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Unanswered(Exception):
    """The service has not answered in time."""


@dataclass
class MessageBus:
    """See :class:`Bus`.

    :param conf: the process's own options: the libraries behind the bus look there
    :param url: of the transport; empty for the one of the options
    """

    conf: Any
    url: str
    exchange: str
    host: str

    def __post_init__(self) -> None:
        self._messaging = library()
        self._transport = self._messaging.get_rpc_transport(self.conf, url=self.url or None)
        #: by topic, what listens to it
        self._servers: dict[str, Any] = {}

    def call(
        self, topic: str, method: str, version: str, timeout: float, arguments: Mapping[str, Any]
    ) -> Any:
        target = self._messaging.Target(
            exchange=self.exchange, topic=topic, version=version, namespace=NAMESPACES.get(topic)
        )
        client = self._messaging.get_rpc_client(self._transport, target)
        prepared = client.prepare(timeout=timeout, retry=RETRIES)
        try:
            return prepared.call(_context(), method, **arguments)
        except self._messaging.RemoteError as error:
            raise Refused(str(error.exc_type), str(error.value)) from error
        except self._messaging.MessagingTimeout as error:
            raise Unanswered(f"{method}: nothing within {timeout:g} s") from error

    def listen(self, topics: Sequence[str], handler: Handler) -> None:
        endpoint = _endpoint(self._messaging, handler)
        for topic in topics:
            target = self._messaging.Target(
                exchange=self.exchange, topic=topic, server=self._name(topic), fanout=True
            )
            server = self._messaging.get_rpc_server(self._transport, target, [endpoint])
            # an option that comes with the first server: one after the other, in their order
            self.conf.set_override("executor_thread_pool_size", 1)
            self._servers[topic] = server
            server.start()

    def leave(self, topics: Sequence[str]) -> None:
        for topic in topics:
            server = self._servers.pop(topic, None)
            if server is not None:
                server.stop()
                server.wait()

    def echo(self, topic: str, word: str) -> None:
        target = self._messaging.Target(
            exchange=self.exchange, topic=topic, server=self._name(topic), version="1.0"
        )
        client = self._messaging.get_rpc_client(self._transport, target)
        client.prepare(retry=RETRIES).cast(_context(), ECHO, topic=topic, word=word)

    def _name(self, topic: str) -> str:
        """By what name this host is spoken to under a topic."""
        return self.host if topic.startswith(HOSTED) else f"{self.host}.vifd"

    def close(self) -> None:
        for server in list(self._servers.values()):
            server.stop()
        self._servers.clear()


def library() -> Any:
    """oslo.messaging. A library that it imports warns of what it does not use here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import oslo_messaging
    return oslo_messaging


def _context() -> dict[str, Any]:
    """Who asks: an administrator, as every agent does."""
    return {
        "is_admin": True, "user_id": None, "project_id": None, "roles": ["admin"],
        "request_id": f"req-{uuid.uuid4()}", "has_global_access": True,
    }  # fmt: skip


def _endpoint(messaging: Any, handler: Handler) -> Any:
    """An object with a method for everything that the service casts."""

    class Endpoint:
        target = messaging.Target(version="1.9")

    def method(name: str) -> Callable[..., None]:
        def called(_self: Any, context: Any, **arguments: Any) -> None:
            by = context.get("request_id") if isinstance(context, Mapping) else None
            handler(name, {**arguments, BY: by})

        return called

    for name in (*CASTS, ECHO):
        setattr(Endpoint, name, method(name))
    return Endpoint()


def make(conf: Any, url: str, exchange: str, host: str) -> Bus:
    """The bus that the options name."""
    return MessageBus(conf, url, exchange, host)
