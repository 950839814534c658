#!/usr/bin/env python3
"""Job J1 in DuckDB, on the same file and machine: an upper anchor, and a check of every count.

Usage: tools/bench_duckdb.py EVENTS.ndjson [--counts COUNTS.csv] [--rate EVENTS_PER_SECOND] [--json FILE]
  --counts  what `tidemark bench j1 --csv` wrote: every (window, type) must be equal
  --rate    Tidemark's rate, to print the ratio

DuckDB runs with two threads, in memory: batch, nothing durable. Exit code 1 when counts differ; without the
Python package duckdb it says so and ends with 77 (skipped).
"""
import argparse
import csv
import json
import os
import platform
import sys
import time

try:
    import duckdb
except ImportError:
    print("bench_duckdb: SKIPPED, the Python package duckdb isn't installed", file=sys.stderr)
    sys.exit(77)

QUERY = """
    SELECT time_bucket(INTERVAL '1 minute', CAST("time" AS TIMESTAMP)) AS w, type, count(*) AS n
    FROM read_json(?, format = 'newline_delimited', columns = {'type': 'VARCHAR', 'time': 'VARCHAR'})
    GROUP BY ALL
"""


def run(path, threads):
    """{(window_start, type): count} and the seconds it took."""
    connection = duckdb.connect(":memory:", config={"threads": threads})
    begin = time.monotonic()
    rows = connection.execute(QUERY, [path]).fetchall()
    seconds = time.monotonic() - begin
    return {(w.strftime("%Y-%m-%dT%H:%M:%SZ"), kind): n for w, kind, n in rows}, seconds


def read_counts(path):
    with open(path, newline="", encoding="utf-8") as lines:
        return {(row["window_start"], row["type"]): int(row["n"]) for row in csv.DictReader(lines)}


def differences(expected, actual):
    keys = sorted(set(expected) | set(actual))
    return [(key, expected.get(key), actual.get(key)) for key in keys if expected.get(key) != actual.get(key)]


def report(path, name, value, unit):
    print(f"{name:<32} {value:>14,.3f} {unit}")
    if path:
        line = {"commit": os.environ.get("BENCH_COMMIT", ""),
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "name": name, "value": value, "unit": unit}
        with open(path, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")


def main():
    parser = argparse.ArgumentParser(description="Job J1 in DuckDB")
    parser.add_argument("events")
    parser.add_argument("--counts")
    parser.add_argument("--rate", type=float)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json")
    options = parser.parse_args()
    expected, seconds = run(options.events, options.threads)
    events = sum(expected.values())
    report(options.json, "duckdb_j1_rate", events / seconds, "events/s")
    if options.rate:
        report(options.json, "j1_rate_to_duckdb", options.rate * seconds / events, "times")
    if options.counts:
        wrong = differences(expected, read_counts(options.counts))
        for key, theirs, ours in wrong[:10]:
            print(f"bench_duckdb: {key}: DuckDB {theirs}, Tidemark {ours}", file=sys.stderr)
        report(options.json, "j1_wrong_counts", len(wrong), f"of {len(expected)}")
        return 1 if wrong or not expected else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
