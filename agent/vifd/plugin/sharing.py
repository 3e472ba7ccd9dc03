"""Options that two plugins have for one object of the host, a bridge say: they are said once.

Each plugin has them in its own group and reads its group alone; what one group does not say, the
other one's counts for both. Saying different things of one object is no choice between the two: one
plugin would undo what the other made, so that the configuration is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from oslo_config import cfg
from oslo_config.cfg import Locations


class Sharing(NamedTuple):
    """What a plugin shares with another one, by the names of options that both have.

    :param plugin: the other plugin; where it is not in use, nothing is shared
    :param object: the option that names the object. What the other plugin has there counts where
        this one says nothing; where this one names another object, nothing is shared
    :param options: said in either group, they hold for both plugins
    :param may_differ: those of them that each group may say in its own way
    """

    plugin: str
    object: str
    options: frozenset[str]
    may_differ: frozenset[str] = frozenset()


class Pair(NamedTuple):
    """Two plugins in use that share.

    :param group: of the one that says so
    """

    group: str
    sharing: Sharing

    def other(self, group: str) -> str:
        return self.sharing.plugin if group == self.group else self.group


def pairs(classes: Iterable[Any]) -> list[Pair]:
    """The plugins among these classes that share something with another one of them."""
    shares = {cls.plugin_name: getattr(cls, "shares", None) for cls in classes}
    return [
        Pair(name, sharing)
        for name, sharing in shares.items()
        if isinstance(sharing, Sharing) and sharing.plugin in shares
    ]


class SharedGroup:
    """The options of a plugin, with those of the other group that it does not say itself."""

    def __init__(self, conf: Any, group: str, pair: Pair) -> None:
        self._conf = conf
        self._group = group
        self._pair = pair

    def __getattr__(self, name: str) -> Any:
        return self._conf[self._counts(name)][name]

    def _counts(self, name: str) -> str:
        """The group whose value counts."""
        conf, group, (owner, sharing) = self._conf, self._group, self._pair
        other = self._pair.other(group)
        if name == sharing.object:
            return other if group == owner and not said(conf, group, name) else group
        if name not in sharing.options or said(conf, group, name) or not said(conf, other, name):
            return group
        return other if one_object(conf, self._pair) else group


def said(conf: Any, group: str, name: str) -> bool:
    """Whether an operator says this option, be it the default's value."""
    try:
        found = conf.get_location(name, group)
    except cfg.Error:  # a value that cannot be read
        return True
    return found is not None and found.location not in (
        Locations.opt_default, Locations.set_default,
    )  # fmt: skip


def one_object(conf: Any, pair: Pair) -> bool:
    """Whether both plugins are about the same object."""
    group, sharing = pair
    if not said(conf, group, sharing.object):
        return True
    try:
        return bool(conf[group][sharing.object] == conf[sharing.plugin][sharing.object])
    except cfg.Error:
        return False


def contradictions(conf: Any, shared: Sequence[Pair]) -> Iterator[str]:
    """What the groups say differently of one object, as sentences."""
    for pair in shared:
        if one_object(conf, pair):
            for name in sorted(pair.sharing.options - pair.sharing.may_differ):
                yield from _contradiction(conf, pair, name)


def _contradiction(conf: Any, pair: Pair, name: str) -> Iterator[str]:
    group, sharing = pair
    if not (said(conf, group, name) and said(conf, sharing.plugin, name)):
        return
    try:
        ours, theirs = conf[group][name], conf[sharing.plugin][name]
    except cfg.Error:
        return  # its own plugin is refused for that
    if _plain(ours) != _plain(theirs):
        place = conf[sharing.plugin][sharing.object]
        yield (
            f"[{sharing.plugin}] {name} is {_text(theirs)} and [{group}] {name} is {_text(ours)}, "
            f"but both are about {sharing.object} {place}: say it in one of the two groups, it "
            "holds for both"
        )


def _plain(value: Any) -> Any:
    """A list without what makes no difference: order, repetition, blanks, spellings of addresses"""
    return {_spelled(entry) for entry in value} if isinstance(value, list) else value


def _spelled(entry: Any) -> str:
    text = "".join(str(entry).split())
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def _text(value: Any) -> str:
    return (",".join(map(str, value)) or "empty") if isinstance(value, list) else str(value)
