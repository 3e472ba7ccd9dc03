"""What of vifd's errors reaches nova's log and the instance's fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from os_vif import exception

from vifd_nova.client import Refused

#: The exception of os-vif that says the same; all others are of a plug or unplug that failed.
CLASSES: dict[str, type[exception.ExceptionBase]] = {
    "E_NEG_NO_COMMON_VERSION": exception.NoSupportedVIFVersion,
    "E_NEG_NO_COMMON_VIF": exception.NoMatchingVIFClass,
    "E_PLUGIN_MISSING": exception.NoMatchingPlugin,
    "E_SEG_PHYSNET_UNMAPPED": exception.NetworkMissingPhysicalNetwork,
}
#: So many candidates are told of.
CANDIDATES = 4


def told(
    refused: Refused, explanation: str, otherwise: type[exception.ExceptionBase]
) -> exception.ExceptionBase:
    """The exception for a refusal.

    :param explanation: the first broken step, where vifd could say it
    :param otherwise: the class of an error that os-vif has none for
    """
    return CLASSES.get(refused.code, otherwise)(text(refused.error, explanation))


def unread(refused: Refused, field: str) -> bool:
    """Whether vifd does not know what was said in a field."""
    facts = refused.error.get("facts")
    return isinstance(facts, dict) and facts.get("field") == field


def _others(error: dict[str, Any]) -> Iterator[str]:
    """What else would have served the port, and why it could not: whoever reads it knows which of
    them was meant."""
    for one in list(error.get("candidates") or ())[:CANDIDATES]:
        plugin = (one.get("facts") or {}).get("plugin", "one")
        sentence = f"{one.get('code')}: {one.get('message')}"
        if sentence not in str(error.get("message")):
            yield f"{plugin}: {sentence} (next: {one.get('remediation')})"


def text(error: dict[str, Any], explanation: str) -> str:
    """Code, sentence, next step, and what was found broken first."""
    said = f"vifd: {error.get('code', 'E_INTERNAL')}: {error.get('message', 'no reason given')}"
    if error.get("remediation"):
        said += f". Next: {error['remediation']}"
    for other in _others(error):
        said += f". {other}"
    if explanation and str(error.get("message", "")) not in explanation:
        said += f". First broken: {explanation}"
    return said
