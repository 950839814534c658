"""Test cases: sentences as tests, tables as tests, and what every refusal must look like."""
import itertools
import os
import re
import sys
import unittest

from . import server as _server

SKIP_EXIT = 77  # what tools/test.py counts as a skip
PROBLEM_TYPE = re.compile(r"urn:tidemark:problem:[a-z0-9]+(-[a-z0-9]+)*$")


def table(name, rows):
    """Decorates a class: each row (label, *arguments) becomes a test that calls self.<name>(*arguments).

    So each row is counted as the test it is.
    """
    def decorate(cls):
        for label, *arguments in rows:
            slug = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
            method = f"test_{slug}"
            for n in itertools.count(2):
                if not hasattr(cls, method):
                    break
                method = f"test_{slug}_{n}"

            def run(self, _arguments=tuple(arguments)):
                getattr(self, name)(*_arguments)
            run.__name__ = method
            setattr(cls, method, run)
        return cls
    return decorate


class Case(unittest.TestCase):
    """One server for all tests of the class, so each test uses names of its own."""
    partitions = 4
    threads = 2
    arguments = ()
    maxDiff = 4000
    _names = itertools.count(1)

    @classmethod
    def setUpClass(cls):
        cls.server = _server.Server(cls.partitions, cls.threads, arguments=cls.arguments)
        cls.addClassCleanup(cls.server.discard)
        cls.server.start()
        cls.prepare()

    @classmethod
    def prepare(cls):
        pass

    def setUp(self):
        # One crash must not turn every later test into a failure that says nothing.
        if not self.server.alive():
            died = f"the server had died (exit code {self.server.process.returncode}): " \
                   f"{self.server.output()[-1500:]}"
            self.server.start()
            print(f"\n{died}\nstarted again for {self.id()}", file=sys.stderr)

    def name(self, stem="m"):
        """A name nobody else uses."""
        return f"{stem}_{os.getpid()}_{next(self._names)}"

    def check_problem(self, reply, *statuses, kind=None, says=()):
        """RFC 9457, with our own kind of type, and every word of `says` in it."""
        self.assertIn(reply.status, statuses, repr(reply))
        self.assertEqual("application/problem+json",
                         reply.headers.get("content-type", "").split(";")[0], repr(reply))
        problem = reply.json
        self.assertEqual(reply.status, problem["status"], problem)
        self.assertRegex(problem["type"], PROBLEM_TYPE)
        self.assertTrue(problem.get("title"), problem)
        self.assertTrue(problem.get("detail"), problem)
        if kind:
            self.assertEqual(f"urn:tidemark:problem:{kind}", problem["type"], problem)
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word.lower(), reply.body.decode().lower())
        return problem

    def eventually(self, function, seconds=10, what="it"):
        """Waits until function() is true and returns what it gave."""
        import time
        deadline = time.monotonic() + seconds
        while True:
            value = function()
            if value:
                return value
            if time.monotonic() > deadline:
                self.fail(f"{what} did not come true within {seconds} s; last: {value!r}")
            time.sleep(0.02)


def main():
    """Runs the script's tests. No binary is a failure, not a skip: nothing would have been tested."""
    if not os.access(_server.BINARY, os.X_OK):
        print(f"there is no server to test at {_server.BINARY}; build it, or set TIDEMARK_BIN")
        sys.exit(1)
    unittest.main(module="__main__", verbosity=2)
