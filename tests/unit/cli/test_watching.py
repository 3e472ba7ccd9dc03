"""``--watch``."""

from __future__ import annotations

import signal
import subprocess

import pytest

from unit.api.client import document, uuid
from unit.cli.conftest import ARGV, environment
from unit.cli.documents import plug


@pytest.mark.parametrize("command", [("port", "list"), ("port", "show", "web-1"), ("status",)])
def test_it_goes_on_until_it_is_interrupted(vifctl, served, command):
    plug(vifctl, document())
    process = subprocess.Popen(
        [*ARGV, *command, "--watch", "0.1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=environment(served.path),
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    seen = 1
    for line in process.stdout:
        seen += line == first
        if seen >= 7:  # every table has its rule three times
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")


@pytest.mark.parametrize("seconds", ["0", "x", "99999", "nan"])
def test_seconds_that_make_no_sense(vifctl, seconds):
    assert vifctl("port", "list", "--watch", seconds).code == 2


def test_what_changes_something_cannot_be_watched(vifctl):
    assert vifctl("port", "unplug", uuid(1), "--watch").code == 2


@pytest.mark.parametrize("wrong", [("-c", "nons"), ("--sort-column", "nons")])
def test_what_is_wrong_is_said_once(vifctl, wrong):
    plug(vifctl, document())
    done = vifctl("port", "list", "--watch", "0.1", *wrong)
    assert (done.code, done.err.count("there is no column")) == (2, 1)
