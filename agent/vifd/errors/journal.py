"""The journal."""

from __future__ import annotations

from typing import ClassVar

from vifd.errors.base import Owner, Scope, VifError


class JournalError(VifError):
    """The journal cannot be written, so nothing is done."""

    code = "E_REC_STORE"
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
    retryable = False
    template = "the journal {path} has schema {have}, this vifd knows up to {wanted}"
    remediation = "install the vifd that wrote it, or move the file away to rebuild from the host"
