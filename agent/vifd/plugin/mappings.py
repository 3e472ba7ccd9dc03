"""Options that map physical networks."""

from __future__ import annotations

from collections.abc import Iterable


def mappings(option: str, entries: Iterable[str], to: str = "device") -> dict[str, str]:
    """``physical_network:device`` entries of an option as a mapping.

    :param to: what a physical network is mapped to, for the error's text
    :raises ValueError: an entry is malformed, or a physical network or a device occurs twice
    """
    found: dict[str, str] = {}
    to_each = f"{'an' if to[:1] in 'aeiou' else 'a'} {to}"
    for entry in entries:
        physnet, colon, device = (part.strip() for part in entry.partition(":"))
        if not (physnet and colon and device) or ":" in device:
            raise ValueError(f"{option}: {entry!r} is not of the form physical_network:{to}")
        if physnet in found:
            raise ValueError(f"{option}: {physnet} occurs twice")
        other = next((p for p, there in found.items() if there == device), None)
        if other is not None:
            raise ValueError(
                f"{option}: {to} {device} is given to {other} and to {physnet}, whose frames would "
                f"be mixed: map one of them only, or give each {to_each} of its own"
            )
        found[physnet] = device
    return found
