"""What another program answered and nobody can read."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class OddAnswer(VifError):
    """An answer that has another shape than the one that was asked for."""

    code = "E_ANSWER_UNREADABLE"
    reached = (
        "vifctl is told by the daemon, the switch's database or a support bundle what it cannot "
        "read: another program listens there, or one of another version"
    )
    klass = "answer"
    http = 502
    cni = 6
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "{source}: the answer to {question} cannot be read: {problem}"
    remediation = (
        "see which program answers there, and of which version it is (vifctl --version, "
        "vifctl status, ovs-vswitchd --version); where it is the right one, this is a fault of "
        "vifctl: report it with the output of --debug"
    )
