#!/bin/sh
# The benchmarks: a table for people, and bench-results.jsonl with a JSON line for each figure.
# Each part gets a server of its own, on a free port, with an empty data directory.
#
# Usage: tools/bench.sh [WORD ...]     only the parts whose names are given:
#        j1 duckdb direct open-loop snapshots overload singles groups timeouts idle restart timeouts-restart
#   BENCH_EVENTS   events of job J1, and of the rule's (5000000)
#   BENCH_RESTART  events in the log of the restart (20000000); a tenth of them after the snapshot
#   BENCH_SECONDS  for open-loop, singles and timeouts (10)
#   BENCH_PENDING  timeouts that wait while others fire (1000000)
#   BENCH_KILLED   timeouts that wait when the server is killed (10000000), 100 B of data each
#   BENCH_DUE      timeouts that are due in one instant (1000000)
#   BENCH_DIR      where the files go (a new folder in /tmp)
#   BENCH_JSON     the file of JSON lines (build/bench-results.jsonl)
set -eu
cd "$(dirname "$0")/.."

events=${BENCH_EVENTS:-5000000}
seconds=${BENCH_SECONDS:-10}
tidemark=${TIDEMARK:-$PWD/build/tidemark}
[ -n "${TIDEMARK:-}" ] || tools/build.sh product
[ -x "$tidemark" ] || {
    echo "bench: there is no $tidemark" >&2
    exit 1
}
parts=${*:-j1 duckdb direct open-loop snapshots overload singles groups timeouts idle restart timeouts-restart}
work=${BENCH_DIR:-$(mktemp -d)}
mkdir -p "$work"
results=${BENCH_JSON:-build/bench-results.jsonl}
mkdir -p "$(dirname "$results")"
: >"$results"
BENCH_COMMIT=$(git rev-parse --short HEAD 2>/dev/null || echo none)
export BENCH_COMMIT

server=''
stop_server() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    server=''
    rm -rf "$work/data"
}
finish() {
    code=$?
    trap - EXIT INT TERM HUP
    stop_server
    [ -n "${BENCH_DIR:-}" ] || rm -rf "$work"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

start_server() {
    rm -rf "$work/data"
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$tidemark" serve --listen "127.0.0.1:$port" --data "$work/data" "$@" >"$work/server.log" 2>&1 &
    server=$!
    TIDEMARK_URL=http://127.0.0.1:$port
    export TIDEMARK_URL
    for _ in $(seq 100); do
        ! python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + "/readyz", timeout=2)' \
            "$TIDEMARK_URL" 2>/dev/null || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/server.log" >&2
    echo "bench: the server didn't start" >&2
    exit 1
}

