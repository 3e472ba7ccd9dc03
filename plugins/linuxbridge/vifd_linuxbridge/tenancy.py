"""One daemon per packet filter: who has it stands in the notes of a chain of its table.

The table, and the bridges, are one per network namespace, whatever journals there are. A second
daemon would take what the first one made for garbage, or for its own. The chain is in nobody's way:
nothing jumps to it. Where the kernel gives tables an owner, that guards changes; the mark guards
devices and bridges as well, and says in words whose they are.
"""

from __future__ import annotations

import logging

from vifd.drivers import Nft
from vifd.drivers.nft.objects import Chain, Change, Rule
from vifd.errors import BridgeTaken
from vifd.plugin import identity
from vifd.plugin.identity import Identity
from vifd_linuxbridge import marks
from vifd_linuxbridge.ruleset import SETS, TABLE

LOG = logging.getLogger(__name__)

#: The chain that names the daemon.
CHAIN = "vifd-agent"
HINT = (
    "stop one of the two, or leave linuxbridge out of enabled_plugins of one. If the other ran "
    f"in a container and is gone for good: nft delete chain bridge {TABLE} {CHAIN}"
)


def problem(nft: Nft, own: Identity | None) -> BridgeTaken | None:
    """Why this daemon may touch nothing: another one that is at work has the table.

    :raises VifError: the table cannot be read
    """
    other = _marked(nft) if own is not None else None
    if own is None or other is None or not identity.rivals(other, own):
        return None
    facts = {"bridge": f"{TABLE} (nftables, bridge)", "agent": str(other), "pid": other.pid,
             "state_path": other.state}  # fmt: skip
    text = f"nftables table bridge {TABLE} is that of {other}, which is at work on it"
    return BridgeTaken(text, facts=facts, stage="nft", hint=HINT)


def require(nft: Nft, own: Identity | None) -> None:
    """Ask before marks on this host are taken for this daemon's, or anything is changed.

    :raises BridgeTaken: another daemon is at work here
    """
    taken = problem(nft, own)
    if taken is not None:
        raise taken


def claim(nft: Nft, own: Identity | None) -> list[Chain]:
    """What says that this daemon has the table, to be made with its first filter; nothing where it
    says so already.

    :raises BridgeTaken: another daemon is at work here
    """
    require(nft, own)
    other = _marked(nft) if own is not None else None
    if own is None or other == own:
        return []
    if other is not None and other.id != own.id:
        LOG.warning("nftables table bridge %s was that of %s, which does not run any more; it is "
                    "taken over", TABLE, other)  # fmt: skip
    return [_chain(own)]


def renew(nft: Nft, own: Identity | None, *, ported: bool) -> None:
    """Say that this life of the daemon has the table: one that its last life had, or where it has
    ports and nobody says otherwise (the ruleset was flushed, or an older vifd made it).

    :param ported: whether this daemon's journal has ports here
    :raises VifError: another daemon has it, or it cannot be changed
    """
    other = _marked(nft) if own is not None else None
    if own is None or other == own:
        return
    if ported or (other is not None and other.id == own.id):
        nft.apply(TABLE, Change(sets=SETS, chains=claim(nft, own)))


def _chain(own: Identity) -> Chain:
    text = own.text().encode()
    size = marks.NOTE_BYTES
    notes = [text[i : i + size] for i in range(0, len(text), size)]
    return Chain(CHAIN, tuple(Rule(marks.CARRIER, note) for note in notes))


def _marked(nft: Nft) -> Identity | None:
    """Who has the table; ``None`` for nobody, or where the mark makes no sense."""
    chain = nft.chains(TABLE, [CHAIN]).get(CHAIN)
    if chain is None:
        return None
    return identity.parse(b"".join(rule.note for rule in chain.rules).decode(errors="replace"))
