"""Ports by what people know of them: id or its beginning, name, device, MAC or IP address."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vifd.cli.base import NoSuchPort, UsageError
from vifd.cli.client import Client

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: The beginning of an id that is taken for one, in characters.
SHORTEST = 4
#: Ports that are named where a word fits several.
_NAMED = 8


def ids(client: Client, words: Sequence[str]) -> list[str]:
    """The id of each port, in order and each once. Whole ids are not looked up.

    :raises NoSuchPort: a word fits none
    :raises UsageError: a word fits several
    """
    wanted = list(dict.fromkeys(words))
    if all(_UUID.fullmatch(word) for word in wanted):
        return wanted
    params = {"fields": "id,device,document"}
    ports = client.call("GET", "/v1/ports", params=params)["ports"]
    return list(dict.fromkeys(choose(word, ports) for word in wanted))


def one(client: Client, word: str) -> str:
    """See :func:`ids`."""
    return ids(client, [word])[0]


def choose(word: str, ports: Sequence[Mapping[str, Any]]) -> str:
    """The id of the one port that a word fits. Pure.

    What fits wholly goes before what fits with its beginning.

    :raises NoSuchPort: it fits none
    :raises UsageError: it fits several
    """
    if _UUID.fullmatch(word):
        return word
    for fits in (_is, _begins):
        found = [port for port in ports if fits(word, port)]
        if len(found) == 1:
            return str(found[0]["id"])
        if found:
            raise UsageError(f"{word} fits {len(found)} ports: {_list(found)}")
    raise NoSuchPort(f"there is no port {word} on this host{_meant(word, ports)}")


def _is(word: str, port: Mapping[str, Any]) -> bool:
    return word in (port["device"], _name(port)) or _address(word) in _addresses(port)


def _begins(word: str, port: Mapping[str, Any]) -> bool:
    return len(word) >= SHORTEST and str(port["id"]).startswith(word.lower())


def _name(port: Mapping[str, Any]) -> str:
    return str(port["document"]["port"].get("name") or "")


def _addresses(port: Mapping[str, Any]) -> Iterator[str]:
    document = port["document"]
    yield _address(str(document["port"].get("mac_address")))
    for fixed in document.get("fixed_ips") or ():
        yield _address(str(fixed.get("ip_address")))


def _address(text: str) -> str:
    """An address as it is compared; what is none stays as it is, and fits no address."""
    plain = text.lower().replace("-", ":")
    if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", plain):
        return plain
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return f"no address: {text}"


def _list(ports: Sequence[Mapping[str, Any]]) -> str:
    said = [" ".join(filter(None, (str(p["id"]), _name(p)))) for p in ports[:_NAMED]]
    more = len(ports) - _NAMED
    return ", ".join(said) + (f" and {more} more" if more > 0 else "")


def _meant(word: str, ports: Sequence[Mapping[str, Any]]) -> str:
    known = [k for p in ports for k in (_name(p), str(p["device"]), str(p["id"])) if k]
    close = difflib.get_close_matches(word, known, 1, 0.7)
    return f"; did you mean {close[0]}?" if close else "; vifctl port list shows them"
