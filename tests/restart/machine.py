"""A hypothesis machine that does to a host what happens to hosts, in any order.

Callers plug, change, open, close and remove ports, sub-ports of trunks among them; the daemon is
killed or restarted, the switch's daemons are killed, other hands change things, the power goes. It
does so on a switch, and on bridges of the kernel.
Whatever happened: once it is quiet, every port that is wanted is as it shall be, by a second
opinion and by frames, and nothing else is left.
"""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from restart import logs, trunking
from restart.places import OUTAGES, Place
from restart.sets import (
    ADDRESSES,
    FORWARDING,
    TUNNELLED,
    SaidSets,
    group,
    group_id,
    log,
    network_id,
)
from support import meddler, oracle
from support.oracle import Wanted
from unit.docs import document, port_id
from vifd.testing import census
from vifd.testing.daemon import Options, Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import Expired, until

#: Seconds in which everything must be as wanted after the last disturbance.
PATIENCE = 60.0
#: What takes one of the two by which a tap is known; without both it is another's, and stays.
_DISGUISES = ("alias changed", "device made anew", "queues changed")
SETTLED = ("LIVE", "READY", "QUIESCED")
OPTIONS: Options = {
    "engine": {"retry_first": 0.05, "retry_longest": 0.5, "check_interval": 1},
}

roles = st.sampled_from(["ACTIVE", "ACTIVE", "INACTIVE"])
numbers = st.integers(1, 5)
networks = st.integers(1, 2)
changes = st.sampled_from(["mtu", "pairs", "name", "admin", "limits", "limits"])
#: One of the edits of a place, whose number it does not know.
edits = st.integers(0, 999)
groups = st.integers(1, 2)
sub_ports = st.sampled_from(sorted(trunking.SUB_PORTS))
#: What of a set comes and goes: the set, the name of its pieces, one of them.
pieces = st.sampled_from([
    *((group(n), "members", ip) for n in (1, 2) for ip in ("192.0.2.1", "192.0.2.2")),
    *((group(n), "rules", port) for n in (1, 2) for port in ("22", "80")),
    *((ADDRESSES, "addresses", ip) for ip in ("198.51.100.0/24", "198.51.100.7")),
    *((FORWARDING, "endpoints", ip) for ip in ("192.0.2.2", "192.0.2.3")),
])  # fmt: skip
paths = st.sampled_from([group(1), group(2), ADDRESSES, FORWARDING])
#: What is said of a log, as its document has it; ``None``: it goes.
log_targets = st.sampled_from([{}, {}, *({"target_id": port_id(n)} for n in (1, 2, 11))])
log_groups = st.sampled_from([{}, {}, *({"resource_id": group_id(n)} for n in (1, 2))])
said_logs = st.one_of(st.none(), *(st.builds(
    lambda event, enabled, target, of: {"event": event, "enabled": enabled, **target, **of},
    st.sampled_from(["ALL", "ACCEPT", "DROP"]), st.sampled_from([True, True, True, False]),
    log_targets, log_groups,
),) * 3)  # fmt: skip
moments = st.sampled_from([0.0, 0.002, 0.005, 0.01, 0.02, 0.05])


class World:
    """The host that all runs share."""

    def __init__(self, ovs: PrivateOvs, place: Place, directory: Path) -> None:
        self.place = place
        self.lines = directory.parent / "packets.log"
        self.vifd = Vifd(directory, ovs, {
            **OPTIONS, **place.options, "plugins": {"enabled_plugins": place.plugin},
            "packet_log": {"file": self.lines},
        })  # fmt: skip
        self.runs = self.steps = 0
        self.vifd.start()
        self.vifd.ready()
        self._plug_and_unplug()
        self.empty = census.take(ovs)
        self.residue = place.residue()
        self._read = 0

    def _plug_and_unplug(self) -> None:
        """Have there what stays when the last port goes."""
        for network in (1, TUNNELLED):
            assert self.vifd.plug(_changed(_document(network, network), "limits"))[0] == 201
        self.clear()

    def clear(self) -> None:
        """Everything runs, and no port is there."""
        self.place.start()
        self.vifd.start()
        self.vifd.ready()
        self.vifd.clear()
        SaidSets(self.vifd).clear()

    def defects(self) -> list[str]:
        """What the daemon's log says of its own defects since the last time."""
        text = self.vifd.log
        new, self._read = text[self._read :], len(text)
        lines = new.splitlines()
        return [
            "\n".join(lines[i : i + 30])
            for i, line in enumerate(lines)
            if "Traceback" in line and "Traceback" not in "".join(lines[max(0, i - 3) : i])
        ]

    def power_cut(self) -> None:
        """Nothing is left but what is on disk."""
        self.vifd.kill()
        self.place.power_cut()

    def close(self) -> None:
        try:
            self.clear()
        finally:
            self.vifd.close()


