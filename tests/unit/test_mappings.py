"""Options that map physical networks."""

from __future__ import annotations

import pytest

from vifd.plugin import mappings


def test_pairs():
    found = mappings("bridge_mappings", [" physnet1 : br-ex", "b:br-b"])
    assert found == {"physnet1": "br-ex", "b": "br-b"}


@pytest.mark.parametrize("entry", ["physnet1", ":br", "p:", "a:b:c", ""])
def test_malformed(entry):
    with pytest.raises(ValueError, match=r"^bridge_mappings: .*physical_network:bridge"):
        mappings("bridge_mappings", [entry], "bridge")


def test_twice():
    with pytest.raises(ValueError, match="x: p occurs twice"):
        mappings("x", ["p:a", "p:b"])
