"""Where the lines of logs of security groups go: ``[packet_log]`` of agent.conf."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from logging.handlers import WatchedFileHandler
from typing import Any

from oslo_config import cfg

from vifd.engine import Engine
from vifd.engine.packetlog import Settings
from vifd.store import Journal

OPTIONS = [
    cfg.IntOpt(
        "rate",
        default=100,
        min=1,
        max=100_000,
        help="Packets of one port that logs of security groups write down in a second at most. The "
        "switch itself hands over no more; what was left out is counted, and told every ten "
        "seconds by a line of its own.",
    ),
    cfg.IntOpt(
        "burst",
        default=25,
        min=1,
        max=100_000,
        help="Packets of one port that may come at once.",
    ),
    cfg.IntOpt(
        "total_rate",
        default=1000,
        min=1,
        max=100_000,
        help="Lines of all ports of this host in a second at most.",
    ),
    cfg.StrOpt(
        "file",
        default="",
        help="File that the lines go to, with the time before each; it is opened anew once it was "
        "moved away, as by logrotate. Empty: they go where vifd's own log goes, under the name "
        "vifd.packets.",
    ),
]
LOG = logging.getLogger(__name__)
#: The name of the lines in vifd's own log.
PACKETS = logging.getLogger("vifd.packets")


def settings(options: Any) -> Settings:
    """The options, read once."""
    return Settings(options.rate, options.burst, options.total_rate)


class _Lines(WatchedFileHandler):
    """A file that fails aloud: who writes a line is told."""

    def handleError(self, record: logging.LogRecord) -> None:
        del record
        raise


def writer(options: Any) -> Callable[[str], None]:
    """What takes a line.

    :raises cfg.Error: the file cannot be opened
    """
    if not options.file:
        return PACKETS.info
    try:
        handler = _Lines(options.file, encoding="utf-8")
    except OSError as error:
        problem = f"[packet_log] file {options.file}: {error.strerror}"
        raise cfg.ConfigFileValueError(problem) from error
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)

    def write(line: str) -> None:
        handler.handle(PACKETS.makeRecord(PACKETS.name, logging.INFO, "", 0, line, (), None))

    return write


def unlogged(engine: Engine, journal: Journal, ports: Collection[str]) -> Mapping[str, int]:
    """What the limits of the plugins kept back of ports; of one whose plugin gives no answer,
    nothing."""
    mine: dict[str, list[str]] = {}
    for port_id in ports:
        record = journal.get(port_id)
        if record is not None and record.plugin in engine.plugins:
            mine.setdefault(record.plugin, []).append(port_id)
    found: dict[str, int] = {}
    for name, ids in mine.items():
        try:
            found |= engine.plugins[name].unlogged(ids)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            LOG.debug("plugin %s: what its limit kept back is not known: %s", name, error)
    return found
