#!/usr/bin/env python3
"""Data directories that should not be: each is started on, verified and salvaged.

What was acknowledged and can't be read is refused with exit code 75 and a message that names the file, and the
refusal changes nothing on disk; `log verify` finds it; `log salvage --accept-loss` heals it and says what went; then
the server starts. What was never promised, and what is none of its business, is no reason to refuse.
"""
import atexit
import contextlib
import hashlib
import http.client
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import time
import unittest

from support import cases, totals
from support.checksums import crc32c
from support.expected import Account, Load
from support.server import BINARY, Server, free_port, run

BLOCK = 4096
SEGMENT = 64 << 20
SEGMENT_FILLED = 8 << 20
SEGMENTS = 3
REFUSAL_SECONDS_MAX = 60
GARBAGE = bytes(range(1, 251)) * 40


def serve(data):
    """A start that is to be refused; one that is not is killed once it is ready."""
    port = free_port()
    arguments = [BINARY, "serve", "--listen", f"127.0.0.1:{port}", "--data", str(data), "--threads", "2"]
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + REFUSAL_SECONDS_MAX
    while process.poll() is None and not is_ready(port) and time.monotonic() < deadline:
        time.sleep(0.01)
    if process.poll() is None:
        process.kill()
    said, complained = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, said, complained)


def is_ready(port):
    try:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


class Templates:
    """Directories of three segments or a few more, with snapshots and without, and what was promised of each.

    "small" ones went from segment to segment by torn ends, so their files are cut off; the others by filling up.
    """

    def __init__(self, root):
        self.root = root
        self.accounts = {}
        self.folders = {}

    def prepare(self, kind):
        if kind not in self.folders:
            self.make(kind, "small" in kind, ["--snapshot-every", "1M"] if "snapshots" in kind else [])

    def make(self, kind, small, arguments):
        folder = os.path.join(self.root, kind.replace(" ", "-"))
        account = Account(folder + ".account")
        if not small:
            arguments = ["--segment-bytes", str(SEGMENT_FILLED), *arguments]
        server = Server(4, 2, data=folder, arguments=arguments)
        server.start()
        account.prepare(server)
        for number in range(SEGMENTS if small else 1):
            if number > 0:
                server.kill9()
                write(Directory(folder).segment(-1), Directory(folder).end(), GARBAGE)
                server.start()
            with Load(account, server, number, clients=2, heavy=1) as load:
                load.wait_for_answers(1)
                deadline = time.monotonic() + 60
                while not small and len(Directory(folder).segments()) < SEGMENTS and time.monotonic() < deadline:
                    time.sleep(0.02)
                time.sleep(0.05)
            if load.wrong():
                raise AssertionError(load.wrong())
            account.look(unittest.TestCase(), server)
        time.sleep(0.7)  # the last frame gets its witness
        server.kill9()
        count = len(Directory(folder).segments())
        if count < SEGMENTS or small and count > SEGMENTS:
            raise AssertionError(f"{kind}: {Directory(folder).segments()}")
        for spare in pathlib.Path(folder, "log").glob("spare-*"):
            spare.unlink()
        for torn in pathlib.Path(folder, "log").glob("*.torn*"):
            torn.unlink()
        self.accounts[kind], self.folders[kind] = account, folder

    def copy(self, kind, to):
        self.prepare(kind)
        subprocess.run(["cp", "-r", "--sparse=always", self.folders[kind], to], check=True)


class Directory:
    """One copy, with names for its parts."""

    def __init__(self, data):
        self.data = pathlib.Path(data)
        self.log = self.data / "log"
        self.snapshots = self.data / "snapshots"
        self.genesis = self.data / "genesis"

    def segments(self):
        return sorted(self.log.glob("????????????????????.log"))

    def segment(self, n):
        return self.segments()[n]

    def newest_snapshots(self):
        return sorted(self.snapshots.glob("snap-*"), reverse=True)

    def end(self):
        """Where the last segment's frames end, in the file."""
        whole = self.segment(-1).read_bytes()
        return (len(whole.rstrip(b"\0")) + BLOCK - 1) // BLOCK * BLOCK

    def shape(self):
        """All that a refusal must leave as it was."""
        return {str(p.relative_to(self.data)): (p.stat().st_size, p.stat().st_mtime_ns)
                for p in self.data.rglob("*") if p.is_file() and p.name != "LOCK"}


    def contents(self):
        """The same for a refusal that comes when the log was opened already: by content, not by time."""
        return {name: hashlib.sha1((self.data / name).read_bytes()).hexdigest() for name in self.shape()}


