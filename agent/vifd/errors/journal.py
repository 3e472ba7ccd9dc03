"""The journal."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class JournalError(VifError):
    """The journal cannot be written, so nothing is done."""

    code = "E_REC_STORE"
    reached = "a full or read-only file system under state_path"
    klass = "journal"
    http = 503
    cni = 5
    retryable = True
    owner: ClassVar[Owner] = "operator"
    scope: ClassVar[Scope] = "host"
    template = "the journal {path} cannot be written: {problem}"
    remediation = "free space or repair the file system; what cannot be written is not done"


class JournalTooNew(JournalError):
    """The journal was written by a newer vifd."""

    code = "E_REC_STORE_VERSION"
    reached = "starting an older vifd on the journal of a newer one"
    retryable = False
    template = "the journal {path} has schema {have}, this vifd knows up to {wanted}"
    remediation = "install the vifd that wrote it, or move the file away to rebuild from the host"


class JournalDamaged(JournalError):
    """The journal was torn or damaged; what can still be read was carried over."""

    code = "E_REC_STORE_CORRUPT"
    reached = "starting on a torn or damaged file; in the log, the status and the event stream"
    cni = 51
    template = (
        "the journal {path} was damaged ({problem}); it was moved to {aside}, {kept} ports were "
        "carried over"
    )
    remediation = (
        "ports that are missing are taken back from their marks on the host; keep the old file "
        "until vifctl port list is complete, and check the disk"
    )
