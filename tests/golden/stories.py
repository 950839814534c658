"""Short lives of a server, each about a mistake that was made once, and what must be known at their end.

A story is a function that drives a server through its API, and ends it. What is expected stands beside it
and was worked out by hand, as the comments do; record.py keeps a log only if a server that starts on it
says just that. All events are of one day and one minute after the other: "12:00:10" is that time of
2013-01-01, so long ago that the clock moves no watermark.

Between two pulses there are at least PULSE_SECONDS: what is said to happen between two of them happens at
once, behind an event that was waited for until it showed (which a pulse makes it do).
"""
import time

PULSE_SECONDS = 3
ARGUMENTS = ("--pulse-every", f"{PULSE_SECONDS}s", "--segment-bytes", "1M")
WAIT_SECONDS_MAX = 30
SELECT = ("SELECT subject AS who, count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute') "
          "GROUP BY subject")


def at(clock):
    return f"2013-01-01T{clock}Z"


def event(source, identity, subject, clock):
    return {"specversion": "1.0", "id": identity, "source": source, "type": "t", "subject": subject,
            "time": at(clock)}


def row(minute, who, count, closed=False):
    return {"window_start": at(f"{minute}:00"), "who": who, "n": count, "closed": closed, "final": closed,
            "revision": 0}


def metric(rows, counted, dropped):
    return {"rows": rows, "counts": {"counted": counted, "filtered": 0, "late_corrected": 0,
                                     "late_dropped": dropped}}


def send(server, *events, acknowledge=None):
    reply = server.send(events, acknowledge)
    if reply.status != 200 or reply.json["accepted"] != len(events):
        raise AssertionError(f"{events}: {reply}")


def advance(server, source, clock):
    reply = server.watermark(source, time=at(clock))
    if reply.status != 200:
        raise AssertionError(f"{source} at {clock}: {reply}")


def wait_for(wanted, ask):
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while (found := ask()) != wanted:
        if time.monotonic() > deadline:
            raise AssertionError(f"{found} instead of {wanted} for {WAIT_SECONDS_MAX} s")
        time.sleep(0.05)


def wait_for_watermark(server, wanted):
    """Now, and in a pulse, by which metrics go."""
    wait_for(wanted, lambda: server.get("/v1/watermark")["watermark"])
    wait_for(wanted, lambda: server.get("/v1/metrics/minutes/values")["watermark"])


# What the watermark W had passed before it was final stays passed when a lane is reopened. Once W fell to
# where that lane was, and the last "final" counted as "before" when a finished lane spoke.

def final(server):
    server.put_source("/a", watermark="explicit", idle_after="PT1S")
    server.sql(f"CREATE METRIC minutes AS {SELECT}")
    advance(server, "/a", "12:00:05")
    send(server, event("/x", "x1", "ATL", "12:00:10"), event("/x", "x2", "ATL", "12:01:30"))
    # "/a" holds W at 12:00:05 for a second, until it is idle: then W is 5 s behind x2.
    wait_for_watermark(server, at("12:01:25"))
    server.final("*")
    server.final("/a")
    # All is final: minutes is sealed as far as the latest event, which makes the minute 12:01 final.
    wait_for_watermark(server, None)
    # Of a finished source: late everywhere. It is the latest event now; no other minute, though.
    send(server, event("/x", "x3", "ATL", "12:01:40"), acknowledge="applied")
    server.final("/a", False)
    wait_for_watermark(server, at("12:01:25"))
    server.sql(f"CREATE METRIC later AS {SELECT}")
    # a1: 12:00 was passed: late for both. a2: 12:01 is sealed in minutes, later has no seal, and
    # W is not beyond it. a3: open in both.
    send(server, event("/a", "a1", "ORD", "12:00:20"), event("/a", "a2", "ORD", "12:01:50"),
         event("/a", "a3", "ORD", "12:02:10"), acknowledge="applied")
    # Final and back between two pulses: no metric hears of it, and W is where it was. The log ends
    # so, and who reads it has to find that W without being told; x4, of a finished source, moves
    # its lane while all is final.
    server.final("/a")
    send(server, event("/x", "x4", "ATL", "12:01:50"))
    server.final("/a", False)
    server.kill9()


