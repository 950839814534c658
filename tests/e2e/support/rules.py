"""A naive oracle for timeout and silence rules: what must fire, by brute force over events in event-time order.

It knows no watermark, no arrival order and no partitions: it sees every event once (the first of each source
and id), sorts by event time and walks on from each start. So it is what an engine must tell when nothing is
too late. At one event time a start comes first, then heartbeats, what is expected, and what cancels.

    start ──► deadline = start + within
                 heartbeat at t <= deadline: deadline = t + within
                 expected  at t <= deadline: never fires
                 cancel    at t <= deadline: never fires
                 nothing more up to the deadline: fires

A note is (rule, key, began, deadline): `began` is the start's time, or for a silence the last event's.
Times are microseconds. Events are as truth_lib reads them: with "us".
"""
from collections import Counter, defaultdict

HEARTBEAT, EXPECT, CANCEL = 1, 2, 3  # the order in which they act at one time


def unique(events):
    """The first of each (source, id), by event time; equal times in the order of arrival."""
    first = {}
    for event in events:
        first.setdefault((event["source"], event["id"]), event)
    return sorted(first.values(), key=lambda event: event["us"])


def of_type(name):
    return lambda event: event["type"] == name


class Timeout:
    """`after`, `expect`, `heartbeat`, `cancel` say whether an event is one; `within` gives microseconds of a start."""

    def __init__(self, name, after, expect, within, key, heartbeat=None, cancel=None):
        self.name = name
        self.after = after
        self.kinds = ((HEARTBEAT, heartbeat), (EXPECT, expect), (CANCEL, cancel))
        self.within = within if callable(within) else lambda _event: within
        self.key = key

    def notes(self, events):
        """What fires, once everything is final."""
        by_key = defaultdict(list)
        for event in unique(events):
            if (key := self.key(event)) is not None:
                by_key[key].append(event)
        fired = Counter()
        for key, members in by_key.items():
            starts = {}
            for event in members:
                if self.after(event):
                    starts.setdefault(event["us"], event)
            for start in starts.values():
                deadline = self._deadline(start, members)
                if deadline is not None:
                    fired[self.name, key, start["us"], deadline] += 1
        return fired

    def _deadline(self, start, members):
        """When this start's instance fires, or None."""
        signals = sorted((event["us"], kind) for event in members for kind, is_one in self.kinds
                         if is_one and is_one(event) and event["us"] >= start["us"])
        within = self.within(start)
        deadline = start["us"] + within
        for time, kind in signals:
            if time > deadline:
                break
            if kind != HEARTBEAT:
                return None
            deadline = time + within
        return deadline


class Silence:
    def __init__(self, name, expect, every, key):
        self.name = name
        self.expect = expect
        self.every = every
        self.key = key

    def notes(self, events):
        """What fires, once everything is final: an open silence only when its deadline lies before the last event."""
        by_key = defaultdict(list)
        ordered = unique(events)
        for event in ordered:
            if self.expect(event) and (key := self.key(event)) is not None:
                by_key[key].append(event["us"])
        fired = Counter()
        for key, times in by_key.items():
            for time, following in zip(times, [*times[1:], ordered[-1]["us"]]):
                if time + self.every < following:
                    fired[self.name, key, time, time + self.every] += 1
        return fired


def notes(rules, events):
    """What all of them tell: a Counter whose every count is 1, for each note is told once."""
    told = Counter()
    for rule in rules:
        told += rule.notes(events)
    return told
