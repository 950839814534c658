#!/usr/bin/env python3
"""Crowds, dawdlers and streams without end: the good client beside them is served, memory stays flat, and
all is as before when they have gone. TIDEMARK_LONG=1 for full counts."""
import json
import os
import resource
import select
import shutil
import signal
import socket
import time
import unittest

from support import cases
from support.events import event
from support.server import Server, parse_responses

LONG = os.environ.get("TIDEMARK_LONG") == "1"
LINES = "application/x-ndjson"
BATCH = "application/cloudevents-batch+json"
MIB = 1 << 20
CONNECTIONS = 1000


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def connected(server, data=b"", receive_bytes=None):
    s = socket.socket()
    if receive_bytes:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    s.settimeout(10)
    s.connect(("127.0.0.1", server.port))
    if data:
        s.sendall(data)
    return s


def say(text):
    """A figure, on the test's own line."""
    print(text, end="; ", flush=True)


def enough_descriptors(count):
    """Raises this process's own limit; False when it may not have as many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count <= hard or (soft < count and hard == resource.RLIM_INFINITY):
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= count


def p99(server, count):
    """Of a client that sends one event after the other."""
    took = []
    for _ in range(count):
        began = time.monotonic()
        reply = server.send([event()])
        took.append(time.monotonic() - began)
        if reply.status != 200:
            raise AssertionError(reply)
    return sorted(took)[len(took) * 99 // 100]


class LimitedServer(Server):
    """One that begins its life with few descriptors."""

    def __init__(self, descriptors_max, **more):
        super().__init__(**more)
        self.descriptors_max = descriptors_max

    def command(self, port):
        return ["prlimit", f"--nofile={self.descriptors_max}", *super().command(port)]


class Crowd(unittest.TestCase):
    def setUp(self):
        if not enough_descriptors(CONNECTIONS + 200):
            self.skipTest(f"this process may not open {CONNECTIONS + 200} files")

    def test_a_thousand_dawdlers_beside_a_good_client(self):
        """All from one address: loopback has no limit. They are at every point of a request."""
        head = (b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/cloudevents-batch+json\r\n"
                b"Content-Length: 1000000\r\n\r\n[")
        with Server() as server:
            before = p99(server, 200)
            files = descriptors(server)
            crowd = [connected(server, head[:k % (len(head) + 1)]) for k in range(CONNECTIONS)]
            deadline = time.monotonic() + 10
            while descriptors(server) < files + CONNECTIONS and time.monotonic() < deadline:
                time.sleep(0.02)
            self.assertGreaterEqual(descriptors(server), files + CONNECTIONS, "not all were let in")
            beside = p99(server, 200)
            say(f"p99 of a good client: {before * 1000:.2f} ms alone, {beside * 1000:.2f} ms "
                f"beside {CONNECTIONS} dawdlers")
            self.assertLess(beside, max(20 * before, 0.25))
            # Half a head lives ten seconds, and so does a body that doesn't come.
            waiting = {s.fileno(): s for k, s in enumerate(crowd) if k % (len(head) + 1) > 0}
            poll = select.poll()
            for fd in waiting:
                poll.register(fd, select.POLLIN)
            deadline = time.monotonic() + 40
            while waiting and time.monotonic() < deadline:
                for fd, _ in poll.poll(1000):
                    answer = waiting[fd].recv(4096)
                    self.assertRegex(answer[:16], rb"^HTTP/1.1 408 |^$")
                    poll.unregister(fd)
                    del waiting[fd]
                self.assertEqual(200, server.send([event()]).status)
            self.assertEqual(0, len(waiting), "dawdlers are still connected after 40 s")
            for s in crowd:
                s.close()
            deadline = time.monotonic() + 10
            while descriptors(server) > files + 5 and time.monotonic() < deadline:
                time.sleep(0.02)
            self.assertLessEqual(descriptors(server), files + 5)

    def test_drips_are_given_up(self):
        with Server() as server:
            heads = [b"GET /healthz HTTP/1.1\r\n", b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                     b"application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n", b"POST /v1/sql HTTP/1.1\r\nHost: "
                     b"localhost\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n"]
            drops = [b"X: y\r\n", b"1\r\n{\r\n", b"-- \n"]
            dripping = {k: connected(server, head) for k, head in enumerate(heads)}
            statuses = {}
            sent = dict.fromkeys(dripping, 0)
            deadline = time.monotonic() + 40
            while dripping and time.monotonic() < deadline:
                for k, s in list(dripping.items()):
                    if select.select([s], [], [], 0)[0]:
                        statuses[k] = parse_responses(s.recv(65536))[0].status
                        dripping.pop(k).close()
                        continue
                    drop = drops[k]
                    s.sendall(drop[sent[k] % len(drop):][:1])
                    sent[k] += 1
                time.sleep(0.5)
            self.assertEqual({0: 408, 1: 408, 2: 408}, statuses)


@unittest.skipUnless(shutil.which("prlimit"), "there is no program prlimit")
class Flood(unittest.TestCase):
    def test_more_connections_than_descriptors(self):
        server = LimitedServer(64)
        self.addCleanup(server.discard)
        server.start()
        free = 64 - descriptors(server)
        good = connected(server)
        crowd = []
        answers = []

        def ask():
            good.sendall(f"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                piece = good.recv(4096)
                self.assertTrue(piece, "the good connection was closed")
                answer += piece
            answers.append(int(answer[9:12]))
        for k in range(200):
            s = socket.socket()
            s.settimeout(0.2)
            try:
                s.connect(("127.0.0.1", server.port))
                if k % 2:
                    s.sendall(b"GET /healthz HTTP/1.1\r\nHo")
                crowd.append(s)
            except OSError:
                s.close()
            ask()
        used = descriptors(server)
        say(f"{len(crowd)} connections against 64 descriptors, of which {free} were free: {used} in use")
        self.assertLessEqual(used, 64 - 10, "none are left for the log")
        before = server.cpu_seconds()
        time.sleep(1)
        self.assertLess(server.cpu_seconds() - before, 0.5, "it spins")
        for _ in range(50):
            ask()
        self.assertEqual({200}, set(answers))
        # Writing goes on meanwhile: the log gets its next segments, of 64 MiB each.
        good.settimeout(30)
        for _ in range(28):
            batch = json.dumps([event(data="x" * 50_000) for _ in range(100)]).encode()
            good.sendall(f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: {BATCH}\r\n"
                         f"Content-Length: {len(batch)}\r\n\r\n".encode() + batch)
            answer = good.recv(65536)
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        for s in crowd:
            s.close()
        good.close()
        self.assertTrue(server.alive(), server.output()[-1000:])
        deadline = time.monotonic() + 10
        while True:
            try:
                reply = server.send([event()])
                self.assertEqual(200, reply.status, reply)
                break
            except (OSError, AssertionError):
                server.close()
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)

    def test_an_idle_crowd_gives_way_to_who_comes_with_work(self):
        """Also when one network thread has taken all connections before the other one woke."""
        server = LimitedServer(64)
        self.addCleanup(server.discard)
        server.start()
        few = descriptors(server)
        processor = {min(os.sched_getaffinity(0))}
        for thread in os.listdir(f"/proc/{server.process.pid}/task"):
            os.sched_setaffinity(int(thread), processor)
        server.process.send_signal(signal.SIGSTOP)  # so that all are waiting when the first thread runs
        for _ in range(100):
            self.addCleanup(connected(server).close)
        server.process.send_signal(signal.SIGCONT)
        full = few + (64 * 3 // 4 - few) * 2 // 3
        deadline = time.monotonic() + 10
        while descriptors(server) < full and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertGreaterEqual(descriptors(server), full, "the crowd was not let in")
        time.sleep(1.2)  # idle for a second at least, counted from when it was let in
        for _ in range(40):
            server.close()
            self.assertEqual(200, server.send([event()]).status)


class Streams(unittest.TestCase):
    """Streams of any length are taken in memory that doesn't grow with them."""
    total = (400 if LONG else 48) * MIB

    def stream(self, server, piece, total, flat_after):
        """Sends the piece again and again, chunked; (how memory grew behind flat_after bytes, the answer)."""
        with connected(server, (f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                                f"Content-Type: {LINES}\r\nTransfer-Encoding: chunked\r\n\r\n").encode()) as s:
            s.settimeout(60)
            framed = b"%x\r\n%s\r\n" % (len(piece), piece)
            sent = 0
            base = 0
            most = 0
            while sent < total:
                s.sendall(framed)
                sent += len(piece)
                if sent >= flat_after:
                    now = server.resident_bytes()
                    base = base or now
                    most = max(most, now)
            s.sendall(b"0\r\n\r\n")
            answer = b""
            while b"\r\n\r\n" not in answer or b"}" not in answer[-3:]:
                got = s.recv(1 << 20)
                if not got:
                    break
                answer += got
        return most - base, parse_responses(answer)[0]

    def check_flat(self, piece, check, label):
        with Server() as server:
            server.put_source("/hold", watermark="explicit", idle_after="P1D")
            grown, reply = self.stream(server, piece, self.total, self.total // 3)
            say(f"{label}: {self.total // MIB} MiB, memory grew by {grown / MIB:.1f} MiB")
            check(reply)
            self.assertLess(grown, 40 * MIB, "memory grows with the stream")
            self.assertEqual(200, server.send([event()]).status)

    def test_lines_that_come_again_and_again(self):
        lines = [json.dumps(event(id=f"e{k}", source="/endless", data={"x": "y" * 200})) for k in range(500)]
        piece = ("\n".join(lines) + "\n").encode()

        def check(reply):
            self.assertEqual(200, reply.status, reply)
            pieces, rest = divmod(reply.json["accepted"], 500)
            self.assertEqual(0, rest)
            self.assertGreaterEqual(pieces * len(piece), self.total)
        self.check_flat(piece, check, "events")

    def test_a_line_without_an_end(self):
        def check(reply):
            self.assertEqual(422, reply.status, reply)
            self.assertEqual(1, len(reply.json["rejected"]))
        self.check_flat(b"x" * 65536, check, "one line")

    def test_lines_that_are_all_refused(self):
        def check(reply):
            self.assertEqual(400, reply.status, reply)
            self.assertEqual(1000, len(reply.json["rejected"]))
            self.assertGreater(reply.json["rejected_more"], 100_000)
        self.check_flat(b'{"id":"nothing else, and so on"}\n' * 2000, check, "refused lines")

    def test_empty_lines(self):
        def check(reply):
            self.assertEqual((200, 0), (reply.status, reply.json["accepted"]))
        self.check_flat(b"\n" * 65536, check, "empty lines")


class Memory(unittest.TestCase):
    def bodies_without_end(self, server):
        """Large batches that stop a byte before their end, then a reset."""
        head = (f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: {BATCH}\r\n"
                f"Content-Length: {4 * MIB}\r\n\r\n").encode()
        some = [connected(server, head + b"[" + b" " * (4 * MIB - 2)) for _ in range(16)]
        deadline = time.monotonic() + 10
        while server.resident_bytes() < 64 * MIB and time.monotonic() < deadline:
            time.sleep(0.02)
        for s in some:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            s.close()

    def slow_readers(self, server):
        """They ask for much and take nothing of it. Returns how much memory that took."""
        ask = f"GET /v1/metrics/wide/values?limit=1000 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
        before = server.resident_bytes()
        some = []
        for _ in range(20):
            s = connected(server, ask * 50, receive_bytes=4096)
            some.append(s)
        time.sleep(1)
        grown = server.resident_bytes() - before
        for s in some:
            s.close()
        return grown

    def test_it_comes_back(self):
        with Server() as server:
            server.put_source("/hold", watermark="explicit", idle_after="P1D")
            server.sql("CREATE METRIC wide AS SELECT subject AS s, count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day') "
                       "GROUP BY subject")
            server.send([event(subject=f"{k:04d}" + "x" * 900) for k in range(1000)], "applied")
            after = []
            for _ in range(12 if LONG else 4):
                self.bodies_without_end(server)
                grown = self.slow_readers(server)
                # An answer is about a megabyte: each connection may hold one, not fifty.
                self.assertLess(grown, 20 * 8 * MIB)
                time.sleep(0.3)
                self.assertEqual(200, server.send([event()]).status)
                after.append(server.resident_bytes())
            say("memory after each attack, in MiB: " + " ".join(f"{n / MIB:.0f}" for n in after))
            self.assertLess(after[-1] - after[1], 48 * MIB, "each attack leaves something behind")
            self.assertEqual(1001, len(server.values("wide")))

    def test_a_crowd_leaves_nothing(self):
        if not enough_descriptors(CONNECTIONS + 200):
            self.skipTest(f"this process may not open {CONNECTIONS + 200} files")
        with Server() as server:
            server.send([event()])
            files = descriptors(server)
            after = []
            for _ in range(6 if LONG else 3):
                crowd = [connected(server, b"GET /" + b"a" * 8000) for _ in range(CONNECTIONS)]
                self.assertEqual(200, server.send([event()]).status)
                for s in crowd:
                    s.close()
                deadline = time.monotonic() + 10
                while descriptors(server) > files + 5 and time.monotonic() < deadline:
                    time.sleep(0.02)
                self.assertLessEqual(descriptors(server), files + 5)
                after.append(server.resident_bytes())
            say("memory after each crowd, in MiB: " + " ".join(f"{n / MIB:.0f}" for n in after))
            self.assertLess(after[-1] - after[0], 24 * MIB)


@unittest.skipUnless(LONG, "it takes a minute: TIDEMARK_LONG=1")
class SlowReader(unittest.TestCase):
    def test_a_reader_of_a_few_bytes_a_second_is_dropped(self):
        with Server() as server:
            server.put_source("/hold", watermark="explicit", idle_after="P1D")
            server.sql("CREATE METRIC wide AS SELECT subject AS s, count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day') "
                       "GROUP BY subject")
            server.send([event(subject=f"{k:04d}" + "x" * 900) for k in range(1000)], "applied")
            files = descriptors(server)  # with the good client's own connection, which stays
            ask = f"GET /v1/metrics/wide/values?limit=1000 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
            s = connected(server, ask * 50, receive_bytes=4096)
            began = time.monotonic()
            deadline = began + 90
            taken = 0
            time.sleep(0.5)
            self.assertGreater(descriptors(server), files)
            while descriptors(server) > files and time.monotonic() < deadline:
                try:
                    taken += len(s.recv(10))
                except ConnectionError:
                    break
                self.assertEqual(200, server.send([event()]).status)
                time.sleep(0.5)
            say(f"dropped after {time.monotonic() - began:.0f} s and {taken} bytes")
            self.assertGreater(time.monotonic() - began, 15)
            self.assertLess(time.monotonic(), deadline, f"still served after 90 s and {taken} bytes")
            s.close()
            self.assertEqual(200, server.send([event()]).status)


if __name__ == "__main__":
    cases.main()
