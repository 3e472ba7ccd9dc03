"""Options that map physical networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


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
            raise ValueError(
                f"{option}: {physnet}:{found[physnet]} and {physnet}:{device} map one physical "
                "network twice: take one of them out"
            )
        other = next((p for p, there in found.items() if there == device), None)
        if other is not None:
            raise ValueError(
                f"{option}: {to} {device} is given to {other} and to {physnet}, whose frames would "
                f"be mixed: map one of them only, or give each {to_each} of its own"
            )
        found[physnet] = device
    return found


def apart(one: str, ones: Mapping[str, str], other: str, others: Mapping[str, str]) -> None:
    """Judge two options that map physical networks, as :func:`mappings` judges one.

    :param one: the name of an option, of which ``ones`` was read; as ``other`` and ``others``
    :raises ValueError: a physical network, or a device, occurs in both
    """
    for physnet, device in ones.items():
        if physnet in others:
            raise ValueError(
                f"{physnet} is mapped twice, by {one} = {physnet}:{device} and by {other} = "
                f"{physnet}:{others[physnet]}: take one of them out, or give the networks of one "
                "of them a physical network of another name"
            )
        same = next((p for p, there in others.items() if there == device), None)
        if same is not None:
            raise ValueError(
                f"{device} is mapped twice, by {one} = {physnet}:{device} and by {other} = "
                f"{same}:{device}: an interface belongs in the one, a bridge in the other; take "
                "the other one out"
            )
