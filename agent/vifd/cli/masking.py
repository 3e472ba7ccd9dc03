"""What must not leave a host, out of texts that shall. Pure."""

from __future__ import annotations

import re

MASK = "***"
#: Names of options, keys and columns whose value is a secret.
_NAMES = (
    r"[\w.-]*(?:passw(?:or)?d|secret|token|passphrase|private_key|credential|api_?key|psk)[\w.-]*"
)
#: ``name = value``, ``"name": "value"``, ``name="value"``; the value to the end of what it is.
_OPTION = re.compile(
    rf"""(?P<head>["']?\b{_NAMES}["']?\s*[=:]\s*)(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s,;}}]+)""",
    re.IGNORECASE,
)
#: Options whose whole value may hold a secret besides an address.
_WHOLE = re.compile(r"^(?P<head>\s*transport_url\s*=\s*)(?P<value>.+)$", re.MULTILINE)
#: The user's part of an address: ``rabbit://user:secret@host``.
_URL = re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)(?P<value>[^\s@/]+)(?=@)", re.I)
#: A secret in PEM.
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL)


def masked(text: str) -> str:
    """A text without passwords, tokens and private keys; the rest as it was.

    >>> masked("transport_url = rabbit://u:p@h/\\nuser = vifd")
    'transport_url = ***\\nuser = vifd'
    """
    text = _PEM.sub(MASK, text)
    for pattern in (_WHOLE, _OPTION, _URL):
        text = pattern.sub(lambda found: f"{found['head']}{MASK}", text)
    return text
