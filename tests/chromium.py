"""Drive Debian's Chromium without a window, through a pipe: DevTools' protocol as JSON between zero bytes."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium")
_PATIENCE = 60.0  # seconds for one answer
_SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # which root cannot have
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # a page that asks for anything from outside does not get it
    "--remote-debugging-pipe",
)


class Chromium:
    """One browser with one page, as a context: it ends with it."""

    def __enter__(self) -> "Chromium":
        self._folder = tempfile.mkdtemp(prefix="chromium-")
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # It reads descriptor 3 and writes descriptor 4.
        moved = [os.dup2(each, high) for each, high in ((to_browser, 203), (from_browser, 204))]
        command = ["bash", "-c", 'exec "$@" 3<&203 4>&204', "bash", str(PROGRAM), *_SWITCHES]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={self._folder}", "about:blank"],
            pass_fds=moved,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for each in (to_browser, from_browser, *moved):
            os.close(each)
        self._numbers, self._buffer, self._session = itertools.count(1), b"", ""
        self.requests: list[str] = []
        """Addresses of all that pages have asked for."""
        try:
            self._attach()
        except RuntimeError:
            self.__exit__()
            raise
        return self

    def _attach(self) -> None:
        """Open a page, and hear of what happens in it."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)
        shutil.rmtree(self._folder, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and give its result.

        Raises:
            RuntimeError: it was refused, or the browser has ended or is silent.
        """
        number = next(self._numbers)
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": number, "method": method, "params": parameters, **session}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def open(self, page: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Open a file in a window of this size, and wait until it is there.

        Args:
            page: the file.
            width: of the window, pixels.
            height: of the window, pixels.
            scheme: ``light`` or ``dark``.
        """
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=page.resolve().as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """Evaluate an expression of JavaScript in the page, wait for its promise, and give its value."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"].get("description", "an error in the page"))
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key: ``Tab``, ``Enter``."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def picture(self, out: Path, whole: bool = False) -> None:
        """Save what the window shows as PNG, or the whole page."""
        drawn = self.call("Page.captureScreenshot", captureBeyondViewport=whole, **self._clip(whole))
        out.write_bytes(base64.b64decode(drawn["data"]))

    def print(self, out: Path) -> None:
        """Print the page to a PDF."""
        printed = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
        out.write_bytes(base64.b64decode(printed["data"]))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {**size, "x": 0, "y": 0, "scale": 1}}

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], _PATIENCE)[0] or not (more := os.read(self._read, 1 << 20)):
                raise RuntimeError("Chromium has ended, or is silent")
            self._buffer += more
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer = dict(json.loads(message))
        if answer.get("method") == "Network.requestWillBeSent":
            self.requests.append(answer["params"]["request"]["url"])
        return answer
