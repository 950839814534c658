"""Asking a server about explicit timeouts: one call, one reply."""
import copy
import json

from truth_lib import time_us

from . import cases, notes
from .events import text_time
from .server import quoted

TIMEOUTS = "/v1/timeouts"
LINES = "application/x-ndjson"


def path(key, action=None):
    return f"{TIMEOUTS}/{quoted(key)}" + (f"/{action}" if action else "")


def create(server, key, **members):
    """POST /v1/timeouts; `within` of 15 minutes unless the members say when."""
    if "deadline" not in members and "within" not in members:
        members["within"] = "PT15M"
    return server.request("POST", TIMEOUTS, {"key": key, **members})


def act(server, key, action, headers=None, **members):
    """complete, cancel or heartbeat."""
    return server.request("POST", path(key, action), members, headers=headers)


def get(server, key, **parameters):
    """The object of a key that is there."""
    return server.get(path(key), **parameters)


def current_of(problem):
    """The current object in a refusal: its members beside the problem's, or one member that holds it."""
    for place in (problem, *(value for value in problem.values() if isinstance(value, dict))):
        if "generation" in place and "state" in place:
            return place
    raise AssertionError(f"no current object in {problem}")


def fired_at(problem):
    """When, in a refusal that says already-fired."""
    for place in (problem, *(value for value in problem.values() if isinstance(value, dict))):
        if "fired_at" in place:
            return time_us(place["fired_at"])
    raise AssertionError(f"no fired_at in {problem}")


def post_batch(server, operations, content_type=LINES):
    """POST :batch of dictionaries, or of texts as they are."""
    lines = [one if isinstance(one, bytes) else json.dumps(one, ensure_ascii=False).encode() for one in operations]
    return server.request("POST", f"{TIMEOUTS}:batch", b"".join(line + b"\n" for line in lines),
                          content_type=content_type)


def results(reply):
    """The results of a batch, in order."""
    if reply.headers["content-type"].startswith(LINES):
        return [json.loads(line) for line in reply.body.splitlines() if line]
    answer = reply.json
    return answer if isinstance(answer, list) else answer.get("items") or answer["results"]


def states(server):
    """How many timeouts there are in each state; one that isn't named is 0."""
    answer = server.get(f"{TIMEOUTS}:count")
    answer = next((value for value in answer.values() if isinstance(value, dict)), answer)
    return {name: n for name, n in answer.items() if isinstance(n, int)}


def another(server):
    """The same server over a connection of its own, for another thread."""
    made = copy.copy(server)
    made._connection = None
    return made


class Case(cases.Case):
    """One server for all tests of a class, and the steps that most of them take."""

    def made(self, key=None, **members):
        """A timeout just created: its object."""
        reply = create(self.server, key or self.name("order"), **members)
        self.assertEqual(201, reply.status, reply)
        return reply.json

    def fired(self, key, seconds=30):
        """The one notification of its firing."""
        items, _ = notes.wait_for(self.server, 1, seconds, subject=key, type=notes.FIRED)
        self.assertEqual(1, len(items), items)
        return items[0]

    def check_fired(self, key, deadline):
        """Its one firing came, in state and feed, and not before the deadline."""
        item = self.fired(key)
        notes.check_item(self, item)
        self.assertEqual(key, item["subject"])
        self.assertEqual(deadline, item["data"]["deadline"])
        self.assertGreaterEqual(time_us(item["data"]["fired_at"]), time_us(deadline), "early")
        self.assertGreaterEqual(time_us(text_time()), time_us(deadline), "early")
        there = get(self.server, key)
        self.assertEqual("fired", there["state"], there)
        return item

    def check_never_fired(self, *keys):
        """After something younger has fired, nothing of these has."""
        self.check_fired(**{k: v for k, v in self.made(within="PT0.05S").items() if k in ("key", "deadline")})
        for key in keys:
            self.assertEqual([], notes.read(self.server, subject=key)[0], key)
