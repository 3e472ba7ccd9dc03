"""The composition root: from the command line to a running daemon and its exit code."""

from __future__ import annotations

import errno
import fcntl
import gc
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_log import log as oslo_log

from vifd import __version__, errors
from vifd.safety import heap, limits
from vifd.safety.plain import plain, protect_log

LOG = logging.getLogger("vifd.main")

EXIT_OK = 0
EXIT_CONFIG = 2
EXIT_JOURNAL = 3
EXIT_RUNNING = 4
EXIT_SOCKET = 5
EXIT_PLUGIN = 6
EXIT_RESOURCES = 7


class AlreadyRunning(Exception):
    """Another vifd holds the state directory."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon until a signal ends it.

    :returns: 0 after an orderly stop; 2 bad configuration, 3 unusable journal, 4 another vifd is
        running, 5 the API socket cannot be had, 6 a plugin was refused in strict mode, 7 the system
        lets it have too little: descriptors, memory, threads
    """
    # Nothing that a start makes is garbage; the daemon lets the collector in once it is ready.
    gc.disable()
    try:
        return _main(sys.argv[1:] if argv is None else argv)
    finally:
        gc.enable()


def _main(argv: Sequence[str]) -> int:
    # With the configuration comes most of the daemon's world: whatever can be plugged in has some.
    from vifd.daemon import config, logfields

    try:
        conf = config.load(argv)
        oslo_log.setup(conf, "vifd", version=__version__)
        logfields.install(logging.getLogger().handlers)
        protect_log(logging.getLogger().handlers)
    except (cfg.Error, oslo_log.LogConfigError, OSError) as error:
        sys.stderr.write(f"vifd: the configuration cannot be used: {plain(error)}\n")
        return EXIT_CONFIG
    code, sentence = _served(conf)
    # outside of any handler: the log would repeat the exception behind the sentence
    return _end(code, sentence) if sentence else code


def _served(conf: Any) -> tuple[int, str]:
    """Run the daemon; its exit code, and why it could not run, if so."""
    try:
        with sole(Path(conf.state_path)):
            return _run(conf)
    except AlreadyRunning as error:
        return EXIT_RUNNING, str(error)
    except errors.JournalError as error:
        return EXIT_JOURNAL, f"{error.code}: {error.message}. Next: {error.hint}"
    except cfg.Error as error:
        return EXIT_CONFIG, f"the configuration cannot be used: {plain(error)}"
    except errors.PluginRefused as error:
        return EXIT_PLUGIN, f"{error.code}: {error.message}. Next: {error.hint}"


def _run(conf: Any) -> tuple[int, str]:
    # The daemon's world is imported once it is sure that there will be a daemon.
    from vifd.api.server import SocketError
    from vifd.daemon.daemon import Daemon

    # Work passes between threads many times per plug; by default a thread that computes lets the
    # next one in only after 5 ms.
    sys.setswitchinterval(0.0005)
    limits.widen()
    heap.share()
    try:
        Daemon(conf).run()
    except SocketError as error:
        return EXIT_SOCKET, str(error)
    except (MemoryError, OSError, RuntimeError) as error:
        if problem := limits.word(error):
            return EXIT_RESOURCES, problem
        raise
    return EXIT_OK, ""


def _end(code: int, sentence: str) -> int:
    LOG.critical("%s", sentence)
    if not any(getattr(h, "stream", None) is sys.stderr for h in logging.getLogger().handlers):
        # whoever started it by hand does not look into a file
        sys.stderr.write(f"vifd: {plain(sentence)}\n")
    return code


@contextmanager
def sole(directory: Path) -> Iterator[None]:
    """Hold the state directory; the lock ends with the process, however that ends.

    :raises AlreadyRunning: somebody else holds it
    :raises errors.JournalError: the directory cannot be used
    """
    path = directory / "vifd.lock"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        facts = {"path": str(path), "problem": error.strerror or str(error)}
        raise errors.JournalError(facts=facts, stage="start", hint=_place(directory, error)) from (
            error
        )
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
            text = f"another vifd (pid {holder}) uses {directory}; stop it first"
            raise AlreadyRunning(text) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _place(directory: Path, error: OSError) -> str | None:
    """What helps where the state directory cannot be had, as at most first starts."""
    if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
        return None
    return (
        f"uid {os.geteuid()} cannot use {directory}: start vifd by its unit (systemctl start "
        "vifd), which makes it, or as root, or set [DEFAULT] state_path to a directory of this "
        "user"
    )


if __name__ == "__main__":
    sys.exit(main())
