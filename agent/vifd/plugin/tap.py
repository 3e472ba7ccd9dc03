"""The tap devices of a batch: what every plugin does with them, whatever it plugs them into.

The way back of a step is registered before the step is taken, because a call that fails may have
had its effect all the same; every way back looks at the mark before it removes anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from vifd.drivers import MARK, Link, Links, Tap
from vifd.errors import DeviceError, VifError, wrap
from vifd.model import Attachment, Evidence
from vifd.model.evidence import fact
from vifd.plugin import guest, queues
from vifd.plugin.batch import Batch, Names, Work

_SOURCE = "netlink"


class TapNames(Names, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a port on a tap; plugins add their fields.

    :param ifindex: of the device that was plugged; ``None`` where there is none
    :param multi_queue: whether it has several queues
    :param plugged: false for planned names, true once the port was made
    :param adopted: of planned names: the device is there and is to be taken over as it is
    """

    ifindex: int | None = None
    multi_queue: bool = False
    plugged: bool = False
    adopted: bool = False


class Former(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a device was in another program, so that it can be given back.

    :param alias: of the device
    :param mac: of the device
    """

    alias: str = ""
    mac: str = ""


@dataclass
class TapWork(Work):
    """One port on its way through a call."""

    names: Any


W = TypeVar("W", bound=TapWork)


class TapSettings(Protocol):
    """What operators say of taps, among a plugin's options."""

    @property
    def max_queues(self) -> int: ...

    @property
    def tap_owner(self) -> int | None: ...


def alias(port_id: str) -> str:
    """The interface alias of a port's device: our mark."""
    return f"{MARK}{port_id}"


# --- plug -----------------------------------------------------------------------------------------


class Taps(Generic[W]):
    """The devices of one ``plug`` call.

    :ivar links: by port, its device, once it was made
    :ivar before: by name, the devices that were there
    """

    def __init__(self, links: Links, batch: Batch[W], settings: TapSettings) -> None:
        self._driver = links
        self._batch = batch
        self._settings = settings
        self.links: dict[str, Link] = {}
        self.before: dict[str, Link] = {}

    def fresh(self, work: W) -> bool:
        """Whether the port has got a new device."""
        return work.device not in self.before

    def make(self) -> None:
        """Take over what is to be adopted, and make the devices that are missing."""
        self._take_over()
        remark(self._driver, self._batch)
        self._fit()
        for work in self._batch:
            link = self.before.get(work.device)
            if link is None:
                back = partial(remove, self._driver, work.device, work.id)
                work.item.undo.push("device", back)
            elif link.alias == alias(work.id):
                work.item.undo.push("device settings", partial(_restore, self._driver, link))
        made = self._driver.create_taps([self._tap(w) for w in self._batch.works])
        for work in self._batch:
            result = made.get(work.device)
            if isinstance(result, Link):
                self.links[work.id] = result
            else:
                facts = {"device": work.device, "problem": "no answer about it"}
                self._batch.fail(work, wrap(result or DeviceError(facts=facts)), "device")

    def _take_over(self) -> None:
        """Put the mark on devices that are to be adopted: those that were found, and no others."""
        for work in [w for w in self._batch if w.names.adopted]:
            link = self._driver.get([work.device]).get(work.device)
            if link is not None and link.ifindex == work.names.ifindex:
                back = {work.device: (link.ifindex, link.alias)}
                work.item.undo.push("mark", partial(self._driver.unmark, back))
                self._driver.remark({work.device: (link.ifindex, alias(work.id))})

    def _fit(self) -> None:
        """Have devices for as many queues as the documents ask. One of ours that is of the other
        kind is taken away, unless a guest has it open: that setting cannot be changed."""
        there = self._driver.get([w.device for w in self._batch])
        misfits = set()
        for work in self._batch:
            link, mark = there.get(work.device), alias(work.id)
            if not work.names.adopted:
                limit, made = self._settings.max_queues, work.names.multi_queue
                links = self._driver
                kind = queues.to_make(work.item, limit, link, mark, made=made, links=links)
                work.names = replace(work.names, multi_queue=kind)
            if link is None or link.alias != mark or link.multi_queue == work.names.multi_queue:
                continue
            if not self._driver.opened(work.device):
                misfits.add(work.device)
        if misfits:
            self._driver.delete(sorted(misfits))
        self.before = {name: link for name, link in there.items() if name not in misfits}

    def _tap(self, work: W) -> Tap:
        attachment = work.item.attachment
        return Tap(
            work.device, guest.tap_mac(attachment.mac), attachment.network.mtu, alias(work.id),
            multi_queue=work.names.multi_queue, owner=self._settings.tap_owner, promiscuous=True,
        )  # fmt: skip

    def up(self, works: Iterable[W]) -> None:
        """Bring devices up that something took down; one that cannot be fails its port."""
        for work in works:
            try:
                self._driver.set(work.device, up=True)
            except VifError as error:
                self._batch.fail(work, error, "device")

    def plugged(self) -> None:
        """Note in the names of each port what was plugged."""
        for work in self._batch:
            index = self.links[work.id].ifindex
            work.names = replace(work.names, ifindex=index, plugged=True, adopted=False)


def _restore(links: Links, before: Link) -> None:
    """Bring a device that was there before back to its MTU."""
    now = links.get([before.name]).get(before.name)
    if now is not None and now.ifindex == before.ifindex and now.mtu != before.mtu:
        links.set(before.name, mtu=before.mtu)


def remark(links: Links, works: Iterable[TapWork]) -> None:
    """Put the mark back on devices that were plugged, where another program changed the alias."""
    known = {w.device: (w.names.ifindex, alias(w.id)) for w in works if not w.names.adopted}
    plugged = {name: (index, mark) for name, (index, mark) in known.items() if index}
    if plugged:
        links.remark(plugged)


# --- unplug and release ---------------------------------------------------------------------------


def remove(links: Links, device: str, port_id: str) -> None:
    """Remove a device if it bears the port's mark."""
    link = links.get([device]).get(device)
    if link is not None and link.alias == alias(port_id):
        links.delete([device])


def remove_all(links: Links, works: Sequence[TapWork]) -> set[str]:
    """Remove the devices of several ports, as far as they are the ports'.

    :returns: the names of those that are gone now, and of those that were gone already
    """
    remark(links, works)
    ids = {work.device: work.id for work in works}
    present = links.get(list(ids))
    ours = {n for n, link in present.items() if link.alias == alias(ids[n])}
    if ours:
        links.delete(sorted(ours))
    return {n for n in ids if n in ours or n not in present}


def owns(link: Link, work: TapWork) -> bool:
    """Whether a device is the one that was made for the port, or bears its mark."""
    return link.ifindex == work.names.ifindex or link.alias == alias(work.id)


def give_back(links: Links, work: TapWork, before: Former) -> None:
    """Give a device back that was adopted: it stays, with the MAC address that it had, and the
    alias last: the mark says that there is something to do."""
    link = links.get([work.device]).get(work.device)
    if link is None or not owns(link, work):
        return
    own = work.item.attachment.mac
    if before.mac and link.mac in (own, guest.tap_mac(own)):
        links.set(work.device, mac=before.mac)
    links.unmark({work.device: (link.ifindex, before.alias)})


# --- check ----------------------------------------------------------------------------------------


def evidence(work: TapWork, link: Link | None, max_queues: int) -> list[Evidence]:
    """What was read of the device, beside what it should be."""
    if link is None:
        return [fact("device", "missing", work.device, _SOURCE)]
    attachment, names = work.item.attachment, work.names
    facts = [fact("device", link.name, work.device, _SOURCE)]
    if names.ifindex is not None:
        facts.append(fact("device.ifindex", link.ifindex, names.ifindex, _SOURCE))
    kind = queues.fitting(attachment, max_queues, link, made=names.multi_queue)
    facts += [
        fact("device.mac", link.mac, guest.tap_mac(attachment.mac), _SOURCE),
        fact("device.mtu", link.mtu, attachment.network.mtu, _SOURCE),
        fact("device.multi_queue", link.multi_queue, kind, _SOURCE),
        fact("device.up", link.up, True, _SOURCE),
        fact("device.alias", link.alias, alias(work.id), _SOURCE),
    ]
    if link.ipv6 is not None:
        facts.append(fact("device.ipv6", link.ipv6, False, _SOURCE))
    # a guest need not run yet
    return [*facts, Evidence("device.carrier", have=link.carrier, source=_SOURCE)]


# --- adoption -------------------------------------------------------------------------------------


def problem(link: Link | None, attachment: Attachment) -> str:
    """Why a device that another program plugged cannot be taken over as it stands."""
    mtu = attachment.network.mtu
    if link is None:
        return "there is no such device"
    if link.kind != "tun":
        kind = link.kind or "physical"
        return f"it is a {kind} device, the guest's tap is behind it: only taps can be adopted"
    if link.alias.startswith(MARK) and link.alias != alias(attachment.id):
        return f"it bears the mark {link.alias}"
    if link.mtu > mtu:
        return f"its MTU is {link.mtu}, the document says {mtu}: larger frames would be lost"
    return ""
