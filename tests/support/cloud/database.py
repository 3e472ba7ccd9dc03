"""MariaDB of one's own, without durability: what a test wrote need not outlive the machine."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from support.cloud.child import Child
from vifd.testing.wait import until

PATIENCE = 120.0


class Database:
    """One server.

    :param home: its directory, made here; best on a file system in memory
    """

    def __init__(self, home: Path, port: int = 3306) -> None:
        self.home = home
        self.port = port
        self._child: Child | None = None

    @property
    def socket(self) -> Path:
        """Where root is let in without a password."""
        return self.home / "s"

    def start(self) -> None:
        """Make it where it is not there, start it, and wait until it answers."""
        data = self.home / "data"
        if not data.exists():
            self._install(data)
        self._child = Child(
            [
                "mariadbd", "--no-defaults", "--user=root", f"--datadir={data}",
                f"--socket={self.socket}", "--bind-address=127.0.0.1", f"--port={self.port}",
                f"--pid-file={self.home / 'pid'}", "--innodb-flush-log-at-trx-commit=0",
                "--innodb-doublewrite=0", "--max-connections=1000",
            ],
            self.home / "out",
        )  # fmt: skip
        until(self._is_up, "the database answers", timeout=PATIENCE)

    def stop(self) -> None:
        """End it at once."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def pause(self) -> None:
        """Let it answer nothing until :meth:`resume`."""
        assert self._child is not None
        self._child.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it answer again."""
        assert self._child is not None
        self._child.process.send_signal(signal.SIGCONT)

    def grant(self, user: str) -> None:
        """A user with his name as his password, who may do everything."""
        for host in ("127.0.0.1", "localhost"):
            self.sql(
                f"create user if not exists {user}@'{host}' identified by '{user}'; "
                f"grant all on *.* to {user}@'{host}' with grant option"
            )

    def sql(self, text: str) -> str:
        """Run statements as root; what they print."""
        done = self._client(text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _client(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["mariadb", "--no-defaults", "-uroot", "-S", str(self.socket), "-N", "-e", text],
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    def _is_up(self) -> bool:
        assert self._child is not None
        self._child.lives()
        return self._client("select 1").returncode == 0

    def _install(self, data: Path) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}",
             "--auth-root-authentication-method=normal", "--skip-test-db"],
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
