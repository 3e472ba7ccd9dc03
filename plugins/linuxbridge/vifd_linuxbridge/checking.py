"""Check: read a port back, in the order of the path that a frame of the guest takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vifd.drivers import Bridging, Device, FdbEntry, Nft, Program
from vifd.drivers.nft.objects import Chain, Rule
from vifd.errors import VifError
from vifd.model import Evidence, Report
from vifd.model.evidence import fact
from vifd.plugin import tap
from vifd_linuxbridge import groupbase, overlay, ruleset, shaping, telling, wiring
from vifd_linuxbridge.answering import Answering
from vifd_linuxbridge.batch import Batch, Work
from vifd_linuxbridge.beside import Beside
from vifd_linuxbridge.groupchecks import GroupReader
from vifd_linuxbridge.grouping import Grouping
from vifd_linuxbridge.guarding import SHUT
from vifd_linuxbridge.networks import Networks, bridge_problem, uplink_problem
from vifd_linuxbridge.options import Settings
from vifd_linuxbridge.plugging import bridge_port, entry, keep_tags, shaping_base
from vifd_linuxbridge.ruleset import TABLE, Filter

#: Maps that few ports are in.
_SELDOM = (shaping.FROM, shaping.TO, telling.LOGGED)
#: So many differing rules are written out in full.
_SHOWN = 8


class Checking:
    """One ``check`` call. Changes nothing."""

    def __init__(
        self, bridging: Bridging, nft: Nft, settings: Settings, clock: Callable[[], float],
        batch: Batch, *, guarding: bool, ways: Mapping[str, Sequence[str]],
        grouping: Grouping | None = None, networks: Networks | None = None,
        answering: Answering | None = None,
    ) -> None:  # fmt: skip
        self.answering = answering
        self.networks = networks
        self.grouping = grouping
        self.bridging = bridging
        self.nft = nft
        self.settings = settings
        self.clock = clock
        self.batch = batch
        self.guarding = guarding
        self.ways = ways
        self._tunnels: dict[str, frozenset[FdbEntry]] = {}

    def run(self) -> dict[str, Report]:
        """A report for every port, of the time at which the reading began: what changes meanwhile
        is newer than it."""
        began = self.clock()
        reports = {
            port_id: Report([fact("wiring", error.message, "readable", "")], at=began)
            for port_id, error in self.batch.failed.items()
        }
        works = self.batch.works
        if not works:
            return reports
        self.prepare(works)
        devices = self._devices(works)
        base = self._base()
        filters = self._filters(works)
        entries = self._entries(works)
        guards = self._guards(works)
        bars = self._bars(guards)
        groups = GroupReader(self.nft, self.grouping)
        answers = self.answering.evidence(works) if self.answering is not None else {}
        resting = [w for w in works if w.item.settled or w.item.thorough]
        beside = Beside(self.bridging, self.nft, self.ways, resting)
        for work in works:
            judged, gate = filters(work)
            device = devices.get(work.device)
            facts = self.device_side(work, device)
            if work.device in guards:
                facts += guard_evidence(work, guards[work.device], bars.get(work.device))
            facts += [*base, *judged, *groups.evidence(work)]
            if work.stands:
                facts += network_evidence(work, devices, self._settings_of(work))
                facts += [*self._tunnel(work), *answers.get(work.id, ())]
            facts += entries.get(work.id, [])
            if work.item.settled or work.item.thorough:
                facts += beside.evidence(work, device)
            passing = gate and device is not None and device.master is not None
            # one that waits for its parent is closed by nobody, and open with that one again
            known = passing if work.carried else None
            reports[work.id] = Report(facts, at=began, passing=known)
        return reports

    def prepare(self, works: Sequence[Work]) -> None:
        """Read what only ports of a kind need."""

    def device_side(self, work: Work, device: Device | None) -> list[Evidence]:
        """What its frames come and go by."""
        link = device.link if device is not None else None
        return tap.evidence(work, link, self.settings.max_queues)

    def _settings_of(self, work: Work) -> Settings:
        networks = self.networks
        return self.settings if networks is None else networks.settings_of(work.names)

    def _tunnel(self, work: Work) -> list[Evidence]:
        """Who is behind which tunnel endpoint of the port's network, where that is known."""
        networks, uplink = self.networks, work.names.uplink
        known = networks.forwarding(work.names) if networks is not None else None
        if known is None or work.names.network_type != "vxlan":
            return []
        if uplink not in self._tunnels:
            self._tunnels[uplink] = self.bridging.tunnels(uplink)
        wanted = overlay.entries(uplink, known, self.settings)
        texts = overlay.difference(self._tunnels[uplink], wanted)
        return [fact("uplink.forwarding", texts or "as wanted", "as wanted", "netlink")]

    def _devices(self, works: Sequence[Work]) -> dict[str, Device]:
        names = [n for w in works for n in (w.device, w.names.bridge, w.names.uplink) if n]
        return self.bridging.get(names)

    def _guards(self, works: Sequence[Work]) -> Mapping[str, Program | None]:
        return self.bridging.guards([w.device for w in works]) if self.guarding else {}

    def _bars(self, guards: Mapping[str, Program | None]) -> Mapping[str, str]:
        """Why guards that are missing cannot be there."""
        without = [device for device, program in guards.items() if program is None]
        return self.bridging.barred(without) if without else {}

    def _base(self) -> list[Evidence]:
        """The chains that all ports share."""
        wanted = ruleset.base(self.settings.guests_reach_host)
        try:
            found = self.nft.chains(TABLE, [chain.name for chain in wanted])
        except VifError as error:
            return [fact("nft", error.message, "readable", "nft")]
        held = self.nft.held(TABLE)
        told = [] if held is None else [Evidence("nft.held", have=held, source="nft")]
        return told + [
            fact(f"nft.{chain.name}", _state(found.get(chain.name), chain), "as wanted", "nft")
            for chain in wanted
        ]

    def _filters(
        self, works: Sequence[Work]
    ) -> Callable[[Work], tuple[list[Evidence], bool | None]]:
        """What was read of each port's own rules, and whether it was found open."""
        filters = {w.id: w.filter() for w in works}
        asked = [element for f in filters.values() for element, _ in f.elements]
        names = [name for f in filters.values() for name in f.rules]
        try:
            present = iter(self.nft.elements(TABLE, asked))
            elements = {i: [next(present) for _ in f.elements] for i, f in filters.items()}
            chains = self.nft.chains(TABLE, names)
        except VifError as error:
            problem = fact("nft", error.message, "readable", "nft")
            return lambda _: ([problem], None)

        def judged(work: Work) -> tuple[list[Evidence], bool | None]:
            facts = [
                fact(f"nft.{element.set}", have == element, is_wanted, "nft")
                for (element, is_wanted), have in zip(
                    filters[work.id].elements, elements[work.id], strict=True
                )
                # ports without limits or logs are many
                if is_wanted or have is not None or element.set not in _SELDOM
            ]
            facts += rule_evidence(filters[work.id], chains)
            if filters[work.id].shape is not None:
                facts += [self._shaping(), *shape_evidence(filters[work.id], chains)]
            return facts, elements[work.id][-1] is not None

        return judged

    def _shaping(self) -> Evidence:
        """What ports with limits share."""
        have = "another one" if shaping_base(self.nft) else "as wanted"
        return fact("nft.shaping", have, "as wanted", "nft")

    def _entries(self, works: Sequence[Work]) -> dict[str, list[Evidence]]:
        """The ports' own addresses in the forwarding tables, as far as they shall be there."""
        opened = [w for w in works if w.joins()]
        if not opened:
            return {}
        found = self.bridging.fdb([entry(w) for w in opened])
        return {w.id: entry_evidence(w.device, have) for w, have in zip(opened, found, strict=True)}


