"""A page in headless Chromium, driven by the DevTools protocol over a pipe: no driver, no package, no port."""

import base64
import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
DEVICES = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]  # a camera, a microphone
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe", *DEVICES]
NO_SIMD = ["--js-flags=--no-enable-ssse3 --no-enable-sse4-1"]  # then V8 has no WebAssembly SIMD
# LiteRT.js tries a module of some bytes.
NO_RELAXED_SIMD = """
    const instantiate = WebAssembly.instantiate;
    WebAssembly.instantiate = (bytes, ...rest) =>
      bytes.byteLength < 1000 ? Promise.reject(new Error("relaxed SIMD")) : instantiate(bytes, ...rest);
"""
FAILED = "document.getElementById('problem')?.textContent.includes('cannot run')"
SECONDS = 120


@pytest.fixture
def browser():
    """`browser(folder, **options)` serves a folder and opens its index.html: a `Page`. Skips where there is none."""
    if program() is None:
        pytest.skip(f"No Chromium: none of {', '.join(PROGRAMS)} is installed (Debian package chromium).")
    with contextlib.ExitStack() as stack:
        yield lambda folder, **options: _open(stack, folder, **options)


def _open(stack, folder, *, simd=True, relaxed=True, width=1280):
    """simd, relaxed: whether this browser has WebAssembly SIMD, and relaxed SIMD."""
    address, asked = stack.enter_context(_served(folder))
    page = stack.enter_context(_started([] if simd else NO_SIMD))
    page.asked = asked
    page.size(width, 900)
    if not relaxed:
        page.call("Page.addScriptToEvaluateOnNewDocument", source=NO_RELAXED_SIMD)
    page.call("Page.navigate", url=f"{address}/index.html")
    page.wait("document.querySelector('main') && !document.querySelector('main').hidden || " + FAILED)
    return page


def program():
    """The path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextlib.contextmanager
def _served(folder):
    """The address of a plain file server, and the list of what it was asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, text, *values):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def _started(flags):
    """A browser with one empty page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        (their_read, write), (read, their_write) = os.pipe(), os.pipe()
        command = [program(), *FLAGS, *flags, f"--user-data-dir={profile}"]
        # Chromium reads commands from descriptor 3 and answers on 4.
        shell = ["sh", "-c", f'exec "$@" 3<&{their_read} 4>&{their_write}', "sh", *command]
        process = subprocess.Popen(shell, pass_fds=(their_read, their_write), stderr=subprocess.DEVNULL)
        os.close(their_read)
        os.close(their_write)
        try:
            yield Page(write, read)
        finally:
            os.close(write)
            os.close(read)
            process.terminate()
            process.wait(SECONDS)


class Page:
    def __init__(self, write, read):
        self._write, self._read, self._buffer, self._count, self.errors = write, read, b"", 0, []
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """The answer to a command; what the page complains of meanwhile is kept in `errors`."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._count:
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(json.dumps(answer["params"]))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def size(self, width, height, *, scale=1):
        values = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **values)

    def colors(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def value(self, expression):
        """The JSON value of an expression of JavaScript, awaited."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"]))
        return found["result"].get("value")

    def wait(self, expression, seconds=SECONDS):
        """Until an expression is true."""
        end = time.monotonic() + seconds
        while not self.value(expression):
            if time.monotonic() > end:
                raise TimeoutError(f"{expression} is not true after {seconds} seconds. {self.errors}")
            time.sleep(0.05)

    def stroke(self, *points):
        """The mouse, pressed and moved through these points of the window, in CSS pixels."""
        for place, (x, y) in enumerate(points):
            kind = "mouseMoved" if place else "mousePressed"
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", clickCount=1)

    def picture(self, *, whole=True):
        """PNG bytes."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"])

    def _receive(self):
        while b"\0" not in self._buffer:
            received = os.read(self._read, 1 << 20)
            if not received:
                raise RuntimeError("Chromium has ended.")
            self._buffer += received
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)
