#!/usr/bin/env python3
"""The same log gives the same digest: by every compiler and optimisation that was built, on any number of
threads, today as when the log was recorded.

tests/golden/logs/NAME.tar.gz is a recorded data directory, NAME.digest what its state came to. A change
that alters a digest alters what old logs mean: record anew (record.py) only before a release, and say why.
"""
import os
import pathlib
import tempfile
import unittest

from recording import LOGS, ROOT, digest, unpack

BUILDS = ("build-gcc", "build-clang", "build-plain", "build-asan", "build")


def binaries():
    found = {name: ROOT / name / "tidemark" for name in BUILDS}
    if "TIDEMARK" in os.environ:
        found["TIDEMARK"] = pathlib.Path(os.environ["TIDEMARK"])
    return {name: path for name, path in found.items() if path.exists()}


class Digests(unittest.TestCase):
    def test_recorded_logs_give_their_digest_in_every_build(self):
        logs = sorted(LOGS.glob("*.tar.gz"))
        self.assertTrue(logs, "no log was recorded")
        self.assertTrue(binaries(), "nothing was built")
        for log in logs:
            want = log.with_name(log.name.replace(".tar.gz", ".digest")).read_text().strip()
            with tempfile.TemporaryDirectory() as work:
                data = unpack(log, work)
                for name, binary in binaries().items():
                    for threads in (1, 2, 3):
                        with self.subTest(log=log.name, build=name, threads=threads):
                            self.assertEqual(digest(binary, data, threads), want)

    def test_compilers_and_optimisations_differ(self):
        """What the comparison is worth: gcc, clang and -O0 are there, and are not one binary thrice."""
        missing = [b for b in BUILDS[:3] if not (ROOT / b / "tidemark").exists()]
        if missing:
            self.skipTest(f"not built: {', '.join(missing)}; make test builds them")
        contents = {(ROOT / b / "tidemark").read_bytes() for b in BUILDS[:3]}
        self.assertEqual(len(contents), 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
