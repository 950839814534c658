"""Sends lines to a server in one of several ways, through restarts and kills, until all are acknowledged."""
import random
import socket
import time

BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"


def feed(server, lines, batch, chaos=None, seed=1, stops=3):
    """Sends JSON texts (bytes) in order. `batch` is a number of events, or None for one NDJSON stream.

    chaos: None, 'term' (stopped and started once, in the middle) or 'kill' (kill -9 under a request
    on its way, several times; what wasn't acknowledged is sent again).
    """
    draw = random.Random(seed)
    if batch is None:
        _feed_stream(server, lines, chaos, draw)
    else:
        _feed_batches(server, lines, batch, chaos, draw, stops)


def _feed_batches(server, lines, batch, chaos, draw, stops):
    bodies = [b"[" + b",".join(lines[i:i + batch]) + b"]" for i in range(0, len(lines), batch)]
    middle = {"term": {len(bodies) // 2}, "kill": set(draw.sample(range(1, len(bodies)), stops))}.get(chaos, set())
    for n, body in enumerate(bodies):
        if n in middle and chaos == "term":
            code = server.stop()
            if code != 0:
                raise AssertionError(f"exit code {code} after SIGTERM: {server.output()[-1000:]}")
            server.start()
        elif n in middle:
            _kill_under(server, _whole_request(server, BATCH, body), draw.random() * 0.01)
            server.start()
        _acknowledged(server.request("POST", "/v1/events", body, content_type=BATCH))


def _feed_stream(server, lines, chaos, draw):
    if chaos:
        # The first half is on its way when the end comes. Then all of it once more, from the start.
        half = b"".join(line + b"\n" for line in lines[:len(lines) // 2])
        if chaos == "term":
            _acknowledged(server.request("POST", "/v1/events", half, content_type=LINES))
            if server.stop() != 0:
                raise AssertionError("SIGTERM didn't end it well")
        else:
            head = (f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: {LINES}\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n").encode()
            pieces = (half[i:i + 65536] for i in range(0, len(half), 65536))
            _kill_under(server, head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces), draw.random() * 0.2)
        server.start()
    rest = b"".join(line + b"\n" for line in lines)
    _acknowledged(server.request("POST", "/v1/events", rest, content_type=LINES))


def _whole_request(server, form, body):
    return (f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: {form}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


def _kill_under(server, data, seconds):
    """Sends, waits so long, kills: what became of the request isn't known."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        s.sendall(data)
        time.sleep(seconds)
        server.kill9()


def _acknowledged(reply):
    if reply.status != 200 or reply.json["rejected"]:
        raise AssertionError(f"not taken: {reply}")

