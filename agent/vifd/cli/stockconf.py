"""An agent.conf made of the stock Neutron agent's files. Pure.

The files are those that ``neutron-openvswitch-agent`` is started with; a later one wins, and
``$name`` is replaced as oslo.config does it. What has no counterpart is told, not dropped.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vifd.cli import stockmap

_REFERENCE = re.compile(r"\$(?:\$|\{([\w.-]+)\}|(\w+(?:\.\w+)?))")
#: How deep one option may refer to others.
_DEPTH = 8


class Unreadable(Exception):
    """A file that no service could be started with; the text says which line."""


@dataclass
class Made:
    """What was made.

    :ivar groups: the options, by group
    :ivar remarks: what was not carried over and why, a sentence each
    """

    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The file."""
        head = ["# Made of the stock agent's files by vifctl config from-neutron."]
        head += [f"# Not carried over: {remark}" for remark in self.remarks]
        parts = ["\n".join(head)]
        for group, options in self.groups.items():
            lines = [f"{name} = {_written(value)}" for name, value in options.items()]
            parts.append("\n".join([f"[{group}]", *lines]))
        return "\n\n".join(parts) + "\n"


class Files:
    """What the stock agent's files say.

    :param texts: a file's name and what is in it, in the order of ``--config-file``
    :raises Unreadable: one of them is no configuration
    """

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        self._set: dict[str, dict[str, str]] = {}
        for name, text in texts:
            for group, options in _parsed(name, text):
                # Groups are named in any case, and in several files.
                self._set.setdefault(group.lower(), {}).update(options)

    def get(self, group: str, name: str) -> str | None:
        """An option's value, or None where it is not set."""
        return self._value(group.lower(), name, _DEPTH)

    def options(self, group: str) -> dict[str, str]:
        """Everything that is set in a group."""
        return {name: self.get(group, name) or "" for name in self._set.get(group.lower(), ())}

    def _value(self, group: str, name: str, depth: int) -> str | None:
        text = self._set.get(group, {}).get(name)
        if text is None:
            return None
        return _REFERENCE.sub(lambda found: self._meant(found, depth), text.strip())

    def _meant(self, found: re.Match[str], depth: int) -> str:
        name = found[1] or found[2]
        if name is None:
            return "$"
        group, _, option = name.rpartition(".")
        value = self._value(group.lower() or "default", option, depth - 1) if depth else None
        return found[0] if value is None else value


def _parsed(name: str, text: str) -> Iterable[tuple[str, dict[str, str]]]:
    # [DEFAULT] is a group like others, from which none inherits.
    parser = configparser.ConfigParser(
        interpolation=None, strict=False, default_section="\0", allow_no_value=True
    )
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    try:
        parser.read_string(text, source=name)
    except configparser.Error as error:
        raise Unreadable(str(error).replace("\n", " ")) from error
    return [
        (group, {key: value or "" for key, value in parser[group].items()})
        for group in parser.sections()
    ]


def configuration(files: Files) -> Made:
    """What vifd is to be told so that it stands in the stock agent's place on this host."""
    made = Made()
    for (group, name), (to_group, to_name) in (*stockmap.SAME.items(), *stockmap.ALSO.items()):
        value = files.get(group, name)
        if value:
            made.groups.setdefault(to_group, {})[to_name] = " ".join(value.split())
    _service(files, made.groups)
    for group in stockmap.WHOLE:
        if options := files.options(group):
            made.groups[group] = options
    for group, name, lacking in stockmap.LACKING:
        value = files.get(group, name)
        if value and lacking.concerns(value):
            made.remarks.append(f"[{group}] {name} = {value}: {lacking.why}")
    made.groups = {name: made.groups[name] for name in _ordered(made.groups)}
    return made


def _service(files: Files, groups: dict[str, dict[str, str]]) -> None:
    """That Neutron is the network service, and whether groups are in force."""
    groups.setdefault("network", {})["service"] = "neutron"
    # as the stock agent does: the bridge is nobody else's to run
    groups.setdefault("ovs", {})["secure_bridge"] = "true"
    driver = files.get("securitygroup", "firewall_driver") or ""
    enabled = files.get("securitygroup", "enable_security_group")
    off = driver.rpartition(".")[2].lower() in stockmap.NO_FIREWALL or _is_off(enabled)
    groups.setdefault("network_neutron", {})["security_groups"] = str(not off).lower()


def _is_off(value: str | None) -> bool:
    return (value or "").lower() in ("false", "no", "off", "0")


def _ordered(groups: Mapping[str, object]) -> list[str]:
    first = [name for name in ("DEFAULT", "network", "network_neutron") if name in groups]
    return first + sorted(set(groups) - set(first))


def _written(value: str) -> str:
    """A value as oslo.config reads it back: a dollar sign means itself, a line break goes on."""
    return value.replace("$", "$$").replace("\n", "\n    ")
