#!/usr/bin/env python3
"""Records a golden log: a server lives through a short story, and its data directory is packed with the
digest of its state.

Usage: tests/golden/record.py [NAME]      TIDEMARK=build/tidemark
"""
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TIDEMARK", str(ROOT / "build/tidemark"))
URL = "http://127.0.0.1:7191"
EVENTS_MAX = 1500


def call(method, path, body=None, kind="application/json"):
    data = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    request = urllib.request.Request(URL + path, data, {"Content-Type": kind}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def sql(text):
    call("POST", "/v1/sql", text, "text/plain")


def send(lines):
    call("POST", "/v1/events?ack=applied", "\n".join(lines), "application/x-ndjson")


def story(lines):
    window = "FROM TUMBLE(events, time, INTERVAL '1 hour')"
    sql(f"CREATE METRIC by_type AS SELECT type, count(*) AS n {window} GROUP BY type")
    sql("CREATE METRIC delays AS SELECT data.origin AS origin, count(*) AS n, sum(data.dep_delay) AS total, "
        "avg(data.dep_delay) AS mean, min(data.dep_delay) AS least, max(data.dep_delay) AS most, rate() AS r, "
        "max(data.dest) AS last_dest, avg(data.distance / 7) AS inexact, "
        "count(*) FILTER (WHERE data.dep_delay > 15) AS late FROM TUMBLE(events, time, INTERVAL '15 minutes') "
        "WHERE type = 'flight.departed' GROUP BY data.origin ALLOW LATENESS INTERVAL '30 minutes'")
    third = len(lines) // 3
    send(lines[:third])
    call("PUT", "/v1/sources/%2Fcarriers%2FUA", {"watermark": "bounded", "disorder": "PT1M"})
    sql(f"CREATE METRIC united WITH (sources = '/carriers/UA') AS SELECT subject, count(*) AS n {window} "
        "WHERE source = '/carriers/UA' GROUP BY subject")
    send(lines[third:2 * third])
    send(lines[third:third + 100])  # duplicates
    sql("DROP METRIC by_type")
    sql(f"CREATE METRIC few WITH (groups_max = 1) AS SELECT subject, count(*) AS n {window} GROUP BY subject")
    send(lines[2 * third:])
    for source in ("*", "%2Fcarriers%2FUA"):
        call("POST", f"/v1/sources/{source}/watermark", {"final": True})
    send(lines[-20:])
    call("POST", "/v1/sources/*/watermark", {"final": False})
    send([line.replace('"id":"', '"id":"again-') for line in lines[-50:]])


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "flights-1"
    with gzip.open(ROOT / "demo/flights-2013-01-01.ndjson.gz", "rt") as feed:
        lines = [line.strip() for _, line in zip(range(EVENTS_MAX), feed)]
    with tempfile.TemporaryDirectory() as work:
        server = subprocess.Popen([BINARY, "serve", "--listen", URL[7:], "--data", f"{work}/data",
                                   "--partitions", "4"])
        try:
            for _ in range(100):
                try:
                    call("GET", "/readyz")
                    break
                except OSError:
                    time.sleep(0.05)
            story(lines)
        finally:
            server.terminate()
            server.wait()
        out = subprocess.run([BINARY, "replay", "--data", f"{work}/data", "--quiet"], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        digest = next(line.split()[1] for line in out.splitlines() if line.startswith("digest"))
        archive = ROOT / f"tests/golden/logs/{name}.tar.gz"
        with tarfile.open(archive, "w:gz") as pack:
            pack.add(f"{work}/data", "data",
                     filter=lambda entry: None if entry.name.endswith("LOCK") else entry)
        archive.with_name(f"{name}.digest").write_text(digest + "\n")
        print(f"{archive}: {archive.stat().st_size} bytes, digest {digest}")


if __name__ == "__main__":
    main()
