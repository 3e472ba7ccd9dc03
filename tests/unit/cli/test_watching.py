"""``--watch``, colours, and completion of ports."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from unit.api.client import document, uuid
from unit.cli.conftest import ARGV, environment
from unit.cli.documents import plug

SCRIPT = Path(__file__).parents[3] / "etc/bash_completion.d/vifctl"


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


def complete(served, tmp_path: Path, *words: str) -> set[str]:
    """What bash proposes for the last word."""
    program = tmp_path / "vifctl"
    program.write_text(f'#!/bin/sh\nexec {" ".join(ARGV)} "$@"\n')
    program.chmod(0o755)
    quoted = " ".join(f"'{word}'" for word in words)
    shell = (
        "_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]}; words=(${COMP_WORDS[@]}); }\n"
        f"source {SCRIPT}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
        "$(complete -p vifctl | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    env = {**environment(served.path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60,
                          env=env, cwd=tmp_path, check=True)  # fmt: skip
    return set(done.stdout.split())


def test_ids_and_names_are_completed(vifctl, served, tmp_path):
    evil = document(2)
    evil["port"]["name"] = "$(touch pwned)"
    plug(vifctl, document(1), evil)
    assert complete(served, tmp_path, "vifctl", "port", "show", "") >= {uuid(1), uuid(2), "web-1"}
    assert complete(served, tmp_path, "vifctl", "port", "unplug", uuid(1), "00000002") == {uuid(2)}
    assert complete(served, tmp_path, "vifctl", "port", "check", "we") == {"web-1"}
    assert "--long" in complete(served, tmp_path, "vifctl", "port", "list", "--l")
    assert not (tmp_path / "pwned").exists()


def test_options_and_commands_as_before(vifctl, served, tmp_path):
    assert "show" in complete(served, tmp_path, "vifctl", "port", "s")
    assert complete(served, tmp_path, "vifctl", "port", "show", "--wa") == {"--watch"}
