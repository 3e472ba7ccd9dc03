"""The coded error for what the kernel says to a message of nf_tables."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from vifd.errors import (
    BackendError,
    BackendUnavailable,
    PrivilegeMissing,
    ResourcesExhausted,
    VifError,
)
from vifd.safety import limits

DENIED = (errno.EPERM, errno.EACCES)
ABSENT = (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT)


def failure(number: int, what: str) -> VifError:
    """The coded error for an error number of the kernel."""
    if limit := limits.word(number):
        return ResourcesExhausted(facts={"problem": limit}, stage="nft")
    name = errno.errorcode.get(number, str(number))
    facts = {"backend": "nftables", "problem": f"cannot {what}: {os.strerror(number)}"}
    if number in DENIED:
        return PrivilegeMissing(facts={**facts, "action": what, "device": ""}, stage="nft")
    if number in ABSENT:
        hint = "load the kernel module nf_tables (and nft_meta_bridge where it is separate)"
        return BackendUnavailable(facts={**facts, "errno": name}, stage="nft", hint=hint)
    return BackendError(facts={**facts, "errno": name}, stage="nft")


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Whatever the kernel refuses within it is the coded error of this."""
    try:
        yield
    except OSError as error:
        raise failure(error.errno or 0, what) from error
