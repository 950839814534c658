#!/usr/bin/env python3
"""Starts that must fail: the right exit code, one sentence that says why, and nothing created."""
import os
import pathlib
import socket
import subprocess
import tempfile
import unittest

from support import cases
from support.server import Server, free_port, run


class AStartIsRefused(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tidemark-e2e-")))

    def check(self, code, arguments, says=(), environment=None):
        done = run(arguments, seconds=20, environment=environment)
        self.assertEqual(code, done.returncode, (done.stdout, done.stderr))
        lines = done.stderr.strip().splitlines()
        self.assertIn(len(lines), (1, 2), f"not a sentence, and perhaps a hint: {done.stderr!r}")
        for word in [says] if isinstance(says, str) else says:
            self.assertIn(word, done.stderr)
        self.assertEqual("", done.stdout)

    def listen(self):
        return f"127.0.0.1:{free_port()}"

    def test_a_data_directory_whose_parent_is_missing(self):
        data = self.folder / "missing" / "data"
        self.check(78, ["serve", "--listen", self.listen(), "--data", data], str(self.folder / "missing"))
        self.assertFalse((self.folder / "missing").exists())

    def test_a_data_directory_that_is_a_file(self):
        data = self.folder / "data"
        data.write_text("mine")
        self.check(78, ["serve", "--listen", self.listen(), "--data", data], str(data))
        self.assertEqual("mine", data.read_text())

    def test_a_data_directory_that_holds_something_else(self):
        data = self.folder / "data"
        data.mkdir()
        (data / "holiday.txt").write_text("mine")
        done = run(["serve", "--listen", "300.0.0.1:1", "--data", data], seconds=20)
        self.assertIn(done.returncode, (2, 78), done.stderr)
        self.assertEqual(["holiday.txt"], os.listdir(data))

    def test_a_port_that_is_taken(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = s.getsockname()[1]
            self.check(69, ["serve", "--listen", f"127.0.0.1:{port}", "--data", self.folder / "data"], str(port))

    def test_a_port_that_another_one_of_us_has(self):
        with Server() as first:
            self.check(69, ["serve", "--listen", f"127.0.0.1:{first.port}", "--data", self.folder / "data"],
                       str(first.port))
            self.assertEqual(200, first.request("GET", "/healthz").status)

    def test_a_data_directory_in_use(self):
        with Server() as first:
            self.check(73, ["serve", "--listen", self.listen(), "--data", first.data], str(first.process.pid))
            self.assertEqual(200, first.request("GET", "/healthz").status)

    def test_replay_and_ingest_of_a_directory_in_use(self):
        with Server() as first:
            self.check(73, ["replay", "--data", first.data])
            lines = self.folder / "lines.ndjson"
            lines.write_text('{"specversion":"1.0","id":"1","source":"/x","type":"t"}\n')
            self.check(73, ["ingest", lines, "--data", first.data])

    def test_options_that_are_wrong(self):
        data = self.folder / "data"
        for arguments, word in ((["--colour", "red"], "--colour"), (["--partitions"], "--partitions"),
                                (["--partitions", "0"], "partitions"), (["--partitions", "many"], "partitions"),
                                (["--partitions", "100000"], "partitions"), (["--threads", "-1"], "threads"),
                                (["--listen", "nonsense"], "listen"),
                                (["--listen", "127.0.0.1:99999"], "listen"), (["something"], "something")):
            done = run(["serve", "--data", data, *arguments], seconds=20)
            self.assertEqual(2, done.returncode, (arguments, done.stderr))
            self.assertIn(word, done.stderr)
            self.assertFalse(data.exists(), arguments)

    def test_a_command_that_does_not_exist(self):
        self.check(2, ["srve"], "srve")

    def test_environment_and_config_file_that_are_wrong(self):
        data = self.folder / "data"
        done = run(["serve", "--listen", self.listen(), "--data", data], seconds=20,
                   environment={"TIDEMARK_PARTITIONS": "many"})
        self.assertIn(done.returncode, (2, 78), done.stderr)
        self.assertIn("TIDEMARK_PARTITIONS", done.stderr)
        self.check(78, ["serve", "--listen", self.listen(), "--data", data, "--config", self.folder / "none"],
                   str(self.folder / "none"))
        config = self.folder / "config"
        config.write_text("colour = red\n")
        self.check(78, ["serve", "--listen", self.listen(), "--data", data, "--config", config], "colour")
        self.assertFalse(data.exists())

    def test_an_address_that_others_can_reach_without_tokens(self):
        try:
            done = run(["serve", "--listen", f"0.0.0.0:{free_port()}", "--data", self.folder / "data"], seconds=5)
        except subprocess.TimeoutExpired as running:
            self.fail(f"it listens to the world: {running.stdout}")
        self.assertIn(done.returncode, (2, 78), done.stderr)

    def test_a_directory_keeps_the_number_of_partitions_it_was_made_with(self):
        server = Server(partitions=4)
        self.addCleanup(server.discard)
        server.start()
        self.assertEqual(0, server.stop())
        server.partitions = 8
        server.start()
        self.assertEqual(4, server.get("/v1/info")["partitions"])
        self.assertEqual(0, server.stop())

    def test_help_and_version_say_so_on_stdout(self):
        for arguments in (["--help"], ["serve", "--help"], ["--version"]):
            done = run(arguments)
            self.assertEqual((0, ""), (done.returncode, done.stderr), arguments)
            self.assertIn("tidemark", done.stdout.lower())


if __name__ == "__main__":
    cases.main()
