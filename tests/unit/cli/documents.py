"""Documents for the command-line client."""

from __future__ import annotations

import json


def plug(vifctl, *docs, options=()):
    """Plug ports from documents on standard input."""
    return vifctl("port", "plug", "-f", "-", *options, stdin="\n".join(map(json.dumps, docs)))
