"""A headless Chromium, driven by its own protocol over two pipes."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from vifd.testing.sandbox import program
from vifd.testing.wait import PATIENCE, until

NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """The browser of this machine."""
    return next((found for name in NAMES if (found := program(name)) is not None), None)


@functools.cache
def lacking() -> str | None:
    """Why there is no browser here, or ``None``."""
    if chromium() is None:
        return "chromium is not installed (package chromium)"
    return None


class Browser:
    """One window of a browser with a profile of its own.

    :param size: of the window, in pixels
    """

    def __init__(self, *, size: tuple[int, int] = (1440, 900), dark: bool = False) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="vifd-ui-", ignore_cleanup_errors=True)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._number, self._rest = 0, b""
        self.errors: list[str] = []
        # the browser takes its pipes as 3 and 4; the shell brings them there
        there = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", there, str(chromium()),
             "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-extensions", "--disable-background-networking",
             "--disable-component-update", "--hide-scrollbars", "--remote-debugging-pipe",
             f"--user-data-dir={self._profile.name}", f"--window-size={size[0]},{size[1]}",
             "about:blank"],
            pass_fds=(theirs_in, theirs_out), start_new_session=True,
            env={**os.environ, "TMPDIR": self._profile.name},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._session = ""
        (page,) = (t for t in self._send("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self._send("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._send(f"{domain}.enable")
        self._send(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1],
            deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = "dark" if dark else "light"
        self._send(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        with contextlib.suppress(OSError, ValueError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        os.close(self._out)
        os.close(self._in)
        self._profile.cleanup()

    def open(self, address: str) -> None:
        """Go to a page."""
        found = self._send("Page.navigate", url=address)
        assert "errorText" not in found, found

    def js(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        found = self._send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"])
        return found["result"].get("value")

    def until(self, expression: str, what: str, timeout: float = 2 * PATIENCE) -> Any:
        """Wait until an expression of the page is true; a page that is on its way has none yet."""

        def value() -> Any:
            with contextlib.suppress(AssertionError):
                return self.js(expression)
            return None

        return until(value, what, timeout)

    def key(self, key: str) -> None:
        """Press a key."""
        text = key if len(key) == 1 else ""
        self._send("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
        self._send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        """Type where the cursor is."""
        self._send("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        """What is in the window, as a PNG, once it has been drawn."""
        self.js("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
        path.parent.mkdir(parents=True, exist_ok=True)
        data = self._send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def _send(self, method: str, **params: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._answer(self._number, method)

    def _answer(self, number: int, method: str) -> Any:
        deadline = time.monotonic() + 3 * PATIENCE
        while time.monotonic() < deadline:
            while b"\0" in self._rest:
                line, _, self._rest = self._rest.partition(b"\0")
                said = json.loads(line)
                self._note(said)
                if said.get("id") == number:
                    assert "error" not in said, (method, said)
                    return said["result"]
            if select.select([self._in], [], [], 1.0)[0]:
                self._rest += os.read(self._in, 1 << 20)
        raise AssertionError(f"the browser gave no answer to {method}")

    def _note(self, said: dict[str, Any]) -> None:
        """Mistakes of the page."""
        if said.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(said["params"]["exceptionDetails"])[:2000])
        if said.get("method") == "Log.entryAdded":
            entry = said["params"]["entry"]
            # what the daemon answers is no mistake of the page, be it that a port is gone
            if entry["level"] == "error" and "/v1/" not in entry.get("url", ""):
                self.errors.append(f"{entry['text']} {entry.get('url', '')}")
