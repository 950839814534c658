#!/usr/bin/env python3
"""A bit changed anywhere on disk: refused with the file's name, or done without, or no difference. Never another state.

The whole directory of a small server: segment header, frames, seals, padding, what was reserved behind the end,
snapshots, genesis. Each start is a `tidemark replay`, which opens the directory as a server does and prints the
digest of the state it comes to; the state must be the one of before, to the bit.
"""
import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import unittest

from support import cases, totals
from support.expected import Account, Load
from support.server import Server, run

SEED = int(os.environ.get("SEED", "7"))
BLOCK = 4096
FRAME_HEADER = 64
SEGMENT_HEADER = 96
FOOTER = 64


class Flips(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"seed {SEED}; again by: SEED={SEED} python3 tests/e2e/attack_flips_test.py", flush=True)
        parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        cls.root = tempfile.mkdtemp(prefix="tidemark-flips-", dir=parent)
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        cls.template = pathlib.Path(cls.root, "template")
        cls.data = pathlib.Path(cls.root, "data")
        cls.make()

    @classmethod
    def make(cls):
        first = os.path.join(cls.root, "first")
        account = Account(os.path.join(cls.root, "account"))
        server = Server(2, 2, data=first, arguments=["--pulse-every", "200ms"])
        server.start()
        account.prepare(server)
        for number in range(2):
            with Load(account, server, f"{SEED}-{number}", clients=1) as load:
                load.wait_for_answers(3)
            if load.wrong() or server.stop() != 0:
                raise AssertionError(load.wrong())
            done = run(["snapshot", "--data", first])
            if done.returncode != 0:
                raise AssertionError(done.stderr)
            server.start()
        account.look(unittest.TestCase(), server)
        if server.stop() != 0:
            raise AssertionError(server.output())
        account.close()
        subprocess.run(["cp", "-r", "--sparse=always", first, cls.template], check=True)
        shutil.rmtree(first)
        cls.restore()
        cls.digests = {words: cls.replay(*words)[1] for words in ((), ("--from-snapshot",))}
        if len(set(cls.digests.values())) != 1 or None in cls.digests.values():
            raise AssertionError(cls.digests)

    @classmethod
    def restore(cls):
        shutil.rmtree(cls.data, ignore_errors=True)
        subprocess.run(["cp", "-r", "--sparse=always", cls.template, cls.data], check=True)

    @classmethod
    def replay(cls, *words):
        """(exit code, digest or None, complaints)"""
        done = run(["replay", "--data", cls.data, "--json", "--quiet", "--threads", 1, *words], seconds=60)
        return done.returncode, json.loads(done.stdout)["digest"] if done.returncode == 0 else None, done.stderr

    def flip(self, path, at):
        bit = 1 << random.Random(f"{SEED}-{path.name}-{at}").randrange(8)
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ bit]))

    def each(self, path, places, *words):
        """Flips one after the other; returns {place: exit code}. No flip may lead to another state."""
        outcomes = {}
        for at in places:
            self.flip(path, at)
            code, digest, said = self.replay(*words)
            totals.count("flips")
            outcomes[at] = code
            where = f"{path.name}, byte {at}: exit {code}, {said[-500:]}"
            if code == 0:
                self.assertEqual(self.digests[words], digest, where)
                self.restore()  # it may have set something aside
            else:
                self.assertEqual(75, code, where)
                self.assertRegex(said, r"\d{20}\.log|snap-\d{20}|genesis", where)
                self.flip(path, at)
        return outcomes

    def log(self):
        segments = sorted((self.data / "log").glob("*.log"))
        self.assertEqual(1, len(segments))
        done = run(["log", "verify", "--json", self.data])
        return segments[0], BLOCK + json.loads(done.stdout.splitlines()[-1])["end"]

    def vital(self, path, end):
        """[(first, last + 1)] of each frame: header and body, without padding."""
        with open(path, "rb") as file:
            whole = file.read(end)
        frames, at = [], BLOCK
        while at < end:
            body = int.from_bytes(whole[at + 12:at + 16], "little")
            frames.append((at, at + FRAME_HEADER + body))
            at += (FRAME_HEADER + body + BLOCK - 1) // BLOCK * BLOCK
        return frames

    def test_the_log(self):
        path, end = self.log()
        frames = self.vital(path, end)
        heads = [at for first, _ in frames[:2] + frames[-2:] for at in range(first, first + FRAME_HEADER)]
        inner = [at for first, last in frames for at in range(first + FRAME_HEADER, last)]
        draw = random.Random(SEED)
        chosen = draw.sample(inner, min(len(inner), totals.thinned(60, 1500)))
        places = sorted(set(heads[::totals.thinned(7, 1)] + chosen))
        outcomes = self.each(path, places)
        witnessed = frames[-1][0]  # the closing seal itself has no witness and holds nothing
        started = [at for at in places if at < witnessed and outcomes[at] == 0]
        self.assertEqual([], started, "a change in acknowledged data went unnoticed")

    def test_the_segment_s_header_block(self):
        path, _ = self.log()
        places = list(range(SEGMENT_HEADER))[::totals.thinned(4, 1)] + [BLOCK - 4, BLOCK - 1]
        places += list(range(SEGMENT_HEADER, BLOCK - 4))[::totals.thinned(400, 8)]
        outcomes = self.each(path, places)
        self.assertEqual({75}, set(outcomes.values()))

    def test_padding_and_reserved_space(self):
        path, end = self.log()
        padding = [at for first, last in self.vital(path, end) for at in range(last, (last + BLOCK - 1) // BLOCK * BLOCK)]
        padding += range(end, end + 3 * BLOCK)
        places = random.Random(SEED).sample(padding, totals.thinned(25, 600)) + [end, end + BLOCK, path.stat().st_size - 1]
        outcomes = self.each(path, places)
        self.assertEqual({0}, set(outcomes.values()))

    def test_the_newest_snapshot(self):
        path = sorted((self.data / "snapshots").iterdir())[-1]
        size = path.stat().st_size
        places = list(range(16))[::totals.thinned(4, 1)] + list(range(size - FOOTER, size))[::totals.thinned(4, 1)]
        places += random.Random(SEED).sample(range(16, size - FOOTER), min(size - FOOTER - 16, totals.thinned(40, 1000)))
        outcomes = self.each(path, places, "--from-snapshot")
        self.assertEqual({0}, set(outcomes.values()), "the one before it is enough")

    def test_the_genesis(self):
        path = self.data / "genesis"
        outcomes = self.each(path, range(0, path.stat().st_size, totals.thinned(2, 1)))
        self.assertEqual({75}, set(outcomes.values()))

    def setUp(self):
        self.restore()


if __name__ == "__main__":
    cases.main()
