"""Whether this is a place for the plugin: nova-compute's environment, and never vifd's own."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec


def problem() -> str:
    """Why not, or the empty string. vifd hosts os-vif plugins itself: it would call itself."""
    if not _has("vifd"):
        return ""
    return (
        "vifd-nova is installed in the environment of vifd itself, which would then call itself. "
        "Next: install it where nova-compute runs, and nowhere else"
    )


def _has(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        spec = find_spec(name)
        return spec is not None and spec.origin is not None
    return True
