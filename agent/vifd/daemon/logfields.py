"""Log lines as JSON: port, instance and request are fields, not only words of the message.

Every line that concerns a port ends with ``port=… instance=… request=…``; what is read here is that
end, so that nothing which a message repeats of others is taken for it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable

from oslo_log.formatters import JSONFormatter

_ONE = r"(?:port|instance|request)=(?:[0-9A-Za-z_.:-]*)"
_END = re.compile(rf"(?:^|\s)({_ONE}(?:\s{_ONE})*)$")


def fields(message: str) -> dict[str, str]:
    """What the end of a message names, by name; what is empty is left out. Pure."""
    found = _END.search(message)
    if found is None:
        return {}
    pairs = (word.partition("=") for word in found.group(1).split())
    return {name: value for name, _, value in pairs if value}


class Fields(JSONFormatter):
    """oslo.log's lines with these fields beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        """See :class:`logging.Formatter`."""
        line: str = super().format(record)
        found = fields(record.getMessage())
        return f"{json.dumps(found)[:-1]}, {line[1:]}" if found else line


def install(handlers: Iterable[logging.Handler]) -> None:
    """Have every handler that writes JSON write the fields as well."""
    for handler in handlers:
        if type(handler.formatter) is JSONFormatter:
            handler.setFormatter(Fields(datefmt=handler.formatter.datefmt))
