"""The server built with faults on demand (-Dhostile=true), under AddressSanitizer."""
import mmap
import os
import struct
import tempfile
import unittest

from .server import ROOT, Server

BINARY = os.environ.get("TIDEMARK_HOSTILE_BIN") or str(ROOT / "build-hostile/tidemark")
SANITIZER = "detect_leaks=1:abort_on_error=0:exitcode=99:allocator_may_return_null=1"
WORDS = struct.Struct("=qqqq")
ONCE, STICKY = 1, 2


def need_build():
    """Skips a class of tests, visibly, when there is no such build."""
    return unittest.skipUnless(os.access(BINARY, os.X_OK),
                               f"no build with faults on demand at {BINARY}: tools/build.sh hostile")


class HostileServer(Server):
    """`leaks`: the exit tells of memory that nobody freed (exit code 99)."""

    def __init__(self, *arguments, environment=None, sanitizer="", **named):
        environment = {"ASAN_OPTIONS": SANITIZER + sanitizer, "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
                       **(environment or {})}
        super().__init__(*arguments, environment=environment, **named)

    def command(self, port):
        return [BINARY, *super().command(port)[1:]]


class Allocations:
    """Arms a server's allocations to fail, and counts them. Give `environment` to the server."""

    def __init__(self):
        fd, self.path = tempfile.mkstemp(prefix="tidemark-hostile-")
        os.ftruncate(fd, WORDS.size)
        self.shared = mmap.mmap(fd, WORDS.size)
        os.close(fd)
        self.environment = {"TIDEMARK_HOSTILE_MEMORY": self.path}

    def arm(self, nth, mode=ONCE):
        """The nth allocation from now on fails; STICKY: so do all that follow."""
        self.shared[:WORDS.size] = WORDS.pack(0, nth, 0, 0)
        self.shared[:8] = struct.pack("=q", mode)

    def disarm(self):
        """How many allocations there were since, and how many of them failed."""
        _, _, seen, failed = WORDS.unpack(self.shared[:WORDS.size])
        self.shared[:8] = struct.pack("=q", 0)
        return seen, failed

    def close(self):
        self.shared.close()
        os.unlink(self.path)
