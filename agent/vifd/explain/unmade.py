"""Why a port is not made yet: another side has not said its part, or what they say was refused."""

from __future__ import annotations

from vifd.explain.explanation import Explanation, Name, State, Step
from vifd.model import Parts, Phase, Role, Status
from vifd.model.assembling import missing


def explain_unmade(
    port_id: str, parts: Parts, unasked: str = "", unheard: str = ""
) -> Explanation:  # fmt: skip
    """Why a port that has no record is not made.

    :param unasked: why the host was not read
    :param unheard: why the network service says nothing; empty where it can
    """
    error = parts.error
    sentence = f"{error['code']}: {error['message']}" if error else "; ".join(missing(parts))
    hint = str(error["remediation"]) if error else _hint(parts, unheard)
    broken = Name.CHOICE if error else Name.INTENT
    return Explanation(
        port=port_id,
        name=str(parts.network.body["port"].get("name", "")) if parts.network else "",
        device="", plugin="", role=Role.INACTIVE.value,
        phase=(Phase.FAILED if error else Phase.WAITING).value,
        status=(Status.ERROR if error else Status.DOWN).value,
        healthy=False, broken=broken, sentence=f"{broken.value}: {sentence}", hint=hint,
        action="makes the port as soon as both sides have said their part, anew" if error
        else "makes the port as soon as that is said",
        asked=False, unasked=unasked or "nothing of it is on the host", read_at=None, age=None,
        steps=_steps(broken, sentence, hint), history=[],
    )  # fmt: skip


def _hint(parts: Parts, unheard: str) -> str:
    if parts.network is None and unheard:
        return unheard
    if parts.network is None:
        return "see whether the network service has bound the port to this host, and its agent runs"
    return "start the instance, or unplug the port where it is not needed here any more"


def _steps(broken: Name, sentence: str, hint: str) -> list[Step]:
    """Every step, of which those behind the broken one are not made."""
    order = list(Name)
    at = order.index(broken)
    known = [Step(name=n, state=State.OK, sentence="both parts are here") for n in order[:at]]
    behind = [
        Step(name=n, state=State.SKIPPED, sentence="nothing of it is made") for n in order[at + 1 :]
    ]
    return [*known, Step(name=broken, state=State.BROKEN, sentence=sentence, hint=hint), *behind]