def entry_evidence(device: str, have: FdbEntry | None) -> list[Evidence]:
    """Where frames for a port's own address go, and that forged frames do not lead them away."""
    place = fact("bridge.forwarding", have.device if have else None, device, "netlink")
    if have is None or have.fixed is None:
        return [place]
    return [place, fact("bridge.forwarding_fixed", have.fixed, True, "netlink")]


def guard_evidence(work: Work, have: Program | None, bar: str | None = None) -> list[Evidence]:
    """What is refused on the device itself.

    :param bar: what of other software has its place; a plug finds it there as well
    """
    if bar is not None:
        return [Evidence("device.guard", bar, "as wanted", False, "netlink", repairable=False)]
    keep_tags(work, have)
    wanted = work.program()
    told = "missing" if have is None else "as wanted" if have == wanted else _steps(have)
    return [fact("device.guard", told, "as wanted", "netlink")]


def _steps(program: Program) -> str:
    return "closed" if program == SHUT else f"another program of {len(program)} steps"


def network_evidence(work: Work, devices: dict[str, Device], settings: Settings) -> list[Evidence]:
    """The port on its bridge, the bridge, and its way out."""
    names, device = work.names, devices.get(work.device)
    wanted_names = wiring.completed(work.item.attachment, names, settings)
    bridge = devices.get(names.bridge)
    if names.own_bridge:
        problem = bridge_problem(names, bridge, work.mtu)
    else:
        problem = "" if bridge is not None and bridge.link.kind == "bridge" else "missing"
    facts = [fact("bridge", problem or "as wanted", "as wanted", "netlink")]
    facts += names_evidence(names, wanted_names)
    index = bridge.link.ifindex if bridge is not None else None
    if device is not None and not work.joins():
        # it becomes a port of the bridge when it opens
        facts.append(fact("bridge.closed", device.master is None, True, "netlink"))
    elif device is not None:
        wanted = bridge_port(work)
        facts += [
            fact("bridge.port", device.master, index, "netlink"),
            fact("bridge.flood", device.flood, wanted.flood, "netlink"),
            fact("bridge.learning", device.learning, wanted.learning, "netlink"),
            # where the kernel does not tell there is nothing that could be otherwise
            fact("bridge.isolated", bool(device.isolated), False, "netlink"),
            fact("bridge.broadcasts", device.broadcasts is not False, True, "netlink"),
            # a guest need not run yet
            Evidence("bridge.forwards", have=device.forwarding, source="netlink"),
        ]
    facts += mapping_evidence(wanted_names.physical_network, settings)
    if names.uplink:
        uplink = devices.get(names.uplink)
        problem = uplink_problem(names, uplink, index or 0, work.mtu, settings)
        facts.append(fact("uplink", problem or "as wanted", "as wanted", "netlink"))
        if uplink is not None:
            carrier = uplink.link.carrier
            facts.append(Evidence("uplink.carrier", have=carrier, source="netlink"))
    return facts


