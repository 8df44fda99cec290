"""Python processes that have imported Keras and TensorFlow already: forks of one that has done nothing else.

A test that wants a process of its own saves seconds for each. Started as `python forked_python.py` it is that one: it
reads what to fork from its input, a line of JSON each, and answers with the fork's number.
"""

import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATIENCE = 240  # seconds until a process counts as hanging


class Forked:
    """A process, as `subprocess.Popen` would be. folder: holds what it prints, stdout.txt and stderr.txt."""

    def __init__(self, server, number, folder):
        self._server, self._number, self._folder, self.returncode = server, number, folder, None

    @property
    def stdout(self):
        return (self._folder / "stdout.txt").read_text()

    @property
    def stderr(self):
        return (self._folder / "stderr.txt").read_text()

    def poll(self):
        if self.returncode is None:
            self.returncode = self._server.ask({"poll": self._number})
        return self.returncode

    def kill(self):
        if self.poll() is None:
            os.kill(self._number, 9)

    def wait(self, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError(f"not done after {seconds} s: {self.stdout}{self.stderr}")
            time.sleep(0.01)
        return self.returncode


class ForkedPython:
    """Starts processes: `start("script.py", "argument")`, `start("-m", "module")`, `start("-c", "code")`."""

    def __init__(self):
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([sys.executable, __file__], env=environment, **pipes)
        self._folder = tempfile.TemporaryDirectory()

    def start(self, *arguments, folder=".", environment=()):
        """folder: where it runs. environment: variables that it has besides those of the tests."""
        printed = Path(tempfile.mkdtemp(dir=self._folder.name))
        for name in ("stdout.txt", "stderr.txt"):  # before anybody reads them
            (printed / name).touch()
        fork = {"arguments": [*map(str, arguments)], "folder": str(folder), "environment": dict(environment)}
        return Forked(self, self.ask({"fork": fork | {"printed": str(printed)}}), printed)

    def run(self, *arguments, **options):
        """A process that has ended, with `returncode`, `stdout` and `stderr`."""
        process = self.start(*arguments, **options)
        process.wait()
        return process

    def ask(self, request):
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()


def serve():
    """Forks, and says which have ended, until nobody asks any more. In a fork: returns what it is to run."""
    import keras
    import tensorflow as tf

    assert keras.backend.backend() == "tensorflow" and tf.__version__
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            ended, status = os.waitpid(request["poll"], os.WNOHANG)
            print(json.dumps(os.waitstatus_to_exitcode(status) if ended else None), flush=True)
        elif number := os.fork():
            print(number, flush=True)
        else:
            return request["fork"]
    return None


def become(fork):
    """The process that was asked for, in its folder, printing into its files."""
    for descriptor, name in ((0, os.devnull), (1, "stdout.txt"), (2, "stderr.txt")):
        opened = os.open(Path(fork["printed"]) / name, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(fork["folder"])
    os.environ.update(fork["environment"])
    how, *rest = fork["arguments"]
    if how == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], ""
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif how == "-m":
        sys.argv, sys.path[0] = rest, ""
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = [how, *rest], str(Path(how).parent)
        runpy.run_path(how, run_name="__main__")


if __name__ == "__main__":
    wanted = serve()
    if wanted:
        become(wanted)
