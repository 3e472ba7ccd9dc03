"""Orphaned objects: removing them, and putting them back."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class GarbageLimit(VifError):
    """More would be removed at once than may be without asking."""

    code = "E_GC_LIMIT"
    reached = "vifctl gc without --yes while more is orphaned than [garbage] lets go at once"
    klass = "garbage"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "{count} of {total} ports and objects are orphaned: {reason}; nothing was removed"
    remediation = "look at vifctl gc --dry-run; vifctl gc --yes removes all that it lists"


class GarbageIncomplete(VifError):
    """It is not known whether the journal holds every port of this host."""

    code = "E_GC_INCOMPLETE"
    reached = "vifctl gc before every port was looked at, or after a journal was lost"
    klass = "garbage"
    http = 409
    cni = 11
    retryable = True
    reschedulable = False
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "what is wanted on this host is not known for certain: {reason}"
    remediation = (
        "wait until vifctl status says ready; after a journal was lost, plug or adopt what is "
        "missing, then vifctl gc --yes"
    )


class GarbageUnknown(VifError):
    """No such orphan, or no such removed object."""

    code = "E_GC_NOT_FOUND"
    reached = "vifctl gc, or gc undo, with an id that is in neither list"
    klass = "garbage"
    http = 404
    cni = 3
    reschedulable = False
    owner: ClassVar[Owner] = "user"
    template = "{id} is nothing that {what}"
    remediation = "vifctl gc --dry-run lists orphans, vifctl gc undo --list what can be put back"


class GarbageChanged(VifError):
    """An object is not what it was when it was found orphaned; it is left alone."""

    code = "E_GC_CHANGED"
    reached = "an orphan was opened, plugged or made anew between two looks at it"
    klass = "garbage"
    http = 409
    cni = 11
    retryable = True
    reschedulable = False
    template = "{object} is left alone: {problem}"
    remediation = "look again with vifctl gc --dry-run"


class NotRestorable(VifError):
    """An object that was removed cannot be put back."""

    code = "E_GC_UNDO"
    reached = "vifctl gc undo of what is in another program now, or is made only with its port"
    klass = "garbage"
    http = 409
    cni = 7
    reschedulable = False
    owner: ClassVar[Owner] = "operator"
    template = "{object} cannot be put back: {problem}"
    remediation = "plug the port from its document, which vifctl gc undo --list -f json shows"
