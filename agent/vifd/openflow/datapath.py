"""The ports and actions of a datapath as ``ovs-appctl`` prints them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PORT = re.compile(r"^\s+(?P<name>\S+) (?P<ofport>\d+)/(?P<number>\d+): ")
_PUSH = re.compile(r"^push_vlan\((?:\w+=\w+,)*?vid=(?P<vid>\d+)")
_NESTED = re.compile(r"^(?:clone|sample|check_pkt_len)\((?P<inner>.*)\)$")


def ports(text: str) -> dict[str, int]:
    """The datapath's number of each port in the answer of ``dpif/show``; patch ports have none."""
    found = (_PORT.match(line) for line in text.splitlines())
    return {line["name"]: int(line["number"]) for line in found if line}


def outputs(actions: Iterable[str]) -> set[tuple[int, int | None]]:
    """By which ports a packet leaves, and with which outer VLAN id; ``None`` for one that the
    actions did not tag.

    :param actions: of each pass, as ``ofproto/trace`` prints them
    """
    found: set[tuple[int, int | None]] = set()
    for line in actions:
        _follow(line, [], found)
    return found


def _follow(line: str, tags: list[int], found: set[tuple[int, int | None]]) -> None:
    for word in top_level(line):
        if word.isdigit():
            found.add((int(word), tags[-1] if tags else None))
        elif pushed := _PUSH.match(word):
            tags.append(int(pushed["vid"]))
        elif word.startswith("pop_vlan"):
            if tags:
                tags.pop()
        elif nested := _NESTED.match(word):
            _follow(nested["inner"], list(tags), found)


def top_level(actions: str) -> list[str]:
    """Datapath actions, split at the commas that stand in no parentheses."""
    words, depth, start = [], 0, 0
    for index, character in enumerate(actions):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            words.append(actions[start:index])
            start = index + 1
    return [*words, actions[start:]]