wanted() {
    case " $parts " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# A figure that was measured here: name, unit, value.
tell() {
    python3 -c '
import json, os, platform, sys
name, unit, value, path = sys.argv[1:]
value = float(value)
print(f"{name:<32} {value:>14,.3f} {unit}")
machine = f"{platform.machine()}, {os.cpu_count()} cores"
with open(path, "a") as out:
    print(json.dumps({"commit": os.environ["BENCH_COMMIT"], "machine": machine, "name": name,
                      "value": value, "unit": unit}), file=out)' "$1" "$2" "$3" "$results"
}

# The value of a figure in the results so far.
figure() {
    python3 -c '
import json, sys
values = [row["value"] for row in map(json.loads, open(sys.argv[1])) if row["name"] == sys.argv[2]]
print(values[-1] if values else "")' "$results" "$1"
}

file=$work/events-$events.ndjson
if wanted j1 || wanted duckdb || wanted direct; then
    [ -s "$file" ] || "$tidemark" bench gen "$file" --events "$events"
    sync # what the generator left to write shall not disturb what is measured
fi
if wanted j1; then
    echo "== J1 over HTTP: $events events, 1 MiB bodies, 4 connections, each durable before its answer"
    start_server
    "$tidemark" bench j1 "$file" --csv "$work/counts.csv" --json "$results"
    tell log_bytes_per_event bytes "$(python3 -c '
import sys, urllib.request
text = urllib.request.urlopen(sys.argv[1] + "/metrics").read().decode()
position = next(float(line.split()[1]) for line in text.splitlines()
                if line.startswith("tidemark_log_durable_position "))
print(position / float(sys.argv[2]))' "$TIDEMARK_URL" "$events")"
    stop_server
fi
if wanted duckdb; then
    echo "== J1 in DuckDB: batch, 2 threads, not durable; and are all counts equal?"
    set -- "$file" --json "$results"
    [ ! -s "$work/counts.csv" ] || set -- "$@" --counts "$work/counts.csv" --rate "$(figure j1_counted_rate)"
    python3 tools/bench_duckdb.py "$@" || [ $? -eq 77 ]
fi
if wanted direct; then
    echo "== J1 straight into a directory"
    rm -rf "$work/data"
    "$tidemark" ingest "$file" --data "$work/data" --disorder 10m --final --json --quiet --sql \
        "CREATE METRIC j1 AS SELECT type, count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY type" \
        >"$work/direct.json"
    sync
    "$tidemark" replay --data "$work/data" --json --quiet >"$work/replay.json"
    python3 - "$work/direct.json" "$work/replay.json" "$results" <<'PYTHON'
import json, os, platform, sys
machine = f"{platform.machine()}, {os.cpu_count()} cores"
with open(sys.argv[3], "a") as out:
    opened = json.load(open(sys.argv[2]))
    figures = [("direct_rate", json.load(open(sys.argv[1]))["events_per_second"]),
               ("replay_rate", opened["events_per_second"]),
               ("replay_rate_with_opening", opened["events"] / opened["seconds_with_opening"])]
    for name, value in figures:
        print(f"{name:<32} {value:>14,.0f} events/s")
        print(json.dumps({"commit": os.environ["BENCH_COMMIT"], "machine": machine, "name": name,
                          "value": value, "unit": "events/s"}), file=out)
PYTHON
    rm -rf "$work/data"
fi
if wanted open-loop; then
    echo "== Open loop: 100,000 events/s in batches of 100"
    start_server
    "$tidemark" bench open-loop --rate 100000/s --batch 100 --seconds "$seconds" --json "$results"
    stop_server
fi
if wanted snapshots; then
    echo "== The same with one snapshot after the other"
    start_server --snapshot-every 4M
    tell snapshots_ack_p99 ms "$("$tidemark" bench open-loop --rate 100000/s --batch 100 --seconds "$seconds" |
        awk '$1 == "open_loop_ack_p99" { print $2 }')"
    stop_server
fi
if wanted overload; then
    echo "== Ten times the normal load, with 256 MiB for all state"
    start_server --memory 256M
    "$tidemark" bench overload --seconds "$seconds" --connections 1024 --json "$results"
    tell overload_memory MiB "$(awk '/^VmHWM/ { print $2 / 1024 }' "/proc/$server/status")"
    stop_server
    echo "== The same with one snapshot after the other"
    start_server --memory 256M --snapshot-every 16M
    tell overload_snapshots_burst_ack_p99 ms "$("$tidemark" bench overload --seconds "$seconds" \
        --connections 1024 | awk '$1 == "overload_burst_ack_p99" { print $2 }')"
    stop_server
fi
if wanted singles; then
    for connections in 64 256; do
        echo "== Single durable POSTs, $connections connections"
        start_server
        "$tidemark" bench singles --connections "$connections" --seconds "$seconds" --json "$results"
        stop_server
    done
fi
if wanted groups; then
    echo "== A million groups in one window"
    start_server
    "$tidemark" bench groups --groups 1000000 --json "$results"
    stop_server
fi
if wanted timeouts; then
    echo "== Timeouts: created, extended and completed, by 1,000 and one by one"
    start_server
    "$tidemark" bench timeouts --parts batches,singles --seconds "$seconds" --json "$results"
    stop_server
    echo "== Timeouts: $events events by a rule over the stream, and as many without it"
    start_server --snapshot-every 64G
    "$tidemark" bench timeouts --parts rule --events "$events" --server-pid "$server" --json "$results"
    stop_server
    pending=${BENCH_PENDING:-1000000}
    due=${BENCH_DUE:-1000000}
    echo "== Timeouts: $pending pending; 1,000 a second are due, then $due in one instant"
    start_server
    "$tidemark" bench timeouts --parts lag,burst --pending "$pending" --due-at-once "$due" --seconds "$seconds" \
        --json "$results"
    tell timeouts_memory MiB "$(awk '/^VmHWM/ { print $2 / 1024 }' "/proc/$server/status")"
    stop_server
