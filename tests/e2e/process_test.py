#!/usr/bin/env python3
"""The process: its signals, its descriptors, its directory, and who else wants it."""
import contextlib
import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from support import cases
from support.events import event, ndjson, text_time
from support.server import BINARY, Server, free_port, run, sanitized

LONG = os.environ.get("TIDEMARK_LONG") == "1"
STOP_SECONDS = 30 if LONG else 5
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"
SEAL, CLEAN = 1, 2


def last_frame_is_a_clean_seal(data):
    """By the documented format: the last frame's header, looked for from the end in steps of 4 KiB."""
    segment = sorted(pathlib.Path(data, "log").glob("[0-9]*.log"))[-1]
    magic = None
    last = None
    with open(segment, "rb") as log:
        log.seek(4096)
        while block := log.read(4096):
            magic = magic or block[:4]
            if block[:4] == magic:
                last = block
    flags = int.from_bytes(last[6:8], "little")
    return flags & (SEAL | CLEAN) == SEAL | CLEAN, flags


class Sender(threading.Thread):
    """Sends batches until told to stop; remembers which ids were acknowledged."""

    def __init__(self, server, name, size=200, pad=""):
        super().__init__(daemon=True)
        self.port = server.port
        self.name_of_source = name
        self.size = size
        self.pad = pad
        self.acknowledged = set()
        self.statuses = []
        self.stop = threading.Event()

    def run(self):
        k = 0
        while not self.stop.is_set():
            made = [event(source=self.name_of_source, id=f"{self.name_of_source}-{k}-{i}", data={"n": i, "pad": self.pad})
                    for i in range(self.size)]
            k += 1
            mine = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                mine.request("POST", "/v1/events", json.dumps(made), {"Content-Type": BATCH})
                reply = mine.getresponse()
                reply.read()
                self.statuses.append(reply.status)
                if reply.status == 200:
                    self.acknowledged |= {e["id"] for e in made}
            except (OSError, http.client.HTTPException) as error:
                self.statuses.append(type(error).__name__)
                if self.stop.is_set() or isinstance(error, ConnectionRefusedError):
                    return
            finally:
                mine.close()


class Signals(unittest.TestCase):
    def server(self, *arguments, **named):
        made = Server(*arguments, **named)
        self.addCleanup(made.discard)
        return made.start()

    def check_acknowledged(self, server, senders):
        stored = [e["id"] for e in server.walk("/v1/events", limit=1000)]
        self.assertEqual(len(stored), len(set(stored)))
        for sender in senders:
            self.assertLessEqual(sender.acknowledged, set(stored))

    def test_sigterm_drains_and_seals(self):
        server = self.server()
        senders = [Sender(server, f"/s{k}") for k in range(4)]
        for s in senders:
            s.start()
        time.sleep(0.5)
        began = time.monotonic()
        self.assertEqual(0, server.stop(), server.output()[-2000:])
        self.assertLess(time.monotonic() - began, 15)
        for s in senders:
            s.stop.set()
            s.join(60)
        self.assertTrue(any(s.acknowledged for s in senders))
        clean, flags = last_frame_is_a_clean_seal(server.data)
        self.assertTrue(clean, f"flags of the last frame: {flags:#x}")
        server.start()
        self.check_acknowledged(server, senders)

    def test_sigint_does_the_same(self):
        server = self.server()
        server.send([event()], "applied")
        server.close()
        server.process.send_signal(signal.SIGINT)
        self.assertEqual(0, server.process.wait(30))
        self.assertTrue(last_frame_is_a_clean_seal(server.data)[0])

    def test_a_second_sigterm_ends_it_at_once_and_loses_nothing(self):
        server = self.server(arguments=["--drain-timeout", "20s"])
        senders = [Sender(server, f"/s{k}") for k in range(3)]
        for s in senders:
            s.start()
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as idle:
            body = ndjson([event(source="/open", id="open")])
            # A request that never ends keeps the drain waiting.
            idle.sendall((f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {BATCH}\r\n"
                          "Content-Length: 100000\r\n\r\n").encode() + body)
            time.sleep(0.4)
            server.close()
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.7)
            self.assertTrue(server.alive(), "the open request was not waited for")
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(128 + signal.SIGTERM, server.process.wait(30))
            self.assertLess(time.monotonic() - began, 5)
        for s in senders:
            s.stop.set()
            s.join(60)
        server.start()
        self.check_acknowledged(server, senders)

    def test_the_drain_has_an_end(self):
        server = self.server(arguments=["--drain-timeout", "1s"])
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as slow:
            slow.sendall((f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {BATCH}\r\n"
                          "Content-Length: 100000\r\n\r\n[").encode())
            time.sleep(0.2)
            began = time.monotonic()
            self.assertEqual(0, server.stop())
            self.assertLess(time.monotonic() - began, 11)
            self.assertGreater(time.monotonic() - began, 0.5)

    def test_sigterm_during_the_start_is_an_end_in_order(self):
        server = self.server(2, 2, arguments=["--snapshot-every", "1G"])
        for k in range(60 if LONG else 30):
            server.send([event(source="/big", id=f"b{k}-{i}", data={"n": i}) for i in range(2000)])
        server.kill9()
        codes = []
        for k in range(12):
            with open(server.output_path, "ab") as output:
                server.process = subprocess.Popen(server.command(free_port()), stdin=subprocess.DEVNULL, stdout=output,
                                                  stderr=output)
            time.sleep(0.02 + 0.02 * k)
            codes.append(server.stop())
        # Before the handler is there, SIGTERM is what it is for every program.
        self.assertLessEqual(set(codes), {0, -signal.SIGTERM})
        self.assertIn(0, codes)
        server.start()
        count = sum(1 for _ in server.walk("/v1/events", source="/big", limit=1000))
        self.assertEqual((60 if LONG else 30) * 2000, count)


