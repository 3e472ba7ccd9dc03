"""The page of what ports need, from the rules: ``python -m vifd.capabilities.table`` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from vifd.capabilities.inputs import VNIC_TYPES
from vifd.capabilities.rules import RULES
from vifd.plugin import guest

_HEAD = """\
# What a port needs of a host

This page is generated from the table in `vifd.capabilities.rules`. Each rule reads the instance's
flavor and image and the port, and says what a host must have. Capabilities bear the names of
os-traits, and `CUSTOM_*` where it has none; `vifctl host show` tells which of them this host has.
What could not be found out is no refusal.

| about | whose rule, and what it reads | needs |
|---|---|---|"""

_PRECEDENCE = """
## Flavor against image

A contradiction is `E_CAP_FLAVOR_IMAGE_CONFLICT` (400) on every host.

| property | where both state it |
|---|---|"""

_MEANING = {
    guest.Precedence.AGREE: "they must agree",
    guest.Precedence.REFINE: "the image may choose where the flavor says `large` or `any`, and "
    "states nothing alone",
    guest.Precedence.EXCLUSIVE: "a contradiction, even if they agree",
    guest.Precedence.PINNING: "the flavor's holds; dedicated CPUs by the image where the flavor "
    "says `shared` are a contradiction",
    guest.Precedence.FLAVOR: "the image's is not read",
    guest.Precedence.IMAGE: "the flavor's is not read",
}

_VNIC = """
## vnic types

| vnic_type | the host needs |
|---|---|"""


def page() -> str:
    """The whole page in Markdown."""
    return "\n".join([_HEAD, *_rules(), _PRECEDENCE, *_properties(), _VNIC, *_vnic_types(), ""])


def _rules() -> Iterator[str]:
    for rule in RULES:
        yield f"| {rule.name} | {rule.source} | {rule.effect} |"


def _properties() -> Iterator[str]:
    for rule in guest.PROPERTIES.values():
        yield f"| `{rule.flavor_key}`, `{rule.image_key}` | {_MEANING[rule.precedence]} |"


def _vnic_types() -> Iterator[str]:
    for kind, needed in VNIC_TYPES.items():
        yield f"| {kind} | {', '.join(f'`{name}`' for (name,) in needed) or 'nothing of its own'} |"


if __name__ == "__main__":
    sys.stdout.write(page())
