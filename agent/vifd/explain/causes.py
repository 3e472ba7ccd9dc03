"""What a fact that is not as wanted means: the step it breaks, in words, and what follows from it.

One table for each plugin: what it declares of its own facts, and the core's rows. The order of the
rows is the order of the path, and within a step the graver cause comes first. A finding that
another one explains is not the first broken step, wherever it stands.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from vifd.explain import phrases as say
from vifd.explain.explanation import Name
from vifd.explain.subject import Subject
from vifd.model import Evidence
from vifd.plugin import VifPlugin
from vifd.plugin.meanings import WHO, Meaning, Meanings, missing, plain

LOG = logging.getLogger(__name__)

#: What takes a limit of the kernel's traffic control away.
UNLIMIT = "if nobody means it: `tc qdisc del dev DEVICE root` and `tc qdisc del dev DEVICE ingress`"
#: What shows and takes away a filter of other software.
UNFILTER = (
    "`nft list ruleset` shows it; let the frames of the port pass there, or take it away: `nft "
    "delete table FAMILY NAME`"
)

_CORE: tuple[Meaning, ...] = (
    Meaning("names", ("wiring", "names"), plain, "unplug the port and plug it again"),
    Meaning("device", ("device", "device.exists"), say.device_missing, WHO,
            ("device.*", "guest.device"), missing),
    Meaning("device", ("device.ifindex",), say.device_anew,
            f"{WHO}; a guest that runs must have its interface attached anew",
            ("device.*", "guest.device")),
    Meaning("device", ("device.alias",), say.device_mark, WHO),
    Meaning("device", ("device.up",), say.device_down, WHO, ("device.carrier", "guest.device")),
    Meaning("device", ("device.mtu",), say.device_mtu,
            f"{WHO}; `mtu_request` in the switch's database sets it too"),
    Meaning("device", ("device.mac",), say.device_mac, WHO),
    Meaning("device", ("device.ipv6",), say.device_ipv6, WHO),
    Meaning("device", ("device.master",), say.device_elsewhere, WHO, ("device.others",)),
    Meaning("device", ("device.others",), say.put_on_device,
            "take it away again: `tc filter`, `tc qdisc`, `ip address` and `ip -d link` show it, "
            "`ip link set NAME xdp off` takes a program off"),
    Meaning("device", ("device.claimed",), say.claimed_by_host,
            "give the host another address, or the port: `ip address del ADDRESS dev NAME`"),
    Meaning("device", ("device.filters",), say.filtered_device, UNFILTER),
    Meaning("device", ("device.limits",), say.device_limited,
            f"{UNLIMIT}. vifd leaves it: libvirt's <bandwidth> sets such limits on purpose, "
            "`virsh domiftune` shows them"),
    Meaning("device", ("device.multi_queue",), say.device_queues,
            "shut its guest down: a device that nobody has open is made anew for as many queues as "
            "the document asks"),
    Meaning("device", ("device*",), plain, WHO),
    Meaning("filter", ("security_groups*",), say.awaits_set,
            "have the network service say it, or `vifctl sg set` it; `vifctl sg list` shows those "
            "that are here"),
    Meaning("uplink", ("uplink.mapping",), say.unmapped, say.MAP_AND_RESTART, ("uplink.*",)),
    Meaning("uplink", ("uplink.carrier", "uplink.up"), say.uplink_down,
            "look at the cable, the bond and the switch at its other end"),
    Meaning("uplink", ("uplink.mtu",), say.uplink_mtu,
            "raise the MTU of the interface to the physical network, or lower that of the network"),
    Meaning("uplink", ("uplink.filters",), say.filtered_way, UNFILTER),
    Meaning("uplink", ("uplink.others",), say.put_on_way,
            "if frames are lost there, take it away again: `tc filter show dev NAME`, `tc qdisc` "
            "and `ip -d link` show it, `ip link set NAME xdp off` takes a program off"),
    Meaning("uplink", ("uplink.limits",), say.way_limited,
            f"{UNLIMIT}; in Open vSwitch `ovs-vsctl set interface NAME ingress_policing_rate=0 "
            "ingress_policing_kpkts_rate=0` and `ovs-vsctl clear port NAME qos`"),
    Meaning("uplink", ("uplink*",), say.uplink, WHO),
    Meaning("guest", ("guest.carrier",), say.no_carrier,
            "`ip link set DEVICE carrier on`; somebody took it away, the kernel does not"),
    Meaning("guest", ("guest.holder",), say.held_by_stranger,
            "end that process, or give it a device of its own: the guest of the port cannot open "
            "this one meanwhile"),
    Meaning("guest", ("guest.device",), say.guest_lost,
            "`vifctl port repair` takes the device out of the guest and puts it back"),
    Meaning("guest", ("guest*",), plain, "look at the guest's console and its XML"),
)  # fmt: skip

#: The steps of what a plugin does not declare, by where it was read.
_BY_SOURCE = {
    "netlink": Name.DEVICE,
    "stat": Name.DEVICE,
    "file system": Name.DEVICE,
    "ovsdb": Name.PORT,
    "openflow": Name.FLOWS,
    "nft": Name.FILTER,
    "trace": Name.TRACE,
    "proc": Name.GUEST,
}
_STAGES = {
    "name": "names", "names": "names", "device": "device", "device settings": "device",
    "bridge": "switch", "switch port": "port", "bridge port": "port", "filter": "filter",
    "uplink": "uplink", "network": "uplink", "verify": "trace", "wait": "status",
    "journal": "status",
}  # fmt: skip


class Causes:
    """The rows that hold for one plugin's ports.

    :raises ValueError: there is no such step
    """

    def __init__(self, declared: Meanings) -> None:
        own = [replace(row, step=Name(row.step)) for row in declared.rows]
        core = [_with_what_follows(row, declared.follows) for row in _CORE]
        self.rows = [row for step in Name for row in (*own, *core) if row.step == step]
        self.names = declared.names
        self._through = declared.through
        self._shown = {"device.carrier": Name.GUEST} | _steps(declared.shown)
        self._stages = _steps({**_STAGES, **declared.stages})
        self._sound = {Name(step): told for step, told in declared.sound.items()}

    def of(self, finding: Evidence) -> Meaning:
        """The row for a finding, also where nobody declared it."""
        for row in self.rows:
            if _meets(row, finding):
                return row
        step = _BY_SOURCE.get(finding.source, Name.PORT)
        return Meaning(step, (finding.fact,), plain, "see the documentation of the plugin")

    def also_of(self, finding: Evidence) -> Meaning | None:
        """The row of the later step that the finding breaks as well."""
        later = self.of(finding).breaks
        return next((r for r in self.rows if r.step == later and _meets(r, finding)), None)

    def step_of(self, fact: Evidence) -> Name:
        """The step that a fact belongs to, right or wrong."""
        if fact.fact in self._shown:
            return self._shown[fact.fact]
        named = (r for r in self.rows if matching(fact.fact, r.facts) and not r.breaks)
        return Name(next(named, self.of(fact)).step)

    def step_of_stage(self, stage: str) -> Name | None:
        """The step at which an attempt ended."""
        return self._stages.get(stage)

    def who(self, silence: Evidence) -> str:
        """Who it is that gives no answer, as a fact of the plugin's pulse tells."""
        return self._through.get(silence.fact, silence.fact)

    def told(self, step: Name, port: Subject, facts: Sequence[Evidence]) -> str | None:
        """What the plugin has to say of a step none of whose facts differs; ``None``: nothing."""
        own = self._sound.get(step)
        if own is None or not facts or port.report is None:
            return None
        try:
            return own({e.fact: e.have for e in port.report.evidence}, port)
        except Exception as error:  # noqa: BLE001 - what a plugin gives may raise anything
            LOG.warning("port %s: plugin %s cannot tell of step %s: %r; its facts are told by "
                        "their names", port.record.id, port.record.plugin, step, error)  # fmt: skip
            return None

    def rank(self, finding: Evidence) -> int:
        """Where a finding's row stands: the smaller, the earlier on the path and the graver."""
        row, steps = self.of(finding), list(Name)
        if row in self.rows:
            return self.rows.index(row)
        place = steps.index(Name(row.step))
        upto = [n for n, r in enumerate(self.rows) if steps.index(Name(r.step)) <= place]
        return max(upto, default=0)

    def roots(self, findings: Iterable[Evidence]) -> list[Evidence]:
        """The findings that no other one explains, the first on the path first."""
        found = list(findings)
        alone = (f for f in found if self.explanation_of(f, found) is None)
        return sorted(alone, key=self.rank)

    def explanation_of(self, finding: Evidence, findings: Iterable[Evidence]) -> Evidence | None:
        """The finding that explains this one, if there is one."""
        for other in sorted(findings, key=self.rank):
            if other is finding or not self._explains(other, finding):
                continue
            # of two that explain each other the earlier one is the cause
            if self.rank(other) < self.rank(finding) or not self._explains(finding, other):
                return other
        return None

    def _explains(self, cause: Evidence, finding: Evidence) -> bool:
        row, explained = self.of(cause), self.of(finding)
        if self.rank(cause) == self.rank(finding) or not matching(finding.fact, row.explains):
            return False
        return not explained.only_by or row.step in explained.only_by


