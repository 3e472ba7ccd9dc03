"""What the facts of a hosted plugin's ports mean, as far as they can be observed."""

from __future__ import annotations

from vifd.model import Evidence
from vifd.plugin.meanings import WHO, About, Meaning, Meanings, missing, plain, value


def _gone(_: Evidence, port: About) -> str:
    return f"the switch has no port {port.device}: it is not in its database"


def _refused(finding: Evidence, port: About) -> str:
    return f"the switch cannot use port {port.device}: {value(finding.have)}"


MEANINGS = Meanings(
    (
        Meaning("port", ("ovsdb.port",), _gone, WHO, ("ovsdb.*",), missing),
        Meaning("port", ("ovsdb.error",), _refused,
                "the switch's own words say why; ovs-vswitchd's log has more", ("ovsdb.ofport",)),
        Meaning("port", ("ovsdb.*",), plain, WHO),
    ),
    follows={"device": ("ovsdb.*",)},
)  # fmt: skip
