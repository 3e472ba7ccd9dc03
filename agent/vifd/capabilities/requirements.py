"""From flavor, image and port to what a host must have. One pure function over the table."""

from __future__ import annotations

from vifd.capabilities.needs import Need, Needs, Parameter
from vifd.capabilities.rules import RULES
from vifd.errors import VifError
from vifd.model import Attachment


def needs_of(attachment: Attachment) -> Needs:
    """What an attachment needs, by every rule of the table."""
    needs: list[Need] = []
    parameters: dict[str, Parameter] = {}
    conflicts: list[VifError] = []
    ignored: list[str] = []
    for rule in RULES:
        for said in rule.derive(attachment):
            if isinstance(said, Need):
                needs.append(said)
            elif isinstance(said, Parameter):
                parameters.setdefault(said.name, said)
            elif isinstance(said, VifError):
                conflicts.append(said.at("requirement", attachment.id))
            else:
                ignored.append(said)
    return Needs(
        port=attachment.id,
        vnic_type=attachment.port.vnic_type,
        needs=tuple(needs),
        parameters=parameters,
        conflicts=tuple(conflicts),
        ignored=tuple(ignored),
    )
