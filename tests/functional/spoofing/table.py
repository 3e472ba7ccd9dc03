"""The table: every frame that a guest may think of, with the right verdict and its source."""

from __future__ import annotations

from functional.spoofing import forms, identity, roles
from functional.spoofing.case import Case, Station, Table


def cases(to: Station) -> list[Case]:
    """Frames to a station: a port beside the sender, or one behind the uplink."""
    table = Table(to)
    for section in (*identity.SECTIONS, *roles.SECTIONS, *forms.SECTIONS):
        section(table)
    return table.cases
