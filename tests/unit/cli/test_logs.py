"""Logs of security groups by vifctl: said, listed, switched off, deleted."""

from __future__ import annotations

from unit.api.client import uuid

LOG, GROUP = uuid(0x31), uuid(0x11)


def test_a_log_is_said_switched_off_and_deleted(vifctl):
    done = vifctl("log", "set", LOG, "--event", "drop", "--group", GROUP)
    assert (done.code, done.err) == (0, "")
    (listed,) = vifctl("log", "list", "-f", "json").json
    assert (listed["id"], listed["event"], listed["group"], listed["port"]) == (
        LOG, "DROP", GROUP, "every",
    )  # fmt: skip
    assert (listed["enabled"], listed["state"]) == (True, "in force")
    assert vifctl("log", "set", LOG, "--event", "DROP", "--group", GROUP, "--off").code == 0
    (listed,) = vifctl("log", "list", "-f", "json").json
    assert (listed["enabled"], listed["state"]) == (False, "off")
    assert vifctl("log", "delete", LOG).code == 0
    assert vifctl("log", "list", "-f", "json").json == []
    assert vifctl("log", "show", LOG).code != 0


def test_an_event_that_there_is_not(vifctl):
    done = vifctl("log", "set", LOG, "--event", "REJECT")
    assert done.code == 2
    assert "is not ACCEPT, DROP or ALL" in done.err
    assert vifctl("log", "list", "-f", "json").json == []
