"""Documents to begin with: files and command are the same, and nothing in them is unread."""

from __future__ import annotations

from pathlib import Path

import pytest

from vifd.cli.app import Vifctl
from vifd.cli.example import text_of
from vifd.cli.samples import SAMPLES, sample
from vifd.model import alarming, decode, notes, unread_remarks

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_the_files_are_what_the_command_prints(capsys):
    files = {path.stem: path.read_text() for path in EXAMPLES.glob("*.json")}
    assert files == {name: text_of(name) for name in SAMPLES}, "run: make docs/examples"
    assert Vifctl().run(["port", "example"]) == 0
    assert capsys.readouterr().out == files["local"]
    assert Vifctl().run(["port", "example", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(f"{name} " in out for name in SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_of_it_is_unread(name):
    value = sample(name)
    for document in value.get("ports", [value]):
        decoded = decode(document)
        assert alarming(unread_remarks(decoded.raw)) == []
        assert notes(decoded.attachment) == []


def test_ids_and_addresses_differ():
    documents = [d for _, many in SAMPLES.values() for d in many]
    for key in ("id", "mac_address"):
        assert len({d["port"][key] for d in documents}) == len(documents)
