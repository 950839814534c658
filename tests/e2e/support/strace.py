"""A server under strace, which makes chosen system calls fail, lie, wait or kill.

From its start on (`Traced.inject`; strace -D, so the exit code is the server's own), or from some moment on
(`attached`). Calls are counted per thread: `error=EIO:when=3` is the third of each thread.
"""
import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from .server import Server

def skip_unless_possible():
    if shutil.which("strace") is None:
        raise unittest.SkipTest("strace is not installed (tools/setup.sh test)")
    done = subprocess.run(["strace", "-D", "-f", "-o", "/dev/null", "-e", "trace=pwritev", "true"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise unittest.SkipTest(f"strace may not trace here: {done.stdout[:200]!r}")


class Traced(Server):
    """`inject`: (calls, what) as strace has it, e.g. ("fsync,fdatasync", "error=EIO:when=2"). None: not traced."""

    inject = None
    traces = 0

    def command(self, port):
        plain = super().command(port)
        if self.inject is None:
            return plain
        calls, what = self.inject
        self.traces += 1
        self.trace_path = f"{self.output_path}.trace{self.traces}"
        return ["strace", "-D", "-f", "-q", "-ttt", "-o", self.trace_path, "-e", f"trace={calls},exit_group",
                "-e", f"inject={calls}:{what}", *plain]

    def trace(self):
        try:
            with open(self.trace_path, encoding="utf-8", errors="replace") as text:
                return text.read()
        except OSError:
            return ""

    def injected(self):
        return injected(self.trace())

    def exit_seconds(self):
        return exit_seconds(self.trace, self.process.pid)


def injected(trace):
    """[(time, line)] of each call that was made to fail, to lie or to wait."""
    return [(float(line.split()[1]), line) for line in trace.splitlines() if "(INJECTED" in line or "(DELAYED" in line]


def exit_seconds(trace, pid):
    """From the call that failed to the end of the process, by the tracer's clock; None: no such call, or no such end.

    The cause is the last failure of the thread that ended the process, or else the last of any. `trace` is a function:
    what the tracer writes comes a moment after the end.
    """
    deadline = time.monotonic() + 5
    end = None
    while end is None:
        text = trace()
        end = re.search(rf"^{pid} +([0-9.]+) \+\+\+ exited with", text, re.MULTILINE)
        if end is None and time.monotonic() > deadline:
            return None
        time.sleep(0 if end else 0.005)
    enders = re.findall(r"^(\d+) +[0-9.]+ exit_group\(", text[:end.start()], re.MULTILINE)
    causes = injected(text[:end.start()])
    own = [cause for cause in causes if enders and cause[1].split()[0] == enders[-1]]
    return float(end[1]) - (own or causes)[-1][0] if causes else None


class Trace:
    def __init__(self, path):
        self.path = path

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as text:
            return text.read()

    def injected(self):
        return injected(self.text())

    def exit_seconds(self, pid):
        return exit_seconds(self.text, pid)


@contextlib.contextmanager
def attached(process, calls, what):
    """Injects into a process that runs; gives a Trace of the calls."""
    fd, path = tempfile.mkstemp(prefix="tidemark-trace-")
    os.close(fd)
    tracer = subprocess.Popen(["strace", "-f", "-q", "-ttt", "-o", path, "-p", str(process.pid), "-e",
                               f"trace={calls},exit_group", "-e", f"inject={calls}:{what}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not _all_traced(process.pid) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.002)
        yield Trace(path)
    finally:
        tracer.terminate()
        tracer.wait(20)
        os.remove(path)


def _all_traced(pid):
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as text:
                if "TracerPid:\t0\n" in text.read():
                    return False
    except OSError:
        return False
    return True