class HostMachine(RuleBasedStateMachine):
    """One run; the world is made before the first of them.

    Which rule comes next depends on nothing but the seed, whatever the host answers: a rule that
    finds nothing to do does nothing.
    """

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.world.runs += 1
        self.story: list[str] = []
        self.documents: dict[int, dict[str, Any]] = {}
        self.sub_ports: dict[int, dict[str, Any]] = {}
        self._disguised: set[str] = set()
        self.sets = SaidSets(self.world.vifd)
        self.began = time.strftime("%H:%M:%S")
        self._start = time.monotonic()
        self.world.clear()

    @initialize(roles=st.lists(roles, min_size=1, max_size=3))
    def begin(self, roles: list[str]) -> None:
        """A host with some ports."""
        for number, role in enumerate(roles, 1):
            self.plug(number, 1, role)
        self.settle()

    def _pick(self, number: int) -> int:
        """One of the ports that are wanted, else one that is not."""
        there = sorted(self.documents)
        return there[number % len(there)] if there else number

    # --- what callers do ---

    @rule(number=numbers, network=networks, role=roles)
    def plug(self, number: int, network: int, role: str) -> None:
        if number in self.documents:
            return
        wanted = _document(number, network, role)
        if self._ask("PUT", number, "", wanted):
            self.documents[number] = wanted

    @rule(number=numbers, change=changes, at=moments, crash=st.booleans())
    def update(self, number: int, change: str, at: float, crash: bool) -> None:
        number = self._pick(number)
        if number not in self.documents:
            return
        wanted = _changed(self.documents[number], change)
        if self._ask("PUT", number, f" ({change})", wanted):
            self.documents[number] = wanted
        if crash:
            self._crash(at)

    @rule(number=numbers, role=st.sampled_from(["ACTIVE", "INACTIVE"]))
    def change_role(self, number: int, role: str) -> None:
        number = self._pick(number)
        if number not in self.documents:
            return
        verb = "activate" if role == "ACTIVE" else "deactivate"
        if self._ask("POST", number, f"/{verb}", None):
            self.documents[number]["role"] = role

    @rule(number=numbers)
    def unplug(self, number: int) -> None:
        number = self._pick(number)
        if number in self.documents and self._ask("DELETE", number, "", None):
            del self.documents[number]

    def _ask(self, method: str, number: int, what: str, body: Any) -> bool:
        """One call without waiting; whether it was taken."""
        path = f"/v1/ports/{document(number)['port']['id']}"
        path += what if what.startswith("/") else ""
        status, answer = self.world.vifd.call(method, path, body)
        self._tell(f"{method} {number}{what}: {status}")
        if status in (200, 201, 202, 204):
            return True
        assert status in (409, 503), f"{method} {path}: {status} {answer}"
        assert answer["retryable"], answer
        return False

    @rule(piece=pieces, at=moments, crash=st.booleans())
    def say_piece(self, piece: tuple[str, str, str], at: float, crash: bool) -> None:
        """A member, rule, address or endpoint comes or goes, with or without ports there."""
        self._tell(self.sets.toggle(*piece))
        if crash:
            self._crash(at)

    @rule(path=paths, gone=st.booleans(), at=moments, crash=st.booleans())
    def say_set(self, path: str, gone: bool, at: float, crash: bool) -> None:
        """A shared set comes anew, or goes."""
        self._tell((self.sets.delete if gone else self.sets.put)(path))
        if crash:
            self._crash(at)

    @rule(number=numbers, which=groups)
    def join_or_leave(self, number: int, which: int) -> None:
        """A port comes into a group that is there, or leaves its groups."""
        number = self._pick(number)
        if number not in self.documents or group(which) not in self.sets.said:
            return
        wanted = copy.deepcopy(self.documents[number])
        if wanted["port"].pop("security_groups", None) is None:
            wanted["port"]["security_groups"] = [group_id(which)]
        if self._ask("PUT", number, " (groups)", wanted):
            self.documents[number] = wanted

    @rule(number=st.integers(1, 2), said=said_logs, at=moments, crash=st.booleans())
    def say_log(self, number: int, said: dict[str, Any] | None, at: float, crash: bool) -> None:
        """What groups decide is written down, otherwise than before, or no more."""
        if said is not None:
            self._tell(self.sets.log(log(number), said))
        elif log(number) in self.sets.said:
            self._tell(self.sets.delete(log(number)))
        if crash:
            self._crash(at)

    @rule(which=sub_ports, network=networks, role=roles)
    def plug_sub_port(self, which: int, network: int, role: str) -> None:
        """A sub-port comes, or goes."""
        if not self.world.place.trunks:
            return
        if which in self.sub_ports:
            if self._ask("DELETE", which, "", None):
                del self.sub_ports[which]
            return
        wanted = trunking.sub_port(which, role, **_on(network))
        if self._ask("PUT", which, " (sub-port)", wanted):
            self.sub_ports[which] = wanted

    @rule(number=numbers, which=sub_ports, at=moments, crash=st.booleans())
    def name_sub_port(self, number: int, which: int, at: float, crash: bool) -> None:
        """Whoever has a sub-port loses it; one that nobody has is named by a port here."""
        number = trunking.parent_of(which, self.documents) or self._pick(number)
        if number not in self.documents or not self.world.place.trunks:
            return
        wanted = trunking.toggled(which, self.documents[number], number)
        if self._ask("PUT", number, f" (sub-port {which})", wanted):
            self.documents[number] = wanted
        if crash:
            self._crash(at)

    # --- what happens to the daemon ---

    @rule(at=moments, graceful=st.booleans(), meanwhile=st.lists(
        st.tuples(edits, numbers), max_size=2))  # fmt: skip
    def restart(self, at: float, graceful: bool, meanwhile: list[tuple[int, int]]) -> None:
        """The daemon goes and comes back; nothing else changes unless somebody changes it."""
        before: Any = None
        if not meanwhile:
            self.settle()
            before = self.world.place.state()
        else:
            time.sleep(at)
        self._tell("restart" if graceful else "kill -9")
        (self.world.vifd.stop if graceful else self.world.vifd.kill)()
        for edit, number in meanwhile:
            self.meddle(edit, number)
        self.world.vifd.start()
        if not meanwhile:
            self.world.vifd.ready()
            self._converge()
            touched = self.world.place.touched(before)
            assert touched == [], self._account(touched)

    def _crash(self, at: float) -> None:
        time.sleep(at)
        self._tell(f"kill -9 after {at} s")
        self.world.vifd.kill()
        self.world.vifd.start()

    # --- what happens to the switch ---

    @rule(what=st.sampled_from(OUTAGES), at=moments)
    def lose(self, what: str, at: float) -> None:
        """The switch's daemons are killed, or all bridges, or all rules."""
        time.sleep(at)
        self._tell(f"lost: {what}")
        self.world.place.lose(what)
        self.world.place.start()

    @rule(edit=edits, number=numbers)
    def meddle(self, edit: int, number: int) -> None:
        """Somebody else changes a port, if it is there to be changed."""
        edits = self.world.place.edits
        self._meddle(edits[edit % len(edits)], number)

    def _meddle(self, edit: str, number: int) -> None:
        wanted = Wanted(document(self._pick(number)))
        if edit in _DISGUISES:
            if wanted.device in self._disguised:
                return
            self._disguised.add(wanted.device)
        try:
            if edit in meddler.DEVICE and not meddler.exists(wanted.device):
                return
            self.world.place.meddle(edit, wanted.device)
        except Exception as error:
            self._tell(f"{edit} {number} was not to be had: {str(error)[:60]}")
        else:
            self._tell(f"{edit}: {number}")

    @rule(switch_first=st.booleans())
    def reboot(self, switch_first: bool) -> None:
        """The power goes, and comes back; who is up first is not certain."""
        self._tell("reboot")
        self.world.power_cut()
        if switch_first:
            self.world.place.start()
        self.world.vifd.start()
        self.world.place.start()

    # --- what must hold ---

    @rule()
    def settle(self) -> None:
        """Wait until it is quiet, and look. The daemon acts on what others did a moment later, and
        of a closed port the second opinion does not see every flow: so ask for a check as well."""
        self._tell("settle")
        self._converge(asked=True)

    def _wanted(self) -> list[Wanted]:
        return [
            Wanted(d, open=d["role"] == "ACTIVE" and d["port"].get("admin_state_up", True))
            for d in self.documents.values()
        ] + [*trunking.wanted(self.sub_ports, self.documents)]

    def _converge(self, *, asked: bool = False) -> None:
        found: list[str] = []

        def quiet() -> bool:
            try:
                found[:] = self._astray() or (self._findings() if asked else [])
            except (OSError, RuntimeError) as error:  # somebody does not answer yet
                found[:] = [str(error)]
            if found:
                time.sleep(0.05)
            return not found

        try:
            until(quiet, "everything is as wanted", PATIENCE)
        except Expired:
            raise AssertionError(self._account(found)) from None
        self._disguised.clear()

    def _astray(self) -> list[str]:
        """What is not as it shall be: by the daemon's words, and by a second opinion."""
        ports = self.world.vifd.get("/v1/ports")["ports"]
        subs = {port_id(n) for n in self.sub_ports}
        found = [
            f"{p['id']} is {p['phase']}: {(p['error'] or {}).get('message')}"
            for p in ports
            if p["id"] not in subs and (p["phase"] not in SETTLED or p["error"])
        ]
        for port in (p for p in ports if p["id"] in subs):
            found += trunking.astray(port, self.sub_ports, self.documents)
        wanted = self._wanted()
        known, shall = {p["id"] for p in ports}, {w.id for w in wanted} | subs
        found += [f"{i} is known, and shall not" for i in known - shall]
        found += [f"{i} is not known" for i in shall - known]
        if found:
            return found
        found = self.world.place.complaints(wanted) + self._left()
        found += self.sets.astray() + self._unsaid(wanted) + self._unlimited(wanted)
        return found or self._unlogged(wanted)

    def _unlogged(self, wanted: list[Wanted]) -> list[str]:
        """What of logs is otherwise than was said."""
        ports = {p["id"]: p for p in self.world.vifd.get("/v1/ports")["ports"]}
        found = [text for w in wanted
                 for text in logs.unsaid(self.sets.logs, ports[w.id], w.document)]  # fmt: skip
        about = [w.open for w in wanted if logs.of_port(self.sets.logs, w.document)]
        have = self.world.place.logs_anything()
        # of a port that is closed it may be there
        may, must = (bool(x) and self.world.place.groups for x in (about, any(about)))
        if may >= have >= must:
            return found
        return [*found, f"something is there for logs: {have}, ports in them are open: {about}"]

    def _unlimited(self, wanted: list[Wanted]) -> list[str]:
        """What the switch's own tools say otherwise of limits."""
        have = self.world.place.rates()
        shall = sorted(2 * [r for w in wanted if (r := _rate(w.document)) is not None])
        return [] if have == shall else [f"meters have the rates {have}, and shall have {shall}"]

    def _unsaid(self, wanted: list[Wanted]) -> list[str]:
        """What the switch's own tools say otherwise of sets."""
        opened = [w.document for w in wanted if w.open]
        named = {g for d in opened for g in d["port"].get("security_groups") or ()}
        tunnelled = any(d["network"]["id"] == network_id(TUNNELLED) for d in opened)
        return self.world.place.unsaid(self.sets, named, tunnelled=tunnelled) if wanted else []

    def _findings(self) -> list[str]:
        """What a check of every port finds; it is repaired."""
        found: list[str] = []
        for wanted in self._wanted():
            if wanted.vlan and not wanted.open:
                continue  # it says what it waits for
            _, port = self.world.vifd.call("POST", f"/v1/ports/{wanted.id}/check")
            found += [f"{wanted.id}: {what}" for what in port.get("findings", [port])]
        return found

    def _left(self) -> list[str]:
        """What is there beyond the wanted."""
        known = [Wanted(d) for d in (*self.documents.values(), *self.sub_ports.values())]
        known += trunking.wanted(self.sub_ports, self.documents)
        return [f"left behind: {n}" for n in self.world.place.beyond(self.world.empty, known)]

    def teardown(self) -> None:
        """Look once more, with frames; then all ports go, and nothing is left."""
        self._tell("the end")
        self._converge()
        if wanted := self._wanted():
            with self.world.place.opened(wanted) as taps:
                astray = oracle.unheard(wanted, taps)
                if not astray and self.world.place.groups:
                    astray = logs.astray(self.sets.logs, wanted, taps, self.world.lines)
            assert astray == [], self._account(astray)
        for number in list(self.documents):
            self.unplug(number)
        for which in list(self.sub_ports):
            self.plug_sub_port(which, 1, "ACTIVE")
        self._converge()
        left = self.world.place.residue() - self.world.residue
        assert not left, self._account(sorted(left))
        defects = self.world.defects()
        assert defects == [], self._account(defects)
        if os.environ.get("STATEFUL_STORIES"):
            sys.stderr.write("\n  ".join(["a run:", *self.story]) + "\n")

    def _tell(self, text: str) -> None:
        self.world.steps += 1
        self.story.append(f"{time.monotonic() - self._start:5.1f} s: {text}")
        note(text)

    def _account(self, found: list[str]) -> str:
        log = "\n".join(self.world.vifd.log.splitlines()[-60:])
        story = "\n  ".join(self.story)
        text = "\n".join([*found, f"after (since {self.began}):\n  {story}", f"log:\n{log}"])
        # said at once: hypothesis may find that it does not happen twice, and then hides it
        sys.stderr.write(f"\nFAILED: {text}\n")
        return text


