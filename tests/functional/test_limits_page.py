"""The page "Limits, trunks and counters", word for word."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from functional.test_get_started import shell
from vifd.testing.wait import until

#: The shell of the page's reader.
__all__ = ["shell"]
PAGE = (Path(__file__).parents[2] / "docs/limits.md").read_text()


def test_every_command_does_what_the_page_says(shell: Callable[[str], str]) -> None:
    found = re.findall(r"<!-- test -->\n```console\n(.*?)```", PAGE, re.DOTALL)
    assert len(found) == PAGE.count("```console")
    blocks = [re.findall(r"^# (.*)$", block, re.MULTILINE) for block in found]

    def do(block: list[str]) -> str:
        return "".join(map(shell, block))

    limited, changed, trunk, orphaned, counted, gone = blocks
    said = do(limited)
    for text in ("10000 kbit/s", "20000 kbit/s", "5000 packets/s", "qos.dscp_marking.egress"):
        assert text in said, (text, said)
    assert "30000 kbit/s" in do(changed)
    said = do(trunk)
    assert said.count("vlan-30") >= 4, said
    assert "nothing is broken" in said
    unplug, explain, empty, plug, listing = orphaned
    shell(unplug)
    until(lambda: "waits for its parent" in shell(explain), "it waits for its parent")
    do([empty, plug])
    until(lambda: shell(listing).count("ACTIVE") == 3, "the trunk is there again")
    said = do(counted)
    assert "spoofed" in said
    assert "refused" in said
    do(gone)
