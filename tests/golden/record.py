#!/usr/bin/env python3
"""Records golden logs: a server lives through a short story, and its data directory is packed with the
digest of its state, and with what a server that starts on it must say.

Usage: tests/golden/record.py NAME ...      TIDEMARK=build/tidemark

NAME is flights-1, or one of stories.py.
"""
import gzip
import json
import pathlib
import shutil
import sys
import tempfile

import recording
import stories

EVENTS_MAX = 1500


def flights(server):
    """A morning's flights through every kind of record."""
    with gzip.open(recording.ROOT / "demo/flights-2013-01-01.ndjson.gz", "rt") as feed:
        lines = [line.strip() for _, line in zip(range(EVENTS_MAX), feed)]

    def send(some):
        reply = server.request("POST", "/v1/events?ack=applied", "\n".join(some),
                               content_type="application/x-ndjson")
        if reply.status != 200:
            raise AssertionError(reply)

    window = "FROM TUMBLE(events, time, INTERVAL '1 hour')"
    server.sql(f"CREATE METRIC by_type AS SELECT type, count(*) AS n {window} GROUP BY type")
    server.sql(
        "CREATE METRIC delays AS SELECT data.origin AS origin, count(*) AS n, sum(data.dep_delay) AS total, "
        "avg(data.dep_delay) AS mean, min(data.dep_delay) AS least, max(data.dep_delay) AS most, rate() AS r, "
        "max(data.dest) AS last_dest, avg(data.distance / 7) AS inexact, "
        "count(*) FILTER (WHERE data.dep_delay > 15) AS late FROM TUMBLE(events, time, INTERVAL '15 minutes') "
        "WHERE type = 'flight.departed' GROUP BY data.origin ALLOW LATENESS INTERVAL '30 minutes'")
    third = len(lines) // 3
    send(lines[:third])
    server.put_source("/carriers/UA", watermark="bounded", disorder="PT1M")
    server.sql(f"CREATE METRIC united WITH (sources = '/carriers/UA') AS SELECT subject, count(*) AS n {window} "
               "WHERE source = '/carriers/UA' GROUP BY subject")
    send(lines[third:2 * third])
    send(lines[third:third + 100])  # duplicates
    server.sql("DROP METRIC by_type")
    server.sql(f"CREATE METRIC few WITH (groups_max = 1) AS SELECT subject, count(*) AS n {window} GROUP BY subject")
    send(lines[2 * third:])
    for source in ("*", "/carriers/UA"):
        server.final(source)
    send(lines[-20:])
    server.final("*", False)
    send([line.replace('"id":"', '"id":"again-') for line in lines[-50:]])
    server.stop()


def record(name, story, expected, arguments):
    with tempfile.TemporaryDirectory() as work:
        data = pathlib.Path(work) / "data"
        server = recording.support.Server(data=data, arguments=arguments)
        try:
            story(server.start())
        finally:
            server.discard()
        copies = [shutil.copytree(data, pathlib.Path(work) / copy) for copy in ("replayed", "served")]
        state = recording.digest(recording.support.BINARY, copies[0])
        if expected is not None:
            found = recording.served(copies[1], expected)
            if found != expected:
                raise SystemExit(f"{name}: {json.dumps(found, indent=1)}\ninstead of\n{json.dumps(expected, indent=1)}")
            values = recording.LOGS / f"{name}.values.json"
            values.write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")
        archive = recording.LOGS / f"{name}.tar.gz"
        recording.pack(data, archive)
        (recording.LOGS / f"{name}.digest").write_text(state + "\n", encoding="utf-8")
        print(f"{archive}: {archive.stat().st_size} bytes, digest {state}")


def main():
    known = {"flights-1": (flights, None, ())}
    known.update({name: (*story, stories.ARGUMENTS) for name, story in stories.STORIES.items()})
    if len(sys.argv) < 2 or not set(sys.argv[1:]) <= set(known):
        raise SystemExit(f"usage: tests/golden/record.py NAME ...      of {', '.join(known)}")
    for name in sys.argv[1:]:
        record(name, *known[name])


if __name__ == "__main__":
    main()