fi
if wanted idle; then
    echo "== A server that does nothing"
    start_server
    sleep 1
    tell idle_memory MiB "$(awk '/^VmRSS/ { print $2 / 1024 }' "/proc/$server/status")"
    stop_server
fi
if wanted restart; then
    total=${BENCH_RESTART:-20000000}
    tail=$((total / 10))
    head=$((total - tail))
    echo "== Restart after a kill: $total events in the log, $tail of them after the newest snapshot"
    rm -rf "$work/data"
    rm -f "$file"
    "$tidemark" bench gen "$work/restart.ndjson" --events "$total"
    head -n "$head" "$work/restart.ndjson" | "$tidemark" ingest - --data "$work/data" --disorder 10m \
        --quiet --sql "CREATE METRIC j1 AS SELECT type, count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute') GROUP BY type"
    "$tidemark" snapshot --data "$work/data"
    tail -n "$tail" "$work/restart.ndjson" | "$tidemark" ingest - --data "$work/data" --quiet --snapshot-every 64G
    rm -f "$work/restart.ndjson"
    sync
    mv "$work/data" "$work/kept"
    started=$(date +%s%N)
    mv "$work/kept" "$work/data.restart"
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$tidemark" serve --listen "127.0.0.1:$port" --data "$work/data.restart" >"$work/server.log" 2>&1 &
    server=$!
    tell restart_to_ready ms "$(python3 - "$port" "$started" <<'PYTHON'
import sys, time, urllib.error, urllib.request
while True:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/readyz", timeout=2)
        break
    except OSError:
        time.sleep(0.005)
print((time.time_ns() - int(sys.argv[2])) / 1e6)
PYTHON
)"
    cat "$work/server.log"
    stop_server
    rm -rf "$work/data.restart"
fi
if wanted timeouts-restart; then
    killed=${BENCH_KILLED:-10000000}
    first_due=bench-first-due
    for payload in 100 0; do
        echo "== Restart after a kill with $killed timeouts pending, $payload B of data each, to the first that fires"
        start_server
        "$tidemark" bench timeouts --parts lag --pending "$killed" --payload "$payload" --fire-rate 1000/s \
            --seconds 1 >"$work/bench.log"
        python3 - "$first_due" <<'PYTHON'
import os, sys, urllib.request
urllib.request.urlopen(urllib.request.Request(
    os.environ["TIDEMARK_URL"] + "/v1/timeouts", headers={"Content-Type": "application/json"},
    data=b'{"key":"%s","within":"PT2S"}' % sys.argv[1].encode()))
PYTHON
        kill -9 "$server"
        wait "$server" 2>/dev/null || true
        sleep 3 # it falls due while nobody is there
        started=$(date +%s%N)
        "$tidemark" serve --listen "127.0.0.1:$port" --data "$work/data" >"$work/server.log" 2>&1 &
        server=$!
        tell "timeouts_restart_to_firing_$payload" ms "$(python3 - "$first_due" "$started" <<'PYTHON'
import os, sys, time, urllib.request
told = b""
while sys.argv[1].encode() not in told:
    try:
        told = urllib.request.urlopen(
            f"{os.environ['TIDEMARK_URL']}/v1/notifications?subject={sys.argv[1]}&limit=5", timeout=2).read()
    except OSError:
        time.sleep(0.005)
print((time.time_ns() - int(sys.argv[2])) / 1e6)
PYTHON
)"
        tell "timeouts_restart_cpu_$payload" s "$(awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' \
            "/proc/$server/stat")"
        tell "timeouts_restart_memory_$payload" MiB "$(awk '/^VmHWM/ { print $2 / 1024 }' "/proc/$server/status")"
        cat "$work/server.log"
        stop_server
    done
fi
echo "== $results has all figures"
