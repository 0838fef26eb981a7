"""A real browser for tests: headless Chromium, driven over the WebDriver protocol (W3C) that chromedriver speaks.

The protocol is JSON over HTTP, so the standard library is enough.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver (Debian: chromium, chromium-driver)"
)
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--force-prefers-reduced-motion",
)
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element in the protocol
SECONDS = 60


class Browser:
    """A window of its own profile; everything ends with the ``with`` block."""

    def __init__(self, profile: Path, size: tuple[int, int] = (1280, 900), *arguments: str) -> None:
        self._arguments = [*ARGUMENTS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", *arguments]
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> Browser:
        assert DRIVER is not None
        self._process = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        try:
            line = next(line for line in self._process.stdout if "started successfully on port" in line)
            self._address = f"http://127.0.0.1:{int(line.rstrip('. ' + chr(10)).rsplit(' ', 1)[1])}/session"
            options = {"binary": CHROMIUM, "args": self._arguments}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            session = self._send("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            self._address += f"/{session}"
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._send("DELETE", "")
        finally:
            self._end()

    def open(self, page: Path) -> None:
        self._send("POST", "/url", {"url": page.as_uri()})

    def run(self, script: str, *arguments: object) -> Any:
        """The value of a function's body; ``arguments`` are its ``arguments``."""
        return self._send("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def settle(self) -> None:
        """Wait until two pictures have been drawn."""
        script = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(1)));"
        self._send("POST", "/execute/async", {"script": script, "args": []})

    def type(self, selector: str, text: str) -> None:
        self._send("POST", f"/element/{self._find(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        self._send("POST", f"/element/{self._find(selector)}/click", {})

    def drag(self, selector: str, by: tuple[int, int]) -> None:
        """Press the mouse in the middle of an element, move it, let it go."""
        origin = {ELEMENT: self._find(selector)}
        steps = [
            {"type": "pointerMove", "origin": origin, "x": 0, "y": 0},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "origin": "pointer", "x": by[0], "y": by[1], "duration": 60},
            {"type": "pointerUp", "button": 0},
        ]
        self._act({"type": "pointer", "id": "mouse", "actions": steps})

    def wheel(self, selector: str, by: int) -> None:
        origin = {ELEMENT: self._find(selector)}
        step = {"type": "scroll", "origin": origin, "x": 0, "y": 0, "deltaX": 0, "deltaY": by, "duration": 0}
        self._act({"type": "wheel", "id": "wheel", "actions": [step]})

    def messages(self) -> list[str]:
        """What the console has said since the last call: errors, warnings, refusals of the page's policy."""
        return [f"{entry['level']}: {entry['message']}" for entry in self._send("POST", "/se/log", {"type": "browser"})]

    def screenshot(self) -> bytes:
        """The window as a PNG."""
        return base64.b64decode(self._send("GET", "/screenshot"))

    def _act(self, source: dict[str, Any]) -> None:
        self._send("POST", "/actions", {"actions": [source]})
        self.settle()

    def _find(self, selector: str) -> str:
        return str(self._send("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT])

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._address + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with self._opener.open(request, timeout=SECONDS) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()
