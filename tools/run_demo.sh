#!/bin/sh
# A server with the demo's flights: starts one on a free port with a data directory of its own,
# defines a metric, feeds it three days of January 2013, much faster than they went by, and shows the
# metric. Ctrl-C ends everything and removes the directory. Without a terminal it shows a few
# frames and ends by itself.
#
# Usage: tools/run_demo.sh    TIDEMARK=build/tidemark  DEMO_SPEED=3600x  DEMO_PORT=7070
set -eu
cd "$(dirname "$0")/.."

tidemark=${TIDEMARK:-build/tidemark}
feed=demo/flights-2013-01-01.ndjson.gz
frames=3

work=$(mktemp -d)
server=''
feeder=''
finish() {
    code=$?
    trap - EXIT INT TERM HUP
    [ -z "$feeder" ] || kill "$feeder" 2>/dev/null || true
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT
trap 'exit 0' INT TERM HUP

# The wanted port when it is free, else any that is.
port=$(python3 -c '
import socket, sys
for port in (int(sys.argv[1]), 0):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(s.getsockname()[1])
        break' "${DEMO_PORT:-7070}")
url=http://127.0.0.1:$port

"$tidemark" serve --listen "127.0.0.1:$port" --data "$work/data" >"$work/server.log" 2>&1 &
server=$!

# Ready when /readyz says so; the server's own words when it ends or never does.
python3 - "$url" "$server" <<'PYTHON' || { cat "$work/server.log" >&2; echo "demo: the server didn't start" >&2; exit 1; }
import sys, time, urllib.request
deadline = time.monotonic() + 15
def ended(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True
while True:
    try:
        urllib.request.urlopen(sys.argv[1] + "/readyz", timeout=2).read()
        sys.exit(0)
    except OSError:
        if ended(sys.argv[2]) or time.monotonic() > deadline:
            sys.exit(1)
        time.sleep(0.05)
PYTHON

"$tidemark" sql --url "$url" "
    CREATE METRIC departures AS
    SELECT data.origin AS origin, count(*) AS departures, avg(data.dep_delay) AS delay_min,
           max(data.dep_delay) AS worst_min
    FROM TUMBLE(events, time, INTERVAL '1 hour')
    WHERE type = 'flight.departed'
    GROUP BY data.origin" >"$work/sql.log" 2>&1 || {
    cat "$work/sql.log" "$work/server.log" >&2
    exit 1
}

if [ -t 1 ]; then
    speed=${DEMO_SPEED:-3600x}
else
    speed=${DEMO_SPEED:-43200x}
fi
"$tidemark" ingest "$feed" --url "$url" --speed "$speed" >"$work/feed.log" 2>&1 &
feeder=$!

echo "Tidemark listens on $url; three days of flights pass by at $speed."
echo "In another terminal:  curl '$url/v1/metrics/departures/values?window=latest'"
echo

if [ -t 1 ]; then
    "$tidemark" values departures --url "$url" --limit 12 --watch
else
    while [ "$frames" -gt 0 ]; do
        sleep 2
        "$tidemark" values departures --url "$url" --limit 6
        echo
        frames=$((frames - 1))
    done
    # The feed must have gone through: a demo that loses its events has failed.
    wait "$feeder" || {
        cat "$work/feed.log" "$work/server.log" >&2
        exit 1
    }
    feeder=''
    "$tidemark" values departures --url "$url" --limit 6
fi
