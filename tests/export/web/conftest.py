"""A page in headless Chromium, driven by the DevTools protocol over a pipe: no driver, no package, no port."""

import base64
import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
DEVICES = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]  # a camera, a microphone
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe", *DEVICES]
NO_SIMD = ("--js-flags=--no-enable-ssse3 --no-enable-sse4-1",)  # then V8 has no WebAssembly SIMD
# LiteRT.js tries a module of some bytes.
NO_RELAXED_SIMD = """
    const instantiate = WebAssembly.instantiate;
    WebAssembly.instantiate = (bytes, ...rest) =>
      bytes.byteLength < 1000 ? Promise.reject(new Error("relaxed SIMD")) : instantiate(bytes, ...rest);
"""
# Chromium reads commands from descriptor 3 and answers on 4.
ON_3_AND_4 = """
import os, sys
os.dup2(int(sys.argv[1]), 101), os.dup2(int(sys.argv[2]), 102)
os.dup2(101, 3), os.dup2(102, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
FAILED = "document.getElementById('problem')?.textContent.includes('cannot run')"
SECONDS = 120


@pytest.fixture(scope="session")
def chromium():
    """`chromium(flags)`: a browser, started once for the same flags. Skips where there is none."""
    if program() is None:
        pytest.skip(f"No Chromium: none of {', '.join(PROGRAMS)} is installed (Debian package chromium).")
    with contextlib.ExitStack() as stack:
        yield functools.cache(lambda flags: stack.enter_context(_started(flags)))


@pytest.fixture
def browser(chromium):
    """`browser(folder, **options)` serves a folder and opens its index.html: a `Page`."""
    with contextlib.ExitStack() as stack:
        yield lambda folder, **options: _open(stack, chromium, folder, **options)


def _open(stack, chromium, folder, *, simd=True, relaxed=True, width=1280):
    """simd, relaxed: whether this browser has WebAssembly SIMD, and relaxed SIMD."""
    address, asked = stack.enter_context(_served(folder))
    page = stack.enter_context(contextlib.closing(Page(chromium(() if simd else NO_SIMD), asked)))
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
    """A browser without a page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        (their_read, write), (read, their_write) = os.pipe(), os.pipe()
        command = [program(), *FLAGS, *flags, f"--user-data-dir={profile}"]
        start = [sys.executable, "-S", "-c", ON_3_AND_4, str(their_read), str(their_write), *command]
        process = subprocess.Popen(start, pass_fds=(their_read, their_write), stderr=subprocess.DEVNULL)
        os.close(their_read)
        os.close(their_write)
        try:
            yield Browser(write, read)
        finally:
            os.close(write)
            os.close(read)
            process.terminate()
            process.wait(SECONDS)


class Browser:
    def __init__(self, write, read):
        self._write, self._read, self._buffer, self._count = write, read, b"", 0

    def call(self, method, parameters, session=None):
        """The answer to a command, and the messages before it."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        events = []
        while (answer := self._receive()).get("id") != self._count:
            events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"], events

    def _receive(self):
        while b"\0" not in self._buffer:
            received = os.read(self._read, 1 << 20)
            if not received:
                raise RuntimeError("Chromium has ended.")
            self._buffer += received
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)


class Page:
    """One tab. asked: the paths that the server was asked for. errors: what went wrong in the page, as JSON."""

    def __init__(self, browser, asked):
        self._browser, self.asked, self.errors = browser, asked, []
        self._target = browser.call("Target.createTarget", {"url": "about:blank"})[0]["targetId"]
        attached, _ = browser.call("Target.attachToTarget", {"targetId": self._target, "flatten": True})
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def close(self):
        self._browser.call("Target.closeTarget", {"targetId": self._target})

    def call(self, method, **parameters):
        """The answer to a command."""
        answer, events = self._browser.call(method, parameters, self._session)
        for event in (event for event in events if event.get("sessionId") == self._session):
            entry = event["params"].get("entry", {})
            if event["method"] == "Runtime.exceptionThrown" or entry.get("level") == "error":
                self.errors.append(json.dumps(event["params"]))
        return answer

    def size(self, width, height, *, scale=1):
        values = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **values)

    def colors(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def value(self, expression):
        """The JSON value of an expression of JavaScript, awaited."""
        how = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        found = self.call("Runtime.evaluate", expression=expression, **how)
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