@unittest.skipUnless(os.geteuid() == 0, "a small file system can be mounted by root only")
@unittest.skipUnless(shutil.which("strace"), "strace is needed to slow the writes down")
class AFullDisk(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="tidemark-e2e-")
        self.addCleanup(os.rmdir, self.folder)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", self.folder],
                          stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no file system can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", self.folder])
        self.server = Server(2, 2, data=self.folder + "/data")
        self.addCleanup(self.server.discard)
        self.server.start()

    def fill(self):
        """Sends until something waits for space (no answer) and the rest is refused. The open senders."""
        with open(self.folder + "/ballast", "wb") as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(b"x" * 65536)
                ballast.flush()
        senders = [Sender(self.server, f"/full{k}", 780, "x" * 9000) for k in range(12)]
        # With slow writes several frames are asked for by the time that the space ends.
        slow = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(self.server.process.pid),
                                 "-e", "trace=pwritev,pwritev2,pwrite64",
                                 "-e", "inject=pwritev,pwritev2,pwrite64:delay_enter=700000"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            time.sleep(0.5)
            if slow.poll() is not None:
                self.skipTest(f"strace can't slow the writes down: {slow.stderr.read()[:200]!r}")
            for s in senders:
                s.start()
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not any(507 in s.statuses for s in senders):
                time.sleep(0.05)
            time.sleep(2)
        finally:
            slow.terminate()
            slow.wait()
            slow.stderr.close()
        self.assertTrue(any(507 in s.statuses for s in senders), [s.statuses[-3:] for s in senders])
        before = [len(s.statuses) for s in senders]
        time.sleep(1.5)
        return senders, sum(len(s.statuses) == n for s, n in zip(senders, before))

    def test_sigterm_comes_to_its_end(self):
        senders, waiting = self.fill()
        print(f"{waiting} requests wait for space", flush=True)
        began = time.monotonic()
        self.assertEqual(0, self.server.stop(), self.server.output()[-2000:])
        self.assertLess(time.monotonic() - began, 15)
        for s in senders:
            s.stop.set()
            s.join(60)
        self.assertLessEqual({status for s in senders for status in s.statuses if isinstance(status, int)},
                             {200, 429, 503, 507})
        os.truncate(self.folder + "/ballast", 0)
        self.server.start()
        stored = [e["id"] for e in self.server.walk("/v1/events", limit=1000)]
        self.assertEqual(len(stored), len(set(stored)))
        for s in senders:
            self.assertLessEqual(s.acknowledged, set(stored))
        self.assertEqual(0, self.server.stop())


