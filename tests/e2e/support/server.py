"""The real binary on a free port with a data directory of its own.

`Server` starts it, waits until /readyz says so, asks it over one kept connection, ends it by SIGTERM
or kill -9, and starts it again on the same directory. Nothing outlives the test: every process is
ended and every directory removed, also when a test fails.
"""
import atexit
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("TIDEMARK_BIN") or os.environ.get("TIDEMARK") or str(ROOT / "build/tidemark")
READY_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30
REQUEST_SECONDS_MAX = 60

_alive = []


def _end_all():
    for server in list(_alive):
        server.discard()


atexit.register(_end_all)


def sanitized():
    """Whether the binary is built under AddressSanitizer, which takes more memory than it is allowed here or there."""
    with open(BINARY, "rb") as binary:
        return b"__asan_init" in binary.read()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(arguments, stdin=None, seconds=120, environment=None, text=True):
    """One run of the command line: a CompletedProcess with stdout and stderr."""
    return subprocess.run([BINARY, *map(str, arguments)], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=seconds, text=text,
                          env={**os.environ, **(environment or {})})


class Reply:
    """A whole HTTP response. Header names are in lower case."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {}
        for name, value in headers:
            self.headers.setdefault(name.lower(), value)
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.headers.get('content-type')} {self.body[:600]!r}"


class Died(Exception):
    """The server ended although nobody asked it to."""


class Server:
    def __init__(self, partitions=4, threads=2, data=None, arguments=(), environment=None, files_max=None):
        self.folder = None
        if data is None:
            self.folder = tempfile.mkdtemp(prefix="tidemark-e2e-")
            data = os.path.join(self.folder, "data")
        self.data = str(data)
        self.partitions = partitions
        self.threads = threads
        self.arguments = list(arguments)
        self.environment = environment or {}
        self.files_max = files_max
        self.process = None
        self.port = None
        self.ready_seconds = None
        self.output_path = os.path.join(self.folder or tempfile.gettempdir(),
                                        f"tidemark-e2e-{os.getpid()}-{id(self)}.log")
        self._connection = None
        self.as_of = None  # of the latest write: what a read must have seen to see it
        _alive.append(self)

    # Its life.

    def command(self, port):
        return [BINARY, "serve", "--listen", f"127.0.0.1:{port}", "--data", self.data,
                "--partitions", str(self.partitions), "--threads", str(self.threads),
                *self.arguments]

    def start(self):
        """Starts it and waits until it is ready. Returns the server itself."""
        for attempt in range(5):
            self.port = free_port()
            begin = time.monotonic()
            with open(self.output_path, "ab") as output:
                self.process = subprocess.Popen(self.command(self.port), stdin=subprocess.DEVNULL,
                                                stdout=output, stderr=output,
                                                env={**os.environ, **self.environment})
            if self.files_max:
                resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (self.files_max, self.files_max))
            try:
                self._wait_until_ready(begin)
            except Died:
                if self.process.returncode == 69 and attempt < 4:
                    continue  # somebody else took the port in between
                raise
            self.ready_seconds = time.monotonic() - begin
            return self
        raise AssertionError("no free port")

    def _wait_until_ready(self, begin):
        while True:
            if self.process.poll() is not None:
                raise Died(f"exit code {self.process.returncode}: {self.output()[-2000:]}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/readyz")
                status = connection.getresponse().status
                connection.close()
                if status == 200:
                    return
            except OSError:
                pass
            if time.monotonic() - begin > READY_SECONDS_MAX:
                self.kill9()
                raise AssertionError(f"not ready after {READY_SECONDS_MAX} s: {self.output()[-2000:]}")
            time.sleep(0.01)

    def output(self):
        """All it said so far, over all its lives."""
        with open(self.output_path, encoding="utf-8", errors="replace") as text:
            return text.read()

    def cpu_seconds(self):
        """The processor time it has used so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as text:
            fields = text.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self, name="VmRSS"):
        """What it has in memory, or had at most (VmHWM)."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as text:
            return next(int(line.split()[1]) * 1024 for line in text if line.startswith(name + ":"))

    def client(self):
        """Another client of the same server, with a connection of its own, which it may close()."""
        mine = Server.__new__(Server)
        mine.__dict__.update(port=self.port, _connection=None, as_of=None)
        return mine

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill9(self):
        self.close()
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(STOP_SECONDS_MAX)

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.close()
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still running {STOP_SECONDS_MAX} s after SIGTERM") from None

    def discard(self):
        """Ends it the hard way and removes what it wrote."""
        self.kill9()
        if self not in _alive:
            return
        _alive.remove(self)
        said = self.output() if os.path.exists(self.output_path) else ""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif os.path.exists(self.output_path):
            os.remove(self.output_path)
        # Built under a sanitizer, or stopped by a CHECK: it may have gone on, or been started again, since.
        found = re.search(r"\w+Sanitizer|runtime error:|CHECK failed", said)
        if found:
            raise AssertionError(f"the server said: {said[max(0, found.start() - 200):][:6000]}")

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.discard()

    # Asking it.

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(self, method, path, body=None, headers=None, content_type=None):
        """One request over the kept connection; `body` may be bytes, text, or something for JSON.

        A connection that breaks in the middle is an exception: what became of the request is unknown.
        """
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            content_type = content_type or "application/json"
        if isinstance(body, str):
            body = body.encode()
        if content_type:
            headers["Content-Type"] = content_type
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                          timeout=REQUEST_SECONDS_MAX)
        try:
            try:
                self._connection.request(method, path, body, headers)
            except ConnectionError:
                pass  # refused and closed before all was sent: the answer is there to be read
            response = self._connection.getresponse()
            reply = Reply(response.status, response.getheaders(), response.read())
            if response.will_close:
                self.close()
            self.as_of = reply.headers.get("tidemark-as-of", self.as_of)
            return reply
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def get(self, path, **parameters):
        """GET with query parameters; the JSON of a 200, else an AssertionError with the reply."""
        reply = self.request("GET", with_parameters(path, parameters))
        if reply.status != 200:
            raise AssertionError(f"GET {with_parameters(path, parameters)}: {reply}")
        return reply.json

    def walk(self, path, **parameters):
        """All items of a list, by its cursor."""
        items = []
        cursor = None
        while True:
            more = dict(parameters, **({"cursor": cursor} if cursor else {}))
            page = self.get(path, **more)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    def sql(self, text):
        reply = self.request("POST", "/v1/sql", text, content_type="text/plain")
        if reply.status not in (200, 201):
            raise AssertionError(f"POST /v1/sql {text!r}: {reply}")
        return reply

    def values(self, metric, **parameters):
        """All rows of a metric, with all that this client wrote before."""
        parameters.setdefault("limit", 1000)
        return self.walk(f"/v1/metrics/{metric}/values", **self._after_my_writes(parameters))

    def page(self, metric, **parameters):
        """One whole answer of a metric's values, with all that this client wrote before."""
        return self.get(f"/v1/metrics/{metric}/values", **self._after_my_writes(parameters))

    def _after_my_writes(self, parameters):
        return {**({"min_as_of": self.as_of} if self.as_of else {}), **parameters}

    def put_source(self, name, **members):
        reply = self.request("PUT", "/v1/sources/" + quoted(name), members)
        if reply.status not in (200, 201):
            raise AssertionError(f"PUT source {name}: {reply}")
        return reply

    def watermark(self, name, **members):
        return self.request("POST", f"/v1/sources/{quoted(name)}/watermark", members)

    def final(self, name="*", final=True):
        reply = self.watermark(name, final=final)
        if reply.status != 200:
            raise AssertionError(f"final of {name}: {reply}")
        return reply

    def send(self, events, acknowledge=None, path="/v1/events"):
        """A JSON batch of events, given as dictionaries or as JSON text."""
        texts = [e if isinstance(e, str) else json.dumps(e, ensure_ascii=False) for e in events]
        if acknowledge:
            path += f"?ack={acknowledge}"
        return self.request("POST", path, "[" + ",".join(texts) + "]",
                            content_type="application/cloudevents-batch+json")

    def raw(self, data, seconds=10, half_close=False, until=None):
        """Sends bytes as they are and returns all that comes back until the peer closes, until
        `until` (a predicate over the bytes so far) holds, or until nothing came for `seconds`."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as s:
            answer = b""
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
            except ConnectionError:
                pass  # closed on the way: what it said before is still to be read
            try:
                while until is None or not until(answer):
                    piece = s.recv(65536)
                    if not piece:
                        break
                    answer += piece
            except (socket.timeout, ConnectionError):
                pass
            return answer


def quoted(text):
    return urllib.parse.quote(str(text), safe="")


def with_parameters(path, parameters):
    if not parameters:
        return path
    texts = [f"{quoted(k)}={quoted(v)}" for k, v in parameters.items()]
    return path + ("&" if "?" in path else "?") + "&".join(texts)


def parse_responses(data):
    """The responses in the bytes of one connection, each with Content-Length or chunked."""
    replies = []
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        if not separator:
            raise AssertionError(f"no whole head in {data[:300]!r}")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        names = {name.lower(): value for name, value in headers}
        body = b""
        if status >= 200 and status not in (204, 304):
            if names.get("transfer-encoding", "").lower() == "chunked":
                while True:
                    size, _, rest = rest.partition(b"\r\n")
                    n = int(size.split(b";")[0], 16)
                    if n == 0:
                        rest = rest.partition(b"\r\n")[2]
                        break
                    body += rest[:n]
                    rest = rest[n + 2:]
            else:
                n = int(names.get("content-length", len(rest)))
                body, rest = rest[:n], rest[n:]
        replies.append(Reply(status, headers, body))
        data = rest
    return replies