def _document(number: int, network: int, role: str = "ACTIVE") -> dict[str, Any]:
    """Port ``number``; one network leaves the host by tunnels."""
    return document(number, role=role, **_on(network))


def _on(network: int) -> dict[str, Any]:
    vxlan = {"network_type": "vxlan", "segmentation_id": 101}
    segment = vxlan if network == TUNNELLED else {"network_type": "local"}
    return {"network__id": network_id(network), "network__segment": segment}


def _rate(wanted: Mapping[str, Any]) -> int | None:
    """What a document limits a port to, each way."""
    policy = wanted["port"].get("qos_policy")
    return policy["rules"][0]["max_kbps"] if policy else None


def _changed(old: dict[str, Any], change: str) -> dict[str, Any]:
    """The document with one difference that is applied in place."""
    new = copy.deepcopy(old)
    if change == "mtu":
        new["network"]["mtu"] = 1400 if old["network"]["mtu"] == 1450 else 1450
    elif change == "pairs":
        pairs = old["port"].get("allowed_address_pairs")
        new["port"]["allowed_address_pairs"] = [] if pairs else [{"ip_address": "10.9.9.9"}]
    elif change == "name":
        new["port"]["name"] = f"{old['port']['name']}x"
    elif change == "limits":
        rates = {None: 5000, 5000: 7000, 7000: None}
        rate = rates[_rate(old)]
        rules = [{"type": "bandwidth_limit", "max_kbps": rate, "direction": way}
                 for way in ("egress", "ingress")]  # fmt: skip
        new["port"]["qos_policy"] = {"rules": rules} if rate else None
    else:
        new["port"]["admin_state_up"] = not old["port"].get("admin_state_up", True)
    return new