class Descriptors(unittest.TestCase):
    def test_clients_that_take_all_descriptors_leave_the_log_and_snapshots_theirs(self):
        limit = (64, 64)
        server = Server(2, 2, arguments=["--snapshot-every", "8M"])
        self.addCleanup(server.discard)
        command = server.command
        server.command = lambda port: ["prlimit", f"--nofile={limit[0]}:{limit[1]}", *command(port)]
        server.start()
        self.assertEqual(limit, resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE))
        server.sql("CREATE METRIC kept AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day')")
        crowd = []
        for _ in range(100):
            s = socket.socket()
            s.settimeout(2)
            try:
                s.connect(("127.0.0.1", server.port))
                crowd.append(s)
            except OSError:
                s.close()
        time.sleep(0.3)
        used = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        self.assertLessEqual(used, limit[0] - 16, "clients have taken what the log needs")
        before = server.cpu_seconds()
        time.sleep(1)
        self.assertLess(server.cpu_seconds() - before, 0.5, "it spins")
        # The kept connection was there before the crowd: over it the log goes through segments.
        sent = 0
        for k in range(110):
            reply = server.send([event(id=f"d{k}-{i}", data="x" * 7000) for i in range(100)])
            self.assertEqual(200, reply.status, reply)
            sent += 100
        segments = list(pathlib.Path(server.data, "log").glob("[0-9]*.log"))
        self.assertGreater(len(segments), 1)
        server.send([event(id="last")], "applied")
        deadline = time.monotonic() + 20
        while not list(pathlib.Path(server.data, "snapshots").glob("snap-*[0-9]")):
            self.assertLess(time.monotonic(), deadline, "no snapshot was made")
            time.sleep(0.1)
        self.assertEqual(sent + 1, sum(1 for _ in server.walk("/v1/events", limit=1000)))
        for s in crowd:
            s.close()
        server.close()
        deadline = time.monotonic() + 10
        while True:
            try:
                if server.request("GET", "/healthz").status == 200:
                    break
            except (OSError, http.client.HTTPException):
                pass
            self.assertLess(time.monotonic(), deadline, "it doesn't accept again")
            time.sleep(0.05)
        self.assertEqual(0, server.stop())

    def test_too_few_descriptors_to_start_are_said(self):
        with tempfile.TemporaryDirectory(prefix="tidemark-e2e-") as folder:
            for few in (8, 12, 16, 20, 24, 28, 32, 40):
                done = subprocess.run(["prlimit", f"--nofile={few}:{few}", BINARY, "serve", "--listen",
                                       f"127.0.0.1:{free_port()}", "--data", folder + "/data", "--threads", "2",
                                       "--partitions", "2"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, timeout=60)
                self.assertIn(done.returncode, (71, 78), (few, done.stderr))
                self.assertRegex(done.stderr.lower(), "descriptors|too many open files", few)

    def test_too_little_memory_to_start_is_said(self):
        if sanitized():
            self.skipTest("AddressSanitizer itself doesn't start in so little")
        with tempfile.TemporaryDirectory(prefix="tidemark-e2e-") as folder:
            done = subprocess.run(["prlimit", "--as=200000000", BINARY, "serve", "--listen",
                                   f"127.0.0.1:{free_port()}", "--data", folder + "/data"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(71, done.returncode, done.stderr)
            self.assertRegex(done.stderr, r"\d+ bytes are needed .* \d+ MiB")


class Stopped(unittest.TestCase):
    def test_a_process_that_stood_still_calls_nobody_silent(self):
        server = Server(2, 2)
        self.addCleanup(server.discard)
        server.start()
        server.sql("CREATE METRIC m AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 second')")
        idle = f"PT{STOP_SECONDS - 2}S"
        for name in ("/busy", "/other"):
            server.put_source(name, disorder="PT0S", idle_after=idle)
        begin = time.time()
        for k in range(5):
            for name in ("/busy", "/other"):
                server.send([event(time=text_time(0), source=name, id=f"{name}{k}")], "applied")
        held = server.get("/v1/watermark")
        answers = []

        def ask(path, body=None):
            mine = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
            mine.request("POST" if body else "GET", path, body, {"Content-Type": BATCH} if body else {})
            reply = mine.getresponse()
            answers.append((path, reply.status))
            reply.read()
            mine.close()
        halves = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self.addCleanup(halves.close)
        body = json.dumps([event(time=text_time(0), source="/busy", id="half")]).encode()
        head = (f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {BATCH}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        halves.sendall(head + body[:20])
        time.sleep(0.2)
        os.kill(server.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        clients = [threading.Thread(target=ask, args=("/v1/watermark",))]
        late = text_time(0)  # sent while it sleeps, with the time it had then
        clients += [threading.Thread(target=ask, args=(
            "/v1/events", json.dumps([event(time=late, source="/other", id=f"asleep-{k}")]))) for k in range(4)]
        for c in clients:
            c.start()
        time.sleep(STOP_SECONDS / 2)
        halves.sendall(body[20:])
        time.sleep(max(0.0, STOP_SECONDS - (time.monotonic() - began)))
        os.kill(server.process.pid, signal.SIGCONT)
        for c in clients:
            c.join(60)
        self.assertEqual([200] * 5, [status for _, status in answers], answers)
        self.assertTrue(halves.recv(4096).startswith(b"HTTP/1.1 200"), "what came in time was too late")
        lanes = {lane["name"]: lane for lane in server.walk("/v1/sources")}
        for name in ("/busy", "/other"):
            self.assertFalse(lanes[name]["lane"]["idle"], lanes[name])
        # None of what was sent during the stop came late: no window had been closed over it.
        server.send([event(time=text_time(0), source="/busy", id="after")], "applied")
        self.assertEqual([], server.walk("/v1/late"))
        figures = server.request("GET", "/metrics").body.decode()
        self.assertNotRegex(figures, r"metric_late_(corrected|dropped)_total{[^}]*} [1-9]")
        self.assertRegex(figures, r"metric_late_corrected_total{[^}]*} 0")
        stored = {e["id"] for e in server.walk("/v1/events", limit=1000)}
        self.assertLessEqual({"half", *(f"asleep-{k}" for k in range(4))}, stored)
        self.assertGreater(time.time() - begin, STOP_SECONDS)
        self.assertIsNotNone(held)
        # Silence counts again from then on.
        deadline = time.monotonic() + STOP_SECONDS + 20
        while not all(source["lane"]["idle"] for source in server.walk("/v1/sources") if source["name"] != "*"):
            self.assertLess(time.monotonic(), deadline, "they never fall idle")
            time.sleep(0.2)
        self.assertEqual(0, server.stop())


class TwoOnOneDirectory(unittest.TestCase):
    def test_the_others_are_refused_and_told_who_has_it(self):
        with Server() as first:
            first.send([event(id="one")], "applied")
            lines = pathlib.Path(first.folder, "lines.ndjson")
            lines.write_text('{"specversion":"1.0","id":"1","source":"/x","type":"t"}\n')
            listing = sorted(str(p) for p in pathlib.Path(first.data).rglob("*"))
            for arguments in (["serve", "--listen", f"127.0.0.1:{free_port()}", "--data", first.data],
                              ["ingest", lines, "--data", first.data], ["replay", "--data", first.data],
                              ["snapshot", "--data", first.data],
                              ["log", "salvage", first.data, "--accept-loss"]):
                done = run(arguments)
                self.assertEqual(73, done.returncode, (arguments, done.stdout, done.stderr))
                self.assertIn(str(first.process.pid), done.stderr, arguments)
            self.assertEqual(listing, sorted(str(p) for p in pathlib.Path(first.data).rglob("*")))
            for arguments in (["log", "verify", first.data], ["log", "dump", first.data, "--limit", "1"],
                              ["snapshot", "--data", first.data, "--list"]):
                done = run(arguments)
                self.assertEqual(0, done.returncode, (arguments, done.stderr))
            self.assertEqual(200, first.send([event(id="two")]).status)
            pid = first.process.pid
            first.kill9()
            first.start()  # the lock went with the process
            self.assertNotEqual(pid, first.process.pid)
            self.assertEqual(2, len(first.walk("/v1/events")))

    def test_many_at_once_and_one_gets_it(self):
        with tempfile.TemporaryDirectory(prefix="tidemark-e2e-") as folder:
            started = [subprocess.Popen([BINARY, "serve", "--listen", f"127.0.0.1:{free_port()}", "--data", folder + "/d",
                                         "--partitions", "2", "--threads", "1"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(5)]
            try:
                deadline = time.monotonic() + 30
                while sum(p.poll() is not None for p in started) < 4:
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.05)
                ended = [p.returncode for p in started if p.poll() is not None]
                self.assertEqual([73] * 4, ended)
            finally:
                for p in started:
                    p.kill()
                    p.wait()


class ADirectoryThatCannotBeUsed(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tidemark-e2e-")))

    def refused(self, data, *words, prefix=()):
        done = subprocess.run([*prefix, BINARY, "serve", "--listen", f"127.0.0.1:{free_port()}", "--data", str(data)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=30)
        self.assertEqual(78, done.returncode, (done.stdout, done.stderr))
        for word in (str(data), *words):
            self.assertIn(word.lower(), done.stderr.lower())
        self.assertIn(len(done.stderr.strip().splitlines()), (1, 2), done.stderr)

    def test_a_parent_that_is_missing(self):
        self.refused(self.folder / "a" / "b", "no such")
        self.assertEqual([], list(self.folder.iterdir()))

    def test_a_file_instead_of_a_directory(self):
        path = self.folder / "data"
        path.write_text("mine")
        self.refused(path)
        self.refused(path / "below")
        self.assertEqual("mine", path.read_text())

    def test_a_symlink_to_nowhere_and_one_in_a_circle(self):
        (self.folder / "nowhere").symlink_to(self.folder / "absent")
        (self.folder / "round").symlink_to(self.folder / "round")
        self.refused(self.folder / "nowhere")
        self.refused(self.folder / "round")
        self.assertFalse((self.folder / "absent").exists())

    def test_a_path_through_a_symlink_is_fine(self):
        (self.folder / "real").mkdir()
        (self.folder / "link").symlink_to(self.folder / "real")
        with Server(data=self.folder / "link" / "data") as server:
            self.assertEqual(200, server.send([event()]).status)
            done = run(["serve", "--listen", f"127.0.0.1:{free_port()}", "--data", self.folder / "real" / "data"])
            self.assertEqual(73, done.returncode, done.stderr)  # one directory by two names
        self.assertTrue((self.folder / "real" / "data" / "log").is_dir())

    def test_a_lock_that_is_a_symlink(self):
        data = self.folder / "data"
        data.mkdir()
        (self.folder / "victim").write_text("mine")
        (data / "LOCK").symlink_to(self.folder / "victim")
        self.refused(data)
        self.assertEqual("mine", (self.folder / "victim").read_text())

    @unittest.skipUnless(os.geteuid() == 0, "to be somebody else takes root")
    def test_a_directory_of_somebody_else(self):
        os.chmod(self.folder, 0o755)
        data = self.folder / "data"
        with Server(data=data) as server:
            server.stop()
        self.refused(data, "permission denied", prefix=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
        self.refused(self.folder / "new", "permission denied",
                     prefix=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
        self.assertFalse((self.folder / "new").exists())

    @unittest.skipUnless(os.geteuid() == 0, "only root may mount")
    def test_a_file_system_that_is_read_only(self):
        point = self.folder / "point"
        point.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", point], stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no file system can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", point])
        with Server(data=point / "old") as server:
            server.stop()
        subprocess.run(["mount", "-o", "remount,ro", point], check=True)
        self.refused(point / "old", "read-only")
        self.refused(point / "new", "read-only")
        self.assertEqual(["old"], os.listdir(point))


if __name__ == "__main__":
    cases.main()