def write(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


# What is done to a directory. Each returns the name that the refusal must tell, or None.

def drop(n):
    def act(d):
        path = d.segment(n)
        following = d.segments()[d.segments().index(path) - 1] if n == -1 else d.segment(n + 1)
        path.unlink()
        return following.name
    return act


def cut_to(n, size):
    def act(d):
        path = d.segment(n)
        os.truncate(path, size)
        return path.name
    return act


def cut_in_half(n):
    def act(d):
        path = d.segment(n)
        os.truncate(path, path.stat().st_size // 2)
        return path.name
    return act


def cut_by_a_byte(n):
    """The last byte that belongs to a frame."""
    def act(d):
        first, following = (int(d.segment(k).name.split(".")[0]) for k in (n, n + 1))
        os.truncate(d.segment(n), BLOCK + following - first - 1)
        return d.segment(n).name
    return act


def cut_last_in_its_middle(d):
    path = d.segment(-1)
    os.truncate(path, d.end() // 2)
    return path.name


def zero(n, size):
    def act(d):
        path = d.segment(n)
        write(path, 0, bytes(size))
        return path.name
    return act


def change_an_event(n):
    def act(d):
        path = d.segment(n)
        write(path, path.read_bytes().index(b"/lane/"), b"?")
        return path.name
    return act


def all_zeros(n):
    def act(d):
        path = d.segment(n)
        size = path.stat().st_size
        os.truncate(path, 0)
        os.truncate(path, size)
        return path.name
    return act


def all_segments_gone(d):
    for path in d.segments():
        path.unlink()
    return ".log"


def lengthen(n, data):
    def act(d):
        with open(d.segment(n), "ab") as file:
            file.write(data)
        return d.segment(n).name
    return act


def unused_segment(data):
    def act(d):
        base = int(d.segment(-1).name.split(".")[0]) + SEGMENT - BLOCK
        (d.log / f"{base:020}.log").write_bytes(data)
        return f"{base:020}.log"
    return act


def foreign_files(d):
    for path in (d.log / "README", d.log / "1.log", d.log / (d.segment(0).name + ".bak"), d.snapshots / "snap-1",
                 d.snapshots / "notes.txt", d.data / "notes.txt"):
        path.write_bytes(b"not ours")


def symbolic_link(d):
    path = d.segment(-1)
    path.rename(d.data / "elsewhere")
    path.symlink_to(d.data / "elsewhere")
    return path.name


def folder_as_segment(d):
    path = d.segment(-1)
    path.unlink()
    path.mkdir()
    return path.name


def unreadable_spares(d):
    (d.log / "spare-0").write_bytes(b"short")
    (d.log / "spare.tmp").write_bytes(b"x" * 5000)
    (d.log / "torn.tmp").write_bytes(b"x" * 5000)


def no_snapshots_folder(d):
    shutil.rmtree(d.snapshots)


def half_written_snapshot(d):
    newest = d.newest_snapshots()[0]
    (d.snapshots / (newest.name + ".tmp")).write_bytes(newest.read_bytes()[:1000])


def empty_snapshots(d):
    for path in d.newest_snapshots():
        path.write_bytes(b"")


def segment_of_version(n, version):
    def act(d):
        path = d.segment(n)
        block = bytearray(path.read_bytes()[:BLOCK])
        struct.pack_into("<I", block, 8, version)
        struct.pack_into("<I", block, BLOCK - 4, crc32c(block[:BLOCK - 4]))
        write(path, 0, block)
        return path.name
    return act


def snapshot_of_version(version):
    def act(d):
        for path in d.newest_snapshots():
            whole = bytearray(path.read_bytes())
            footer = whole[-64:]
            struct.pack_into("<I", footer, 8, version)
            struct.pack_into("<I", footer, 60, crc32c(footer[:60]))
            path.write_bytes(whole[:-64] + footer)
        return d.newest_snapshots()[0].name
    return act


def genesis_of_version(version):
    def act(d):
        whole = bytearray(d.genesis.read_bytes())
        struct.pack_into("<I", whole, 8, version)
        struct.pack_into("<I", whole, 48, crc32c(whole[:48]))
        d.genesis.write_bytes(whole)
        return "genesis"
    return act


def genesis_is(change):
    def act(d):
        d.genesis.write_bytes(change(d.genesis.read_bytes()))
        return "genesis"
    return act


def genesis_gone(d):
    d.genesis.unlink()
    return "genesis"


def swapped_segments(d):
    first, second = d.segment(0), d.segment(1)
    other = d.log / "other"
    first.rename(other)
    second.rename(first)
    other.rename(second)
    return first.name


BOTH, LOG, SNAPSHOTS = ("log", "snapshots"), ("log",), ("snapshots",)
FILLED_IN_SHORT = ("last segment missing, log", "middle segment missing, snapshots")

# label, on which directories, what is done
REFUSED = [
    ("last segment missing", BOTH, drop(-1)),
    ("middle segment missing", BOTH, drop(1)),
    ("all segments missing, but snapshots", SNAPSHOTS, all_segments_gone),
    ("last segment without a byte", BOTH, cut_to(-1, 0)),
    ("middle segment without a byte", BOTH, cut_to(1, 0)),
    ("first segment without a byte", LOG, cut_to(0, 0)),
    ("last segment of one header block", BOTH, cut_to(-1, BLOCK)),
    ("last segment cut in its middle", BOTH, cut_last_in_its_middle),
    ("middle segment cut by a byte", LOG, cut_by_a_byte(1)),
    ("middle segment cut by half", LOG, cut_in_half(1)),
    ("first segment cut by half", LOG, cut_in_half(0)),
    ("zeros for the last header block", BOTH, zero(-1, BLOCK)),
    ("zeros for a middle header block", BOTH, zero(1, BLOCK)),
    ("zeros for the first header block", BOTH, zero(0, BLOCK)),
    ("the last segment is all zeros", BOTH, all_zeros(-1)),
    ("a byte changed in the first segment's events", LOG, change_an_event(0)),
    ("a byte changed in a middle segment's events", LOG, change_an_event(1)),
    ("two segments swapped", BOTH, swapped_segments),
    ("a symbolic link for a segment", BOTH, symbolic_link),
    ("a folder for a segment", BOTH, folder_as_segment),
    ("last segment of version 2", BOTH, segment_of_version(-1, 2)),
    ("first segment of version 2", LOG, segment_of_version(0, 2)),
]
TAKEN = [
    ("first segment missing below a snapshot", SNAPSHOTS, drop(0)),
    ("an empty file that was never a segment", BOTH, unused_segment(b"")),
    ("a block of zeros that was never a segment", BOTH, unused_segment(bytes(BLOCK))),
    ("zeros that were never a segment", BOTH, unused_segment(bytes(1 << 20))),
    ("last segment longer by zeros", BOTH, lengthen(-1, bytes(10_000))),
    ("last segment longer by garbage", BOTH, lengthen(-1, GARBAGE)),
    ("first segment longer by garbage", BOTH, lengthen(0, GARBAGE)),
    ("foreign files", BOTH, foreign_files),
    ("half-made spares", BOTH, unreadable_spares),
    ("no folder of snapshots", BOTH, no_snapshots_folder),
    ("a half-written snapshot", SNAPSHOTS, half_written_snapshot),
    ("snapshots without a byte", SNAPSHOTS, empty_snapshots),
]
GENESIS = [
    ("genesis without a byte", genesis_is(lambda b: b"")),
    ("genesis cut", genesis_is(lambda b: b[:-1])),
    ("genesis longer", genesis_is(lambda b: b + b"\0")),
    ("genesis with a byte changed", genesis_is(lambda b: b[:20] + bytes([b[20] ^ 1]) + b[21:])),
]


def each(rows, filled=()):
    """Both kinds of segments in the long run; in the short one small ones, and filled ones where named."""
    made = []
    for label, kinds, act in rows:
        for kind in kinds:
            made.append((f"{label}, small {kind}", f"small {kind}", act))
            if totals.LONG or f"{label}, {kind}" in filled:
                made.append((f"{label}, {kind}", kind, act))
    return made


templates = Templates(tempfile.mkdtemp(prefix="tidemark-shapes-"))
atexit.register(shutil.rmtree, templates.root, ignore_errors=True)


class Shapes(unittest.TestCase):
    def copy(self, kind):
        to = os.path.join(templates.root, "copy")
        shutil.rmtree(to, ignore_errors=True)
        templates.copy(kind, to)
        self.account = templates.accounts[kind]
        return Directory(to)

    def start(self, directory):
        server = Server(4, 2, data=str(directory.data))
        self.addCleanup(server.discard)
        return server.start()

    def check_refused(self, directory, *names, shape=Directory.shape):
        """Exit code 75 in words that name one of the files, and nothing changed."""
        before = shape(directory)
        done = serve(directory.data)
        self.assertEqual(75, done.returncode, done.stdout + done.stderr)
        self.assertTrue(any(name in done.stderr for name in names), (names, done.stderr))
        self.assertEqual(before, shape(directory), "the refusal changed something")
        return done.stderr


@cases.table("check", each(REFUSED, FILLED_IN_SHORT))
class Refused(Shapes):
    def check(self, kind, act):
        directory = self.copy(kind)
        act(directory)
        self.check_refused(directory, *[path.name for path in directory.segments()], ".log is damaged")
        done = run(["log", "salvage", "--accept-loss", directory.data], seconds=60)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertRegex(done.stdout, "goes on at position")
        if "0 B set aside" in done.stdout:
            self.assertRegex(done.stdout, r"positions \d+ to \d+ are given up")
        server = self.start(directory)
        reply = server.send([{"specversion": "1.0", "id": "after", "source": "/after", "type": "t"}], "applied")
        self.assertEqual(200, reply.status, repr(reply))
        if self.account_is_known(server):
            for row in server.values("kept"):
                self.assertLessEqual(row["n"], self.account.lanes[row["lane"]].there[0], row)
        server.kill9()
        server.start()
        self.assertEqual(1, len(server.walk("/v1/events", source="/after")))
        server.discard()
        self.assertEqual(0, run(["log", "verify", directory.data]).returncode)

    def account_is_known(self, server):
        """The metric may be among what was lost."""
        return server.request("GET", "/v1/metrics/kept").status == 200


@cases.table("check", each(REFUSED))
class Verified(Shapes):
    """The tools that only look find it too, and don't fall over it."""

    def check(self, kind, act):
        directory = self.copy(kind)
        act(directory)
        before = directory.shape()
        for tool in ("verify", "dump"):
            done = run(["log", tool, directory.data], seconds=60)
            self.assertGreaterEqual(done.returncode, 0, f"{tool}: {done.stderr}")
            if tool == "verify":
                self.assertNotEqual(0, done.returncode, done.stdout[-500:])
        self.assertEqual(before, directory.shape())


@cases.table("check", each(TAKEN))
class Taken(Shapes):
    def check(self, kind, act):
        directory = self.copy(kind)
        foreign = set(directory.shape())
        act(directory)
        foreign = {f for f in set(directory.shape()) - foreign if "README" in f or "notes" in f or ".bak" in f}
        server = self.start(directory)
        self.account.look(self, server)
        server.kill9()
        server.start()
        self.account.look(self, server)
        server.discard()
        self.assertEqual(set(), foreign - set(directory.shape()), "foreign files are left alone")


@cases.table("check", GENESIS)
class Genesis(Shapes):
    def check(self, act):
        directory = self.copy("small snapshots")
        self.check_refused(directory, act(directory))

    def missing(self, kind):
        """A new one would number and spread events in another way than the log does."""
        directory = self.copy(kind)
        self.check_refused(directory, genesis_gone(directory))
        self.assertFalse(directory.genesis.exists())

    def test_genesis_missing_before_a_log(self):
        self.missing("small log")

    def test_genesis_missing_before_a_log_and_snapshots(self):
        self.missing("small snapshots")

    def test_a_genesis_of_another_version_is_refused_with_both(self):
        directory = self.copy("small log")
        said = self.check_refused(directory, genesis_of_version(7)(directory))
        self.assertRegex(said, r"version 7\b.*\b1\b")

    def test_a_segment_of_another_version_is_refused_with_both(self):
        directory = self.copy("small log")
        said = self.check_refused(directory, segment_of_version(-1, 7)(directory))
        self.assertRegex(said, r"version 7\b.*\b1\b")

    def test_damaged_snapshots_are_counted_and_told(self):
        directory = self.copy("small snapshots")
        newest = directory.newest_snapshots()[0]
        whole = bytearray(newest.read_bytes())
        whole[len(whole) // 2] ^= 0x20
        newest.write_bytes(whole)
        server = self.start(directory)
        self.account.look(self, server)
        self.assertIn(b"\ntidemark_snapshots_damaged_total 1\n", server.request("GET", "/metrics").body)
        said = server.output()
        server.discard()
        self.assertIn("1 damaged snapshots", said)

    def test_snapshots_of_another_version_are_named_with_both(self):
        """The log alone is enough to start; but they are not damaged, and are not called so."""
        directory = self.copy("small snapshots")
        snapshot_of_version(7)(directory)
        server = self.start(directory)
        self.account.look(self, server)
        said = server.output()
        server.discard()
        self.assertRegex(said, r"version 7\b.*\b4\b")
        self.assertNotIn("damaged", said)


class Salvage(Shapes):
    def test_the_beginning_is_gone_and_no_snapshot_has_it(self):
        """Nothing can be salvaged: it says so, and changes nothing."""
        directory = self.copy("small log")
        drop(0)(directory)
        said = self.check_refused(directory, str(directory.data), shape=Directory.contents)
        self.assertIn("no longer reaches back", said)

    def test_damage_below_a_snapshot_costs_nothing_that_the_snapshot_holds(self):
        directory = self.copy("small snapshots")
        path = directory.segment(1)
        write(path, 0, bytes(BLOCK))
        done = run(["log", "salvage", "--accept-loss", directory.data], seconds=60)
        self.assertEqual(0, done.returncode, done.stderr)
        server = self.start(directory)
        self.account.look(self, server)

    def test_without_the_words_nothing_is_given_up(self):
        directory = self.copy("small log")
        write(directory.segment(1), 0, bytes(BLOCK))
        before = directory.shape()
        done = run(["log", "salvage", directory.data])
        self.assertEqual(2, done.returncode)
        self.assertIn("--accept-loss", done.stderr)
        self.assertEqual(before, directory.shape())

    def test_a_good_log_loses_nothing(self):
        for kind in ("small log", "small snapshots"):
            directory = self.copy(kind)
            done = run(["log", "salvage", "--accept-loss", directory.data], seconds=60)
            self.assertEqual(0, done.returncode, done.stderr)
            server = self.start(directory)
            self.account.look(self, server)
            server.discard()


class Owner(Shapes):
    def test_a_second_process_is_told_who_has_it(self):
        directory = self.copy("small log")
        server = self.start(directory)
        owner = f"pid {server.process.pid}"
        data = directory.data
        for arguments in (["serve", "--listen", f"127.0.0.1:{free_port()}", "--data", data], ["snapshot", "--data", data],
                          ["log", "salvage", "--accept-loss", data]):
            with self.subTest(arguments[0]):
                done = run(arguments, seconds=60)
                self.assertEqual(73, done.returncode, done.stderr)
                self.assertIn(owner, done.stderr)
        self.assertEqual(0, run(["log", "verify", data]).returncode)
        self.account.look(self, server)


del Shapes
if __name__ == "__main__":
    cases.main()