def said(row: Meaning, finding: Evidence, port: Subject) -> str:
    """A finding in the words of its row."""
    try:
        return row.sentence(finding, port)
    except Exception as error:  # noqa: BLE001 - what a plugin gives may raise anything
        LOG.warning("port %s: plugin %s has no sentence for %s: %r; it is told by its name",
                    port.record.id, port.record.plugin, finding.fact, error)  # fmt: skip
        return plain(finding, port)


def matching(name: str, patterns: Iterable[str]) -> bool:
    """Whether a fact's name is one of these; ``*`` stands for anything."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _meets(row: Meaning, finding: Evidence) -> bool:
    return matching(finding.fact, row.facts) and row.applies(finding)


def _steps(by: Mapping[str, str]) -> dict[str, Name]:
    return {name: Name(step) for name, step in by.items()}


def _with_what_follows(row: Meaning, follows: Mapping[str, tuple[str, ...]]) -> Meaning:
    more = [facts for fact, facts in follows.items() if fact in row.facts]
    return replace(row, step=Name(row.step), explains=sum(more, row.explains))


#: By plugin; one that declares nothing, or is not there, has the core's rows.
_declared: dict[str, Causes] = {}
_UNDECLARED = Causes(Meanings())


def of(plugin: str) -> Causes:
    """The table for a plugin's ports."""
    return _declared.get(plugin, _UNDECLARED)


def learn(name: str, plugin: VifPlugin | type[VifPlugin]) -> None:
    """Take what a plugin declares; it is asked once, when it is found. What cannot be used costs
    its own sentences, and is told."""
    try:
        _declared[name] = Causes(plugin.meanings())
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        LOG.warning("plugin %s: what it says its facts mean cannot be used: %s. Next: its facts "
                    "are explained by their names", name, error)  # fmt: skip
