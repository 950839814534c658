"""Reading the feed of notifications: pages, waits, server-sent events; and what every item must be."""
import http.client
import json
import re
import time

from .server import with_parameters

FEED = "/v1/notifications"
FIRED = "tidemark.timeout.fired"
RETRACTED = "tidemark.timeout.retracted"
COMPLETED_LATE = "tidemark.timeout.completed_late"
PAGES_MAX = 10_000
# An extension's name: lower-case letters and digits (CloudEvents 1.0, 3.1).
NAME = re.compile(r"[a-z0-9]+$")
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")


def page(server, **parameters):
    """One page as it came."""
    return server.get(FEED, **parameters)


def read(server, after=None, **parameters):
    """(all items behind `after`, the cursor to go on from); never waits."""
    items = []
    parameters.setdefault("limit", 1000)
    for _ in range(PAGES_MAX):
        got = page(server, **parameters, **({"after": after} if after is not None else {}))
        if not isinstance(got["next_cursor"], str):
            raise AssertionError(f"a feed's cursor is always there: {got['next_cursor']!r}")
        items += got["items"]
        if not got["items"]:
            return items, got["next_cursor"]
        if got["next_cursor"] == after:
            raise AssertionError(f"items, but the cursor stays: {after}")
        after = got["next_cursor"]
    raise AssertionError("the feed never ends")


def wait_for(server, count, seconds=30, after=None, **parameters):
    """At least `count` items, read over and over; (items, cursor)."""
    deadline = time.monotonic() + seconds
    items = []
    while True:
        more, after = read(server, after, **parameters)
        items += more
        if len(items) >= count:
            return items, after
        if time.monotonic() > deadline:
            raise AssertionError(f"{len(items)} of {count} notifications within {seconds} s")
        time.sleep(0.02)


def check_item(case, item):
    """A CloudEvent 1.0 that says what a notification must say."""
    case.assertEqual("1.0", item.get("specversion"), item)
    for name in ("id", "source", "type"):
        case.assertIsInstance(item.get(name), str, item)
        case.assertTrue(item[name], item)
    case.assertRegex(item["type"], r"^tidemark\.[a-z]+\.[a-z_]+$")
    if "time" in item:
        case.assertRegex(item["time"], UTC, item)
    if "subject" in item:
        case.assertTrue(isinstance(item["subject"], str) and item["subject"], item)
    for name, value in item.items():
        case.assertRegex(name, NAME, item)
        if name != "data":
            case.assertNotIsInstance(value, (dict, list, type(None)), item)
    if "data" in item and "datacontenttype" in item:
        case.assertIn("json", item["datacontenttype"], item)
    if item["type"].startswith("tidemark.timeout."):
        case.assertIsInstance(item.get("data"), dict, item)
        case.assertIn("subject", item)
        taken = {RETRACTED: "retracted_at", COMPLETED_LATE: "completed_at"}.get(item["type"])
        for name in ("deadline", "fired_at", *([taken] if taken else [])):
            case.assertRegex(item["data"].get(name, ""), UTC, item)
        case.assertEqual(item["time"], item["data"][taken or "fired_at"], item)


def check_feed(case, items):
    """Each item is one, and no id is there twice."""
    for item in items:
        check_item(case, item)
    ids = [item["id"] for item in items]
    case.assertEqual(len(ids), len(set(ids)), "an id is told twice")


class Stream:
    """Server-sent events over a connection of its own."""

    def __init__(self, server, path=FEED, last_event_id=None, seconds=20, **parameters):
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=seconds)
        self.connection.request("GET", with_parameters(path, parameters), headers=headers)
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.content_type = self.response.headers.get("Content-Type", "").split(";")[0]
        self.last_id = last_event_id

    def events(self):
        """(id, event, data) of each event with data; comments are left out. Ends when the connection does."""
        fields = {}
        while True:
            line = self.response.readline()
            if not line:
                return
            line = line.decode().rstrip("\r\n")
            if line:
                name, _, value = line.partition(":")
                value = value[1:] if value.startswith(" ") else value
                if name == "data":
                    value = fields.get("data", "") + ("\n" if "data" in fields else "") + value
                if name:
                    fields[name] = value
                continue
            if "id" in fields:
                self.last_id = fields["id"]
            if "data" in fields:
                yield fields.get("id"), fields.get("event", "message"), fields["data"]
            fields = {}

    def notifications(self, count):
        """So many notifications, each a dictionary; what else the stream tells (progress) is passed over."""
        items = []
        for _, _, data in self.events():
            told = json.loads(data)
            if isinstance(told, dict) and "specversion" in told:
                items.append(told)
                if len(items) == count:
                    return items
        raise AssertionError(f"the stream ended after {len(items)} of {count} notifications")

    def close(self):
        self.response.close()  # it holds the socket as well
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def acknowledge(server, consumer, cursor):
    return server.request("POST", FEED + ":ack", {"consumer": consumer, "cursor": cursor})
