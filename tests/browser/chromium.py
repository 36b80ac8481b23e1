"""Headless Chromium over its own debugging pipe: no driver, no package, no port."""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --remote-debugging-pipe"
)

# Chromium reads commands from descriptor 3 and answers on 4
_START = "import os, sys; [os.dup2(int(sys.argv[i]), i + 2) for i in (1, 2)]; os.execv(sys.argv[3], sys.argv[3:])"


def find() -> str | None:
    """The browser's program, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


class Browser:
    """A browser process; ``open`` gives pages.

    Args:
        profile: an empty folder for it.
    """

    def __init__(self, profile: Path) -> None:
        self._numbers = itertools.count(1)
        self._held = b""
        self._pages: dict[str, Page] = {}
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # numbers above those that the child takes, so that neither is overwritten
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs_in, theirs_out)]
        browser = [str(find()), *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, *map(str, theirs), *browser],
            pass_fds=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (theirs_in, theirs_out, *theirs):
            os.close(fd)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.call("Browser.close")
            self._process.wait(20)
        finally:
            os.close(self._out)
            os.close(self._in)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    def open(self, file: Path, size: Sequence[int] = (1240, 900), dark: bool = False) -> "Page":
        """A file in a tab of its own.

        Args:
            file: the page.
            size: width and height of the window in CSS pixels.
            dark: whether the system's colours are dark.
        """
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, target)
        for domain in ("Runtime", "Log", "Network", "Page"):
            page.call(f"{domain}.enable")
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        page.call("Emulation.setDeviceMetricsOverride", **metrics)
        colours = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        page.call("Emulation.setEmulatedMedia", features=colours)
        page.call("Page.navigate", url=file.resolve().as_uri())
        page.wait("location.protocol === 'file:' && document.readyState === 'complete'")
        return page

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol and its answer; events that come meanwhile go to their pages."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])
            if answer.get("sessionId") in self._pages:
                self._pages[answer["sessionId"]].note(answer["method"], answer["params"])

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._held:
            if not select.select([self._in], [], [], 30)[0]:
                raise TimeoutError("the browser does not answer")
            got = os.read(self._in, 1 << 20)
            if not got:
                raise RuntimeError("the browser has gone")
            self._held += got
        message, _, self._held = self._held.partition(b"\0")
        return dict(json.loads(message))


class Page:
    """An open page, with everything that it complained about or asked the network for since it was opened."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._browser, self._session, self._target = browser, session, target

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", targetId=self._target)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command to this page."""
        return self._browser.call(method, self._session, **parameters)

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"].get("description", expression))
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = 10.0) -> Any:
        """The value of ``expression`` as soon as it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(expression)):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {expression}")
            time.sleep(0.05)
        return value

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """``mouseMoved``, ``mousePressed`` or ``mouseReleased`` at a place of the window."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        """Press and release the left button."""
        self.mouse("mouseMoved", x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def key(self, name: str) -> None:
        """Press and release a key by its name (``Enter``, ``ArrowRight``)."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name)

    def screenshot(self, file: Path, whole: bool = True) -> None:
        """Save a PNG of the page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))

    def note(self, kind: str, what: dict[str, Any]) -> None:
        """Keep what an event says, if it is a complaint or a request."""
        if kind == "Runtime.exceptionThrown":
            self.complaints.append(what["exceptionDetails"].get("exception", {}).get("description", "exception"))
        elif kind == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert"):
            self.complaints.append(f"console: {what['args']}")
        elif kind == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"log: {what['entry']['text']}")
        elif kind == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
