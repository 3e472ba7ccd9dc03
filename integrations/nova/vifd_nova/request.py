"""Whose request is worked on: nova's own id of it, so that one word finds it in both logs."""

from __future__ import annotations

from oslo_context import context


def current() -> str:
    """The id of nova's request that this thread works for, ``req-…``; empty where there is none.

    nova makes its context the thread's own (``oslo.context``), green threads included.
    """
    found = context.get_current()
    return str(getattr(found, "request_id", None) or "")
