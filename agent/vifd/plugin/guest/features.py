"""What a guest's device and the host agreed upon, as facts of a port: by them it is known before a
guest moves whether it could go on elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vifd.model import Evidence

#: Names of the features of the port's guest, as a list.
AGREED = "guest.features"
#: What no guest of this port can have on this host: why, by feature.
WITHHELD = "guest.features.withheld"


def missing(there: Iterable[Evidence], here: Iterable[Evidence]) -> dict[str, str]:
    """What a guest has that it could not have here, and why; empty where nothing is known.

    :param there: facts of the port where the guest runs
    :param here: facts of the port that it is to move to
    """
    have = _value(there, AGREED)
    why = _value(here, WITHHELD)
    if not isinstance(have, list) or not isinstance(why, Mapping):
        return {}
    return {n: str(why[n]) for n in have if isinstance(n, str) and n in why}


def _value(facts: Iterable[Evidence], name: str) -> object:
    return next((one.have for one in facts if one.fact == name), None)
