"""A headless Chromium, driven over its DevTools pipe: no driver, no web socket, no network."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_PATIENCE_S = 60.0


def browser_path() -> str | None:
    """Return the browser that is installed, or None."""
    return next((path for path in map(shutil.which, _NAMES) if path), None)


class Browser:
    """A browser and its pipe; its pages share it."""

    def __init__(self, profile: Path) -> None:
        path = browser_path()
        assert path, "no Chromium is installed"
        ours, theirs = os.pipe(), os.pipe()
        self._read, self._write = theirs[0], ours[1]
        # The browser reads its orders from descriptor 3 and answers on 4, which a shell sets up: Python may have
        # something of its own there.
        orders = f'exec "$@" 3<&{ours[0]} 4>&{theirs[1]}'
        command = ["bash", "-c", orders, "bash", path, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            command, pass_fds=(ours[0], theirs[1]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(ours[0])
        os.close(theirs[1])
        self._number, self._unread = 0, b""
        self.pages: dict[str, Page] = {}

    def close(self) -> None:
        """End the browser."""
        self.call("Browser.close")
        self._process.wait(_PATIENCE_S)
        os.close(self._read)
        os.close(self._write)

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Return the answer to an order; events that come before it go to their pages."""
        self._number += 1
        order = {"id": self._number, "method": method, "params": parameters}
        os.write(self._write, json.dumps(order | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "error" not in message, (method, message)
                return dict(message["result"])
            page = self.pages.get(message.get("sessionId", ""))
            if page:
                page.note(message["method"], message["params"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._read], [], [], _PATIENCE_S)
            assert ready, "the browser does not answer"
            read = os.read(self._read, 1 << 20)
            assert read, "the browser has gone"
            self._unread += read
        text, _, self._unread = self._unread.partition(b"\0")
        return dict(json.loads(text))


class Page:
    """A page, offline; what it asks the network for, and its errors, are noted."""

    def __init__(self, browser: Browser, width: int = 1280, height: int = 800, theme: str = "light") -> None:
        self._browser = browser
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        browser.pages[self._session] = self
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        self._call("Performance.enable", timeDomain="threadTicks")
        offline = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self._call("Network.emulateNetworkConditions", **offline)
        self.resize(width, height)
        self.prefer(theme)

    def close(self) -> None:
        """Close the page."""
        self._browser.call("Target.closeTarget", targetId=self._target)
        del self._browser.pages[self._session]

    def resize(self, width: int, height: int) -> None:
        """Make the window so large. [CSS pixels]"""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, theme: str) -> None:
        """Make the system's theme light or dark."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def open(self, path: Path) -> float:
        """Open a report, and return when it was ready. [ms after the start of the navigation]"""
        self.requests.clear()
        self._call("Page.navigate", url=path.as_uri())
        return float(self.wait_for("document.documentElement?.dataset.ready"))

    def wait_for(self, expression: str) -> Any:
        """Return the value of an expression once it is true."""
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            if value := self.ask(expression):
                return value
            time.sleep(0.02)
        raise AssertionError(f"never true: {expression}; errors: {self.errors}")

    def ask(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript, awaited if it is a promise."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def work_ms(self) -> float:
        """Return for how long the page's main thread has been at work: its own time, not that of a busy machine."""
        (found,) = (
            each["value"] for each in self._call("Performance.getMetrics")["metrics"] if each["name"] == "TaskDuration"
        )
        return 1000 * float(found)

    def press(self, key: str, shift: bool = False) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if len(key) == 1 and kind == "keyDown" else {}
            self._call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 * shift, **text)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Move the mouse, turn its wheel, or press or release its left button."""
        presses = kind in ("mousePressed", "mouseReleased")
        button = {"button": "left", "buttons": 1, "clickCount": 1} if presses else {}
        self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **(button | more))

    def touch(self, kind: str, *fingers: tuple[float, float]) -> None:
        """Put fingers down, move or lift them: the places of all that are then on the screen."""
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
        self._call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    def picture(self, path: Path, whole: bool = False) -> None:
        """Write a screenshot, of the window or of the whole page."""
        clip = {}
        if whole:
            size = self._call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"clip": {**size, "x": 0, "y": 0, "scale": 1}, "captureBeyondViewport": True}
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png", **clip)["data"]))

    def note(self, method: str, given: dict[str, Any]) -> None:
        """Keep what an event tells of requests and errors."""
        if method == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(given["exceptionDetails"].get("exception", given)))
        elif method == "Log.entryAdded" and given["entry"]["level"] in ("warning", "error"):
            self.errors.append(given["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.errors.append(str(given["args"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)
