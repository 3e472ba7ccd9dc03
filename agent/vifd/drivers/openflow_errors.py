"""How failures of OpenFlow are told; the same for the real driver and its fake."""

from __future__ import annotations

from vifd.errors import BackendError, BackendUnavailable


def _facts(bridge: str, problem: str) -> dict[str, str]:
    return {"backend": f"OpenFlow of bridge {bridge}", "problem": problem, "bridge": bridge}


_FULL = (
    "another program bounds a flow table: `ovs-vsctl list Flow_Table` shows it, `ovs-vsctl clear "
    "bridge {bridge} flow_tables` takes the bound away; vifd retries by itself"
)


def refused(bridge: str, what: str, error: str, sentence: str = "") -> BackendError:
    """The switch refused a request; nothing was changed.

    :param what: the flow or the request in words
    :param error: the name of the OpenFlow error
    """
    facts = _facts(bridge, sentence or f"{error} for {what}") | {"flow": what, "error": error}
    if error == "OFPFMFC_TABLE_FULL":
        return BackendError(facts=facts, hint=_FULL.format(bridge=bridge))
    return BackendError(facts=facts)


def wrong_version(bridge: str, answer: str) -> BackendError:
    """The bridge does not speak OpenFlow 1.4."""
    return BackendError(
        facts=_facts(bridge, f"it does not speak OpenFlow 1.4 ({answer})"),
        hint="add OpenFlow14 to the protocols of the bridge",
    )


def unavailable(bridge: str, problem: str, *, unknown: bool = False) -> BackendUnavailable:
    """No connection, or it broke.

    :param unknown: the changes may have been made (``facts.outcome``)
    """
    facts = _facts(bridge, problem)
    return BackendUnavailable(facts=facts | {"outcome": "unknown"} if unknown else facts)