FINAL = {
    "watermark": at("12:01:25"),
    "metrics": {
        # counted: x1, x2, a3; dropped: x3, a1, a2, x4
        "minutes": metric([row("12:00", "ATL", 1, True), row("12:01", "ATL", 1, True),
                           row("12:02", "ORD", 1)], 3, 4),
        # counted: a2, a3; dropped: a1, x4
        "later": metric([row("12:01", "ORD", 1), row("12:02", "ORD", 1)], 2, 2),
    },
}


# A metric that is defined between two pulses moves no other one. Once it did, and what had been counted
# since the last pulse came too late.

def definition(server):
    server.put_source("/a", watermark="explicit", idle_after="PT1H")
    server.sql(f"CREATE METRIC minutes WITH (sources = '/a') AS {SELECT}")
    send(server, event("/a", "a1", "ATL", "12:00:10"))
    advance(server, "/a", "12:00:30")
    send(server, event("/a", "a2", "ATL", "12:00:35"), acknowledge="applied")
    # From here on all is between two pulses. For minutes "/a" stays at 12:00:30, as the last one said.
    send(server, event("/a", "a3", "ATL", "12:00:40"))
    server.final("/a")
    # It begins while "/a" is final: sealed as far as a2, the latest that a pulse told of: 12:00.
    server.sql(f"CREATE METRIC later WITH (sources = '/a') AS {SELECT}")
    server.final("/a", False)
    send(server, event("/a", "a4", "ATL", "12:00:45"), acknowledge="applied")
    # Behind the pulse: the minute 12:01 is open for both.
    send(server, event("/a", "a5", "ATL", "12:01:05"))
    server.stop()


DEFINITION = {
    "watermark": at("12:00:30"),
    "metrics": {
        "minutes": metric([row("12:00", "ATL", 4), row("12:01", "ATL", 1)], 5, 0),
        "later": metric([row("12:01", "ATL", 1)], 1, 1),  # a5; not a4
    },
}


# A source that is finished holds idle ones back no longer. Once W stayed where the last one that spoke had
# been when it finished.

def finished(server):
    server.put_source("/a", watermark="explicit", idle_after="PT1S")
    server.put_source("/b", watermark="explicit", idle_after="PT1H")
    server.sql(f"CREATE METRIC minutes AS {SELECT}")
    advance(server, "/a", "12:01:40")
    advance(server, "/b", "12:00:50")
    send(server, event("/b", "b1", "ATL", "12:00:20"), acknowledge="applied")
    wait_for(True, lambda: {lane["source"]: lane["idle"]
                            for lane in server.get("/v1/watermark")["lanes"]}["/a"])
    wait_for_watermark(server, at("12:00:50"))
    server.final("/b")
    # Only "/a" is left, and it is idle: W is where it is, as if "/b" had finished first.
    wait_for_watermark(server, at("12:01:40"))
    # x1 comes to a minute that is over, x2 to one that is not.
    send(server, event("/x", "x1", "JFK", "12:00:30"), event("/x", "x2", "JFK", "12:01:20"),
         acknowledge="applied")
    server.stop()


FINISHED = {
    "watermark": at("12:01:40"),
    "metrics": {
        "minutes": metric([row("12:00", "ATL", 1, True), row("12:01", "JFK", 1)], 2, 1),
    },
}


# The last frame of a log whose server was killed has no other one behind it that says it is durable. It
# was acknowledged: it counts. (Once a start synced it again, which is not enough where a sync failed.)

def killed(server):
    server.sql(f"CREATE METRIC minutes AS {SELECT}")
    send(server, event("/x", "x1", "ATL", "12:00:10"), event("/x", "x2", "ATL", "12:01:30"),
         acknowledge="applied")
    send(server, event("/x", "x3", "JFK", "12:01:31"))
    server.kill9()


KILLED = {
    "watermark": at("12:01:26"),  # 5 s behind x3
    "metrics": {
        "minutes": metric([row("12:00", "ATL", 1, True), row("12:01", "ATL", 1), row("12:01", "JFK", 1)],
                          3, 0),
    },
}

STORIES = {
    "final-1": (final, FINAL),
    "definition-1": (definition, DEFINITION),
    "finished-1": (finished, FINISHED),
    "killed-1": (killed, KILLED),
}
