"""What a bridge was sent, and what was read back of it, kept as long as it is known to stand."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from vifd.drivers import OpenFlow
from vifd.openflow.flow import Flow, by_key
from vifd.openflow.reading import Reading
from vifd_ovs.bridge.aims import Proof
from vifd_ovs.bridge.entries import Entries
from vifd_ovs.bridge.target import Difference, difference


class Readback:
    """Of one bridge.

    :ivar sent: how many changes of flows or meters were sent
    """

    def __init__(self, openflow: OpenFlow, bridge: str) -> None:
        self.sent = 0
        self._openflow = openflow
        self._bridge = bridge
        #: what proved the last change: good for one look
        self._proof = Proof()
        #: what the last change was read back by, until it is proven
        self._made = Proof()
        #: cookies that are read with the next change
        self._proving: Collection[int] = ()
        #: the bridge's own flows as they were read, as they shall be, and how these differ
        self._judged: tuple[Sequence[Flow], Entries, Difference] | None = None

    def begin(self, cookies: Collection[int]) -> None:
        """A change begins: what was read before is no proof of it.

        :param cookies: read in the exchange that commits it
        """
        self._proof = self._made = Proof()
        self._proving = cookies

    def end(self) -> None:
        """The change has ended, well or not."""
        self._proving = ()

    def send(self, todo: Difference) -> None:
        """One bundle, and in its exchange what is to be proven of it.

        :raises BackendError: nothing was changed
        """
        self.sent += 1
        state = self._state()
        reading = self._openflow.apply(
            self._bridge, add=todo.add, delete=todo.delete, read=self._proving
        )
        self._made = Proof(state, reading) if reading.flows else Proof()

    def proving(self, cookies: Collection[int]) -> Reading:
        """The flows of these cookies, for who proves the last change: what was read with it need
        not be read again, once."""
        state, made = self._state(), self._made
        self._made = Proof()
        known = made.reading if made.stands(state) else Reading({}, "")
        found = self._completed(known, cookies)
        self._proof = Proof(state, found)
        return found

    def installed(self, cookies: Collection[int], *, proven: bool = False) -> Reading:
        """The flows of each of these cookies as the switch has them, and how it shows fragments.

        :param proven: what :meth:`proving` read need not be read again, once, where nothing was
            sent and the connection held since
        """
        known = Reading({}, "")
        if proven:
            proof, self._proof = self._proof, Proof()
            known = proof.reading if proof.stands(self._state()) else known
        return self._completed(known, cookies)

    def bridge_difference(self, have: Sequence[Flow], wanted: Entries) -> Difference:
        """How the flows that belong to no port and no network differ from what they shall be.

        Worked out anew where either changed: they are read with every port.
        """
        known = self._judged
        if known is None or known[1] is not wanted or known[0] != have:
            found = difference({0: by_key(have)}, {0: wanted}, [0])
            known = self._judged = (have, wanted, found)
        return known[2]

    def _completed(self, known: Reading, cookies: Collection[int]) -> Reading:
        """What is known of these cookies, and what is not, read now."""
        found = {cookie: known.flows[cookie] for cookie in cookies if cookie in known.flows}
        missing = [cookie for cookie in cookies if cookie not in found]
        if not missing:
            return Reading(found, known.fragments)
        more = self._openflow.read(self._bridge, missing)
        return Reading({**found, **more.flows}, more.fragments)

    def _state(self) -> tuple[int, int]:
        """Changes with everything that may change our flows, but for other hands."""
        return self.sent, self._openflow.generation(self._bridge)
