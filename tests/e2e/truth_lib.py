"""A naive oracle: what the right answer to a stream of events is, by brute force.

It shares nothing with the engine, neither code nor tricks: it reads the whole file, keeps every
event in a list and looks at all of them again for each question. Sums are exact decimals. Times are
integers, microseconds since the epoch.

Every function that groups returns {(window_start_us, key, ...): value}; empty windows are absent.
"""
import gzip
import json
import math
import re
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$")


def time_us(text):
    """RFC 3339 with any offset to microseconds; digits beyond the sixth are cut off."""
    m = RFC3339.match(text)
    if not m:
        raise ValueError(f"not an RFC 3339 time: {text!r}")
    year, month, day, hour, minute, second = (int(x) for x in m.groups()[:6])
    instant = datetime(year, month, day, hour, minute, 0, tzinfo=timezone.utc)
    us = (instant - EPOCH) // timedelta(microseconds=1) + second * SECOND
    us += int(((m[7] or "") + "000000")[:6])
    if m[8]:
        offset = (int(m[9]) * 60 + int(m[10])) * MINUTE
        us -= offset if m[8] == "+" else -offset
    return us


def time_text(us):
    """Microseconds to RFC 3339 in UTC, with a fraction only when there is one."""
    instant = EPOCH + timedelta(microseconds=us)
    text = instant.strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{us % SECOND:06d}".rstrip("0")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def read_events(path):
    """All lines in file order. Each event gets 'us', its time."""
    opened = gzip.open(path, "rt", encoding="utf-8") if str(path).endswith(".gz") else \
        open(path, encoding="utf-8")
    events = []
    with opened as lines:
        for line in lines:
            if line.strip():
                event = json.loads(line, parse_float=Decimal)
                event["us"] = time_us(event["time"])
                events.append(event)
    return events


def unique(events):
    """The first of each (source, id), in order."""
    seen = set()
    first = []
    for event in events:
        identity = (event["source"], event["id"])
        if identity not in seen:
            seen.add(identity)
            first.append(event)
    return first


def get(event, path):
    """The member at 'type' or 'data.dest'; None when it, or one on the way, is missing."""
    value = event
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value


def group_tumbling(events, size_us, keys=(), offset_us=0):
    """{(window_start, key, ...): [event, ...]} over the unique events."""
    groups = defaultdict(list)
    for event in unique(events):
        start = (event["us"] - offset_us) // size_us * size_us + offset_us
        groups[(start, *(get(event, key) for key in keys))].append(event)
    return dict(groups)


def group_hopping(events, slide_us, size_us, keys=()):
    """As group_tumbling; an event is in every window [k*slide, k*slide + size) around it."""
    groups = defaultdict(list)
    for event in unique(events):
        start = event["us"] // slide_us * slide_us
        while start + size_us > event["us"]:
            groups[(start, *(get(event, key) for key in keys))].append(event)
            start -= slide_us
    return dict(groups)


def group_sessions(events, gap_us, keys=()):
    """{(first event's time, key, ...): [event, ...]}; a distance of exactly the gap merges."""
    by_key = defaultdict(list)
    for event in unique(events):
        by_key[tuple(get(event, key) for key in keys)].append(event)
    groups = {}
    for key, members in by_key.items():
        members.sort(key=lambda event: event["us"])
        session = []
        for event in members:
            if session and event["us"] - session[-1]["us"] > gap_us:
                groups[(session[0]["us"], *key)] = session
                session = []
            session.append(event)
        groups[(session[0]["us"], *key)] = session
    return groups


def counts(groups):
    return {key: len(events) for key, events in groups.items()}


def numbers(events, path):
    """The values at the path that are numbers, exact."""
    values = (get(event, path) for event in events)
    return [Decimal(v) for v in values if isinstance(v, (int, Decimal)) and not isinstance(v, bool)]


def summary(events, path):
    """Exact sum, min and max, and the mean and population standard deviation as doubles."""
    values = numbers(events, path)
    if not values:
        return {"count": 0, "sum": None, "min": None, "max": None, "avg": None, "stddev_pop": None}
    total = sum(values)
    mean = total / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    return {"count": len(values), "sum": total, "min": min(values), "max": max(values),
            "avg": float(mean), "stddev_pop": math.sqrt(variance)}


def percentile(events, path, p):
    """The value of rank ceil(p * n), or None."""
    values = sorted(numbers(events, path))
    return values[max(math.ceil(Decimal(str(p)) * len(values)), 1) - 1] if values else None


def distinct(events, path):
    """How many different values; a missing one is none."""
    return len({v for v in (get(event, path) for event in events) if v is not None})


def top(events, path, k):
    """The k most frequent values with their counts; among equals the smaller value."""
    tally = defaultdict(int)
    for event in events:
        if (value := get(event, path)) is not None:
            tally[value] += 1
    return sorted(tally.items(), key=lambda item: (-item[1], item[0]))[:k]


def drop_late(events, size_us, disorder_us, lateness_us=0):
    """What one watermark drops: (kept, dropped), each in file order and without duplicates.

    Before each line the watermark is the highest time so far less the disorder. A line is dropped
    when its window's end plus the lateness is at or below that. A dropped event moves the watermark
    like any other.
    """
    kept = []
    dropped = []
    seen = set()
    highest = None
    for event in events:
        identity = (event["source"], event["id"])
        end = event["us"] // size_us * size_us + size_us
        if identity not in seen:
            late = highest is not None and end + lateness_us <= highest - disorder_us
            (dropped if late else kept).append(event)
            seen.add(identity)
        highest = event["us"] if highest is None else max(highest, event["us"])
    return kept, dropped


def watermark(events, disorder_us):
    """Where the watermark of drop_late stands after the last line."""
    return max(event["us"] for event in events) - disorder_us
