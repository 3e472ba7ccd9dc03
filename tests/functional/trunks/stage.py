"""A sub-port on a network of any kind, and every operation that it can go through: after each,
frames pass between its guest and somebody of its network exactly while they shall."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from functional.trunks.documents import Sub, parent, sub_port
from functional.tunnels.traffic import broadcast, unicast
from vifd.model import Attachment
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, mac, port_id
from vifd.testing.guests import Guest, Predicate, assert_only, assert_reaches

#: Ports: the parent, its sub-port, another parent; somebody beside on the network, and a peer.
PARENT, SUB, OTHER, BESIDE, PEER = 1, 2, 3, 6, 5
TAG, ANOTHER = 301, 302
MARK = {"rules": [{"type": "dscp_marking", "dscp_mark": 46}]}


def tagged(frame: bytes, tag: int | None) -> bytes:
    return frame if tag is None else frame[:12] + b"\x81\0" + tag.to_bytes(2, "big") + frame[12:]


def equal(frame: bytes) -> Predicate:
    return lambda found: found == frame


@dataclass
class Stage:
    """One network on one host.

    :param host: the scene
    :param peer: of the network; beyond the host where the network leaves it
    :param on_wire: the tag of the network's frames where the peer is
    :param network: the number of the network, and of the one of parents
    :param state: all that a daemon could change
    :param touched: what was changed since
    :param lose: somebody takes away what is in force, and the daemon brings it back
    :param ready: waits until a port's frames pass that is open
    :param run: calls what needs to be called where the host is
    """

    host: Any
    peer: Guest
    segment: dict[str, Any] | None
    on_wire: int | None
    network: tuple[int, int]
    state: Callable[[], Any]
    touched: Callable[[Any], list[str]]
    lose: Callable[[], None]
    ready: Callable[[int], None]
    document: Callable[[Attachment], Attachment] = lambda wanted: wanted
    run: Callable[..., Any] = lambda call, *arguments: call(*arguments)

    def begin(self) -> None:
        """Everybody is there, and the sub-port passes."""
        beside = attachment(BESIDE, network=self.network[0], segment=self.segment)
        self.host.plug(self.document(beside))
        self.has()
        self.plug_sub()
        self.trunk: Guest = self.host.guest(port_id(PARENT))
        self.beside: Guest = self.host.guest(port_id(BESIDE))
        self.passes()

    # --- what is said ---

    def has(self, *subs: Sub, number: int = PARENT) -> None:
        """A parent has these sub-ports; without any, the one that all this is about."""
        chosen = subs or ((SUB, TAG),)
        self.host.plug(self.document(parent(number, *chosen, network=self.network[1])))

    def disown(self, number: int = PARENT) -> None:
        """A parent has no sub-port."""
        self.host.plug(self.document(attachment(number, network=self.network[1])))

    def plug_sub(self, **port: Any) -> None:
        wanted = sub_port(SUB, self.network[0], segment=self.segment, **port)
        self.host.plug(self.document(wanted))

    def turn(self, verb: str, number: int) -> None:
        """A port is activated or deactivated."""
        failed = self.run(getattr(self.host.ledger, verb), port_id(number))
        assert not failed, failed

    def unplug(self, number: int) -> None:
        failed = self.run(self.host.ledger.unplug, port_id(number))
        assert not failed, failed

    # --- what must be so ---

    def passes(self, tag: int = TAG, trunk: Guest | None = None, mark: int = 0) -> None:
        """To the peer and back, to one and to all."""
        self.ready(SUB)
        guest = trunk or self.trunk
        for frame in (unicast(SUB, PEER), broadcast(SUB)):
            found = assert_reaches(guest, self.peer, tagged(frame, tag), expect=self._from(SUB))
            assert found == tagged(marked(frame, mark), self.on_wire)
        for frame in (unicast(PEER, SUB), broadcast(PEER)):
            sent = tagged(frame, self.on_wire)
            assert_reaches(self.peer, guest, sent, expect=equal(tagged(frame, tag)))
        assert not self.host.findings()

    def _from(self, number: int) -> Predicate:
        return lambda found: f.mac_text(found[6:12]) == mac(number)

    def shut(self, tag: int = TAG, trunk: Guest | None = None) -> None:
        """Nothing of it comes to the network, whose other ports talk on."""
        self.ready(BESIDE)
        guest = trunk or self.trunk
        lies = [(guest, tagged(x, tag)) for x in (unicast(SUB, PEER), broadcast(SUB))]
        own = unicast(BESIDE, PEER)
        arrives = equal(tagged(own, self.on_wire))
        assert_only(
            self.peer, forbidden=lies, allowed=(self.beside, own), expect=arrives,
            leaked=lambda _, got: self._from(SUB)(got),
        )  # fmt: skip


def marked(frame: bytes, mark: int) -> bytes:
    """A frame of IPv4 with a DSCP mark."""
    if not mark:
        return frame
    head = bytearray(frame[14:34])
    head[1] = mark << 2
    head[10:12] = bytes(2)
    head[10:12] = f.checksum(bytes(head)).to_bytes(2, "big")
    return frame[:14] + bytes(head) + frame[34:]


# --- the operations: each begins and ends with the sub-port passing ---


def gets_another_tag(stage: Stage) -> None:
    stage.has((SUB, ANOTHER))
    stage.passes(ANOTHER)
    stage.shut(TAG)
    stage.has()


def is_disowned(stage: Stage) -> None:
    stage.disown()
    stage.shut()
    stage.has()


def is_closed_and_opened(stage: Stage) -> None:
    stage.turn("deactivate", SUB)
    stage.shut()
    stage.turn("activate", SUB)


def its_parent_is_closed_and_opened(stage: Stage) -> None:
    stage.turn("deactivate", PARENT)
    stage.shut()
    stage.turn("activate", PARENT)


def goes_and_comes_after_its_parent(stage: Stage) -> None:
    stage.unplug(SUB)
    stage.shut()
    stage.plug_sub()


def its_parent_goes_and_comes_after_it(stage: Stage) -> None:
    stage.trunk.close()  # type: ignore[attr-defined]
    stage.unplug(PARENT)
    assert "trunk.parent" in stage.host.findings(port_id(SUB))
    stage.has()
    stage.trunk = stage.host.guest(port_id(PARENT))


def moves_to_another_parent(stage: Stage) -> None:
    stage.disown()
    stage.has((SUB, ANOTHER), number=OTHER)
    other = stage.host.guest(port_id(OTHER))
    stage.passes(ANOTHER, other)
    stage.shut(TAG)
    stage.disown(OTHER)
    stage.has()
    stage.shut(ANOTHER, other)


def gets_a_mark_and_loses_it(stage: Stage) -> None:
    stage.plug_sub(qos_policy=MARK)
    stage.passes(mark=46)
    stage.plug_sub()


def has_a_sibling_that_comes_and_goes(stage: Stage) -> None:
    stage.has((SUB, TAG), (9, ANOTHER))
    sibling = sub_port(9, stage.network[0], segment=stage.segment)
    stage.host.plug(stage.document(sibling))
    stage.passes()
    stage.shut(ANOTHER)
    stage.unplug(9)
    stage.has()


def the_daemon_restarts_and_changes_nothing(stage: Stage) -> None:
    before = stage.state()
    stage.host.ledger = stage.run(stage.host.ledger.restart)
    assert not stage.run(stage.host.ledger.carry_out, [*stage.host.ledger.records])
    assert stage.touched(before) == []


def everything_in_force_is_lost(stage: Stage) -> None:
    stage.lose()


OPERATIONS = (
    gets_another_tag, is_disowned, is_closed_and_opened, its_parent_is_closed_and_opened,
    goes_and_comes_after_its_parent, its_parent_goes_and_comes_after_it, moves_to_another_parent,
    gets_a_mark_and_loses_it, has_a_sibling_that_comes_and_goes,
    the_daemon_restarts_and_changes_nothing, everything_in_force_is_lost,
)  # fmt: skip


def play(stage: Stage) -> None:
    """Every operation, one after the other."""
    stage.begin()
    for operation in OPERATIONS:
        print(operation.__name__)  # what a test that fails shows
        operation(stage)
        stage.passes()
