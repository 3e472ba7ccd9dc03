"""Plays the table on a rig: every packet new, answered, related and out of the blue."""

from __future__ import annotations

from functional.groups import packets as p
from functional.groups.rig import Rig
from functional.groups.table import GROUP, OTHERS, PORT, Case

#: TCP segments that belong to no connection and begin none (RFC 9293, 3.10.7), by what they are.
STRAY = {"an answer to nothing": p.SYN | p.ACK, "it begins and ends": p.SYN | p.FIN}
#: From the source ports of connections that there are.
_APART = 8


def play(rig: Rig, case: Case, start: int) -> list[str]:
    """Cases that came out otherwise than they should.

    :param start: the first source port: no two connections of the table are the same
    """
    rig.say(GROUP, *case.rules)
    other, wrong = OTHERS[case.other], []
    inward = case.direction == "ingress"
    near, far = ("port", case.other)
    begins, answers = (far, near) if inward else (near, far)
    a, b = (other, PORT) if inward else (PORT, other)

    def judged(what: str, sender: str, frame: bytes, receiver: str, *, right: bool) -> None:
        if rig.arrives(sender, frame, receiver) is not right:
            verb = "did not arrive" if right else "arrived"
            wrong.append(f"{case}: {what} {verb} ({case.said.source}): {frame.hex()}")

    for number, (name, right) in enumerate(case.packets):
        sport = start + number
        new = p.first(name, a, b, case.version, sport)
        if case.version == 6 and name.startswith("icmp:13"):
            continue
        judged(f"{name}, a stray answer", answers, p.answer(name, b, a, case.version, sport),
               begins, right=False) if name.startswith("icmp") else None  # fmt: skip
        judged(f"{name}, an error about nothing", answers,
               p.unreachable(new, b, a, case.version), begins, right=False)  # fmt: skip
        for what, flags in STRAY.items() if name.startswith("tcp") else ():
            stray = p.tcp(a, b, case.version, sport + _APART, int(name[4:]), flags)
            judged(f"{name}, invalid: {what}", begins, stray, answers, right=False)
        judged(f"{name}, new", begins, new, answers, right=right)
        if not right:
            continue
        if name.startswith(("udp", "tcp")):
            judged(f"{name}, related", answers, p.unreachable(new, b, a, case.version), begins,
                   right=True)  # fmt: skip
        judged(f"{name}, answer", answers, p.answer(name, b, a, case.version, sport), begins,
               right=True)  # fmt: skip
        again = new
        if name.startswith("tcp"):
            again = p.tcp(a, b, case.version, sport, int(name[4:]), p.ACK)
        judged(f"{name}, established", begins, again, answers, right=True)
    rig.forget()
    return wrong