def names_evidence(names: wiring.LinuxWiring, wanted: wiring.LinuxWiring) -> list[Evidence]:
    """The names of the port's network, where they lack what its document calls for."""
    if names == wanted:
        return []
    have, should = names.details(), wanted.details()
    paths = sorted(k for k in {*have, *should} if have.get(k) != should.get(k))
    return [
        fact("names.network", {k: have.get(k) for k in paths}, {k: should.get(k) for k in paths},
             "journal")
    ]  # fmt: skip


def mapping_evidence(physnet: str | None, settings: Settings) -> list[Evidence]:
    """Whether the configuration still says where the physical network is. Frames go where they
    went; only the operator can say where they should."""
    have = settings.physnets
    if physnet is None or physnet in have:
        return []
    return [Evidence("uplink.mapping", have, physnet, False, "configuration", repairable=False)]


def rule_evidence(filter_: Filter, found: Mapping[str, Chain]) -> list[Evidence]:
    """The port's own chains, rule by rule."""
    facts, device = [], filter_.device
    labels = {device: "nft.rules", groupbase.egress_chain(device): "nft.sent",
              groupbase.ingress_chain(device): "nft.received",
              **dict.fromkeys(telling.chain_names(device), "nft.told")}  # fmt: skip
    limits = shaping.sent_chain(device), shaping.given_chain(device)
    for name, wanted in filter_.rules.items():
        if name in limits:
            continue
        label = labels.get(name, "nft.targets")
        have = found.get(name)
        if have is not None and ruleset.same(have.rules, wanted):
            count = len(wanted)
            facts.append(Evidence(label, have=count, wanted=count, source="nft"))
            continue
        texts = _texts(have.rules) if have else ["missing"]
        facts.append(Evidence(label, have=texts, wanted=_texts(wanted), ok=False, source="nft"))
    return facts


def shape_evidence(filter_: Filter, found: Mapping[str, Chain]) -> list[Evidence]:
    """What the port is held to by its policy, in the units of that; and that nothing else is
    there."""
    device, wanted = filter_.device, filter_.rules
    have = {name: chain.rules for name, chain in found.items()}
    should, does = shaping.facts(device, wanted), shaping.facts(device, have)
    facts = [fact(name, does.get(name, "missing"), text, "nft") for name, text in should.items()]
    for name in (shaping.sent_chain(device), shaping.given_chain(device)):
        rules = have.get(name)
        if name in wanted and rules is not None and not ruleset.same(rules, wanted[name]):
            facts.append(fact("nft.limits", _texts(rules), _texts(wanted[name]), "nft"))
    return facts


def _state(chain: Chain | None, wanted: Chain) -> str:
    if chain is None:
        return "missing"
    if chain.flaw:
        return chain.flaw
    if not chain.placed_as(wanted):
        return "nothing calls it" if chain.hook is None else "frames come by it at another place"
    return (
        "as wanted" if ruleset.same(chain.rules, wanted.rules) else "; ".join(_texts(chain.rules))
    )


def _texts(rules: Sequence[Rule]) -> list[str]:
    texts = [str(rule) for rule in rules]
    more = len(texts) - _SHOWN
    return [*texts[:_SHOWN], f"and {more} more"] if more > 0 else texts
