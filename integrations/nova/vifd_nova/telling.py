"""What of vifd's errors reaches nova's log and the instance's fault."""

from __future__ import annotations

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


def told(
    refused: Refused, explanation: str, otherwise: type[exception.ExceptionBase]
) -> exception.ExceptionBase:
    """The exception for a refusal.

    :param explanation: the first broken step, where vifd could say it
    :param otherwise: the class of an error that os-vif has none for
    """
    return CLASSES.get(refused.code, otherwise)(text(refused.error, explanation))


def text(error: dict[str, Any], explanation: str) -> str:
    """Code, sentence, next step, and what was found broken first."""
    said = f"vifd: {error.get('code', 'E_INTERNAL')}: {error.get('message', 'no reason given')}"
    if error.get("remediation"):
        said += f". Next: {error['remediation']}"
    if explanation and str(error.get("message", "")) not in explanation:
        said += f". First broken: {explanation}"
    return said
