#!/usr/bin/env python3
"""Reading: values with their filters, order, cursors and tokens, the raw log, late events, fates."""
import json
import random
import threading
import unittest
from collections import Counter
from datetime import datetime, timezone

from support import cases
from support.events import event, text_time
from support.server import Server, quoted

SEED = 20130101
BASE = datetime(2020, 6, 1, tzinfo=timezone.utc)


def hour(n):
    return f"2020-06-01T{n:02d}:00:00Z"


class Rows(cases.Case):
    """Ten hours, seven places, known counts."""

    @classmethod
    def prepare(cls):
        print(f"seed {SEED}", flush=True)
        draw = random.Random(SEED)
        server = cls.server
        server.put_source("/hold", watermark="explicit", idle_after="P1D")
        server.sql("CREATE METRIC places AS SELECT data.place AS place, data.floor AS floor, count(*) AS visits, "
                   "sum(data.cost) AS cost, avg(data.cost) AS mean, min(data.cost) AS low, max(data.cost) AS high "
                   "FROM TUMBLE(events, time, INTERVAL '1 hour') WHERE type = 'visit' "
                   "GROUP BY data.place, data.floor")
        cls.sent = []
        for k in range(700):
            data = {"place": draw.choice(["ATL", "BOS", "Zürich", "a&b=c", "", "x y", None]),
                    "floor": draw.choice([1, 2]), "cost": draw.randrange(-100, 1000) / 10}
            cls.sent.append(event(text_time(draw.randrange(36_000_000) / 1000, BASE), "visit", "/shop", f"v{k}",
                                  data=data))
        assert server.send(cls.sent, "applied").status == 200
        # Eight of the ten hours are over.
        assert server.watermark("/hold", time=hour(8)).status == 200
        assert server.send([event("2020-06-01T12:00:00Z", "other", "/shop", "last")], "applied").status == 200
        cls.rows = {}
        for e in cls.sent:
            key = (e["time"][:13] + ":00:00Z", e["data"]["place"], e["data"]["floor"])
            cls.rows.setdefault(key, []).append(e["data"]["cost"])

    def values(self, **parameters):
        return self.server.values("places", **parameters)

    def key(self, row):
        return row["window_start"], row["place"], row["floor"]

    def check_rows(self, wanted, rows):
        self.assertEqual(sorted(wanted, key=repr), sorted(map(self.key, rows), key=repr))

    def test_all_rows_with_all_columns(self):
        rows = self.values()
        self.check_rows(self.rows, rows)
        for row in rows:
            costs = self.rows[self.key(row)]
            tenths = [round(c * 10) for c in costs]
            self.assertEqual((len(costs), min(costs), max(costs)), (row["visits"], row["low"], row["high"]))
            self.assertEqual(sum(tenths) / 10, row["cost"])
            self.assertAlmostEqual(sum(tenths) / 10 / len(costs), row["mean"], delta=1e-9 * 100)
            start = datetime.fromisoformat(row["window_start"].replace("Z", "+00:00"))
            end = datetime.fromisoformat(row["window_end"].replace("Z", "+00:00"))
            self.assertEqual(3600, (end - start).total_seconds())
            self.assertEqual((row["window_start"] < hour(8),) * 2, (row["closed"], row["final"]), row)
            self.assertEqual(0, row["revision"])

    def test_the_frame_of_the_answer(self):
        answer = self.server.get("/v1/metrics/places/values", limit=1)
        self.assertEqual({"metric", "watermark", "as_of", "items", "next_cursor"}, set(answer))
        self.assertEqual(("places", hour(8)), (answer["metric"], answer["watermark"]))
        self.assertEqual(1, len(answer["items"]))
        self.assertIsInstance(answer["next_cursor"], str)
        self.assertIsInstance(answer["as_of"], str)

    def test_a_filter_by_group(self):
        for place in ("ATL", "Zürich", "a&b=c", "x y"):
            self.check_rows([k for k in self.rows if k[1] == place], self.values(place=place))
        self.check_rows([k for k in self.rows if not k[1]], self.values(place=""))  # the empty text, or none
        self.check_rows([k for k in self.rows if k[2] == 2], self.values(floor=2))
        self.check_rows([k for k in self.rows if k[1:] == ("ATL", 1)], self.values(place="ATL", floor=1))
        self.check_rows([], self.values(place="atl"))

    def test_a_span_of_time(self):
        self.check_rows([k for k in self.rows if hour(3) <= k[0] < hour(5)], self.values(**{"from": hour(3), "to": hour(5)}))
        self.check_rows([k for k in self.rows if k[0] >= hour(9)], self.values(**{"from": hour(9)}))
        self.check_rows([k for k in self.rows if k[0] < hour(1)], self.values(to=hour(1)))
        self.check_rows([k for k in self.rows if hour(3) <= k[0] < hour(4)],
                        self.values(**{"from": "2020-06-01T05:00:00+02:00", "to": "2020-05-31T23:00:00-05:00"}))
        self.check_rows([], self.values(**{"from": hour(10)}))

    def test_final_rows_and_the_latest_window(self):
        self.check_rows([k for k in self.rows if k[0] < hour(8)], self.values(final="true"))
        self.check_rows([k for k in self.rows if k[0] == hour(9)], self.values(window="latest"))
        self.check_rows([k for k in self.rows if k[0] == hour(7)], self.values(window="latest_final"))
        self.check_rows([k for k in self.rows if k[0] == hour(9) and k[1] == "BOS"],
                        self.values(window="latest", place="BOS"))

    def test_order(self):
        for column in ("visits", "cost", "mean", "place", "window_start", "high"):
            up = [r[column] for r in self.values(order_by=column)]
            down = [r[column] for r in self.values(order_by="-" + column)]
            self.assertEqual(len(self.rows), len(up))
            known = [v for v in up if v is not None]
            self.assertEqual(sorted(known, key=lambda v: v.encode() if isinstance(v, str) else v), known, column)
            known_down = [v for v in down if v is not None]
            self.assertEqual(known[::-1], known_down, column)

    def test_a_walk_by_cursor_gives_each_row_once(self):
        whole = self.values()
        for limit in (1, 7, len(whole) - 1, len(whole), 1000):
            for order in (None, "-visits", "place"):
                parameters = {"limit": limit, **({"order_by": order} if order else {})}
                if limit == 1 and order:
                    continue
                walked = self.values(**parameters)
                self.assertEqual(len(self.rows), len(walked), parameters)
                self.check_rows(self.rows, walked)

    def test_a_walk_with_a_filter(self):
        wanted = [k for k in self.rows if k[1] == "ATL"]
        self.check_rows(wanted, self.values(place="ATL", limit=3, order_by="-cost"))

    def test_the_same_question_has_the_same_answer_and_304(self):
        path = "/v1/metrics/places/values?place=ATL"
        first = self.server.request("GET", path)
        self.assertEqual("no-cache", first.headers["cache-control"])
        tag = first.headers["etag"]
        self.assertRegex(tag, r'^(W/)?"[^"]+"$')
        again = self.server.request("GET", path, headers={"If-None-Match": tag})
        self.assertEqual((304, b""), (again.status, again.body))
        self.assertEqual(tag, again.headers.get("etag"))
        self.assertEqual(304, self.server.request("GET", path, headers={"If-None-Match": f'"x", {tag}'}).status)
        self.assertEqual(304, self.server.request("GET", path, headers={"If-None-Match": "*"}).status)
        self.assertEqual(200, self.server.request("GET", path, headers={"If-None-Match": '"x"'}).status)
        other = self.server.request("GET", "/v1/metrics/places/values?place=BOS", headers={"If-None-Match": tag})
        self.assertEqual(200, other.status)

    def test_head_is_get_without_a_body(self):
        reply = self.server.request("HEAD", "/v1/metrics/places/values?place=ATL")
        self.assertIn(reply.status, (200, 405))
        self.assertEqual(b"", reply.body)

    def test_what_a_metric_says_of_itself(self):
        mine = self.server.get("/v1/metrics/places")
        self.assertEqual("places", mine["name"])
        self.assertIn("data.place", json.dumps(mine))
        self.assertIn("version", mine)
        self.assertIn("places", [m["name"] for m in self.server.walk("/v1/metrics", limit=1)])

    def test_the_raw_log_by_every_filter(self):
        stored = self.server.walk("/v1/events", limit=250)
        self.assertEqual(len(self.sent) + 1, len(stored))
        mine = {e["id"]: e for e in stored}
        for e in self.sent:
            got = {k: v for k, v in mine[e["id"]].items() if k in e}
            self.assertEqual({**e, "time": None}, {**got, "time": None})
            same = (datetime.fromisoformat(x["time"].replace("Z", "+00:00")) for x in (e, got))
            self.assertEqual(next(same), next(same))
        self.assertEqual(["last"], [e["id"] for e in self.server.walk("/v1/events", type="other")])
        self.assertEqual([], self.server.walk("/v1/events", source="/nowhere"))
        span = self.server.walk("/v1/events", **{"from": hour(2), "to": hour(3), "source": "/shop"})
        self.assertEqual(sorted(e["id"] for e in self.sent if hour(2)[:13] == e["time"][:13]), sorted(e["id"] for e in span))


class ReadBack(cases.Case):
    @classmethod
    def prepare(cls):
        # It never says a word, so the watermark doesn't move and no event is late.
        cls.server.put_source("/hold", watermark="explicit", idle_after="P1D")

    def test_events_are_read_back_as_they_were_sent(self):
        source = "/back \u20ac%2F"
        sent = [
            event(source=source, id="plain", subject="a b"),
            event(source=source, id="d1", data={"a": [1, 2.5, -0.0, 1e300, None, True, {"b": "\u0000\U0001f600\"\\/"}], "": {}}),
            event(source=source, id="d3", data="text"),
            event(source=source, id="d4", data=17), event(source=source, id="d5", data=[]),
            event(source=source, id="d6", data=False, datacontenttype="application/json"),
            event(source=source, id="d7", data="<a/>", datacontenttype="text/xml"),
            event(source=source, id="d8", data_base64="AAEC/w==", datacontenttype="application/octet-stream"),
            event(source=source, id="x1", traceparent="00-ab", number=-5, flag=False, dataschema="https://x.example/s"),
            event(source=source, id="id \u20ac \"quoted\" \\ /", type="t \u20ac", subject="\U0001f600"),
            event(source=source, id="n" * 1000, data={"big": 9007199254740993, "wide": "x" * 100_000}),
        ]
        self.assertEqual(200, self.server.send(sent, "applied").status)
        stored = self.server.walk("/v1/events", source=source, limit=5)
        self.assertEqual([e["id"] for e in sent], [e["id"] for e in stored])
        for ours, theirs in zip(sent, stored):
            for member, value in ours.items():
                self.assertEqual(json.dumps(value, sort_keys=True), json.dumps(theirs.get(member, "missing"), sort_keys=True),
                                 f"{member} of {ours['id'][:20]}")
            extra = set(theirs) - set(ours) - {"arrival_time", "datacontenttype"}
            self.assertEqual(set(), extra, ours["id"][:20])
        self.assertEqual(["plain"], [e["id"] for e in self.server.walk("/v1/events", subject="a b", source=source)])

    def test_data_that_is_null_is_still_data(self):
        source = self.name("/null")
        self.assertEqual(200, self.server.send([event(source=source, data=None), event(source=source)], "applied").status)
        self.assertEqual([True, False], ["data" in e for e in self.server.walk("/v1/events", source=source)])

    def test_tokens_give_read_your_writes(self):
        metric = self.name()
        source = self.name("/ryw")
        self.server.sql(f"CREATE METRIC {metric} AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day') "
                        f"WHERE source = '{source}'")
        for k in range(100):
            reply = self.server.send([event(source=source)])
            self.assertEqual(200, reply.status)
            page = self.server.get(f"/v1/metrics/{metric}/values", min_as_of=reply.headers["tidemark-as-of"])
            self.assertEqual([k + 1], [r["n"] for r in page["items"]])
            again = self.server.get(f"/v1/metrics/{metric}/values", min_as_of=page["as_of"])
            self.assertEqual([k + 1], [r["n"] for r in again["items"]])

    def test_what_was_acknowledged_as_applied_is_seen_without_a_token(self):
        metric = self.name()
        self.server.sql(f"CREATE METRIC {metric} AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day') "
                        f"WHERE type = '{metric}'")
        for k in range(100):
            self.assertEqual(200, self.server.send([event(type=metric)], "applied").status)
            page = self.server.get(f"/v1/metrics/{metric}/values")
            self.assertEqual([k + 1], [r["n"] for r in page["items"]])

    def test_a_changed_row_has_another_tag(self):
        metric = self.name()
        self.server.sql(f"CREATE METRIC {metric} AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 day') "
                        f"WHERE type = '{metric}'")
        path = f"/v1/metrics/{metric}/values"
        tags = []
        for k in range(5):
            now = text_time()
            self.assertEqual(200, self.server.send([event(now, metric)], "applied").status)
            reply = self.server.request("GET", path, headers={"If-None-Match": tags[-1] if tags else '"x"'})
            self.assertEqual(200, reply.status, reply)
            self.assertEqual(k + 1, sum(r["n"] for r in reply.json["items"]))
            tags.append(reply.headers["etag"])
        self.assertEqual(5, len(set(tags)))

    def test_counts_never_go_down_between_reads(self):
        metric = self.name()
        self.server.sql(f"CREATE METRIC {metric} AS SELECT data.k AS k, count(*) AS n "
                        f"FROM TUMBLE(events, time, INTERVAL '1 day') WHERE type = '{metric}' GROUP BY data.k")
        stop = threading.Event()
        problems = []
        reads = []

        def read():
            mine = self.server.client()
            best = Counter()
            while not stop.is_set():
                page = mine.values(metric)
                for row in page:
                    key = row["k"], row["window_start"], row["revision"]
                    if row["n"] < best[key]:
                        problems.append((key, best[key], row["n"]))
                    best[key] = row["n"]
                if len({(r["k"], r["window_start"]) for r in page}) != len(page):
                    problems.append("a row twice in one read")
                reads.append(len(page))
            mine.close()
        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for _ in range(100):
            self.assertEqual(200, self.server.send([event(type=metric, data={"k": k}) for k in range(20)]).status)
        self.server.send([event(type="nudge")], "applied")
        stop.set()
        for reader in readers:
            reader.join()
        self.assertEqual([], problems[:5])
        self.assertGreater(len(reads), 5)
        self.assertEqual([100] * 20, [r["n"] for r in self.server.values(metric)])

    def check_walks(self, server):
        metric = self.name()
        server.sql(f"CREATE METRIC {metric} AS SELECT data.a AS a, data.b AS b, count(*) AS n "
                   f"FROM TUMBLE(events, time, INTERVAL '1 hour') WHERE type = '{metric}' GROUP BY data.a, data.b")
        groups = [(a, b) for a in ("k", "z", "", "zz", "a10", "a9", 5, 10, -1, 2.5, None, True)
                  for b in ("c", "dd", "b", 7, None)]
        server.send([event(type=metric, data={"a": a, "b": b}) for a, b in groups], "applied")
        for limit in (1000, 17, 5, 1):
            for order in (None, "a", "-b", "n", "-n"):
                rows = server.values(metric, limit=limit, **({"order_by": order} if order else {}))
                self.assertEqual(sorted(map(repr, groups)), sorted(repr((r["a"], r["b"])) for r in rows), (limit, order))

    def test_a_walk_over_groups_of_different_lengths_and_kinds(self):
        self.check_walks(self.server)

    def test_a_walk_over_groups_of_different_lengths_and_kinds_with_one_thread(self):
        with Server(1, 1) as server:
            self.check_walks(server)

    def test_rows_of_a_moving_metric_are_walked_without_a_row_twice(self):
        metric = self.name()
        self.server.sql(f"CREATE METRIC {metric} AS SELECT data.k AS k, count(*) AS n "
                        f"FROM TUMBLE(events, time, INTERVAL '1 day') WHERE type = '{metric}' GROUP BY data.k")
        self.server.send([event(type=metric, data={"k": k}) for k in range(200)], "applied")
        seen = []
        cursor = None
        while True:
            page = self.server.get(f"/v1/metrics/{metric}/values", limit=10, **({"cursor": cursor} if cursor else {}))
            seen += [r["k"] for r in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
            self.server.send([event(type=metric, data={"k": k}) for k in range(0, 200, 3)], "applied")
        self.assertEqual(list(range(200)), sorted(seen))


class LateAndFate(unittest.TestCase):
    """One server for one story: what came in time, late with and without lateness, twice, or not at all."""

    @classmethod
    def setUpClass(cls):
        cls.server = server = Server(partitions=4, threads=2)
        cls.addClassCleanup(server.discard)
        server.start()
        server.sql("CREATE METRIC strict AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute') "
                   "WHERE type = 'tick'")
        server.sql("CREATE METRIC patient AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 minute') "
                   "WHERE type = 'tick' ALLOW LATENESS INTERVAL '1 hour'")
        cls.answers = [server.send([event(time, "tick", "/clock", id_)], "applied").json for id_, time in (
            ("first", "2020-01-01T00:00:10Z"),      # counted; W = 00:00:05
            ("next", "2020-01-01T00:01:04.999999Z"),  # counted; W = 00:00:59.999999
            ("edge", "2020-01-01T00:00:59Z"),       # the window isn't closed yet: counted
            ("close", "2020-01-01T00:01:05Z"),      # counted; W = 00:01:00
            ("late", "2020-01-01T00:00:59.5Z"),     # too late for strict, corrects patient
            ("far", "2020-01-01T02:00:00Z"),        # counted; W = 01:59:55
            ("older", "2020-01-01T00:58:00Z"),      # W - end = 1:00:55: too late for both
            ("younger", "2020-01-01T00:59:10Z"),    # its window's end + 1 h = 02:00 > W: corrects patient
            ("first", "2020-01-01T00:00:10Z"),      # again
        )]
        server.send([event("2020-01-01T02:00:01Z", "other", "/clock", "filtered")], "applied")

    def fate(self, id_, source="/clock"):
        answer = self.server.get("/v1/events/fate", source=source, id=id_)
        return answer["ingest"], {m["name"]: (m["fate"], m.get("window_start")) for m in answer["metrics"]}

    def test_what_was_said_at_ingest(self):
        self.assertEqual([(1, 0)] * 9, [(a["accepted"], len(a["rejected"])) for a in self.answers])
        self.assertEqual([0] * 8 + [1], [a["duplicates"] for a in self.answers])
        self.assertEqual(0, self.answers[0]["late"] + self.answers[2]["late"] + self.answers[5]["late"])
        self.assertEqual(1, self.answers[6]["late"])

    def test_rows_and_their_revisions(self):
        def rows(metric):
            return {r["window_start"]: (r["n"], r["revision"], r["closed"], r["final"]) for r in self.server.values(metric)}
        self.assertEqual({"2020-01-01T00:00:00Z": (2, 0, True, True), "2020-01-01T00:01:00Z": (2, 0, True, True),
                          "2020-01-01T02:00:00Z": (1, 0, False, False)}, rows("strict"))
        patient = rows("patient")
        self.assertEqual((3, 1), patient["2020-01-01T00:00:00Z"][:2])
        self.assertEqual((1, True, False), (patient["2020-01-01T00:59:00Z"][0], *patient["2020-01-01T00:59:00Z"][2:]))
        self.assertEqual(4, len(patient))

    def test_fates(self):
        first = "2020-01-01T00:00:00Z"
        self.assertEqual(("counted", first), self.fate("edge")[1]["strict"])
        self.assertEqual(("accepted", {"strict": ("counted", first), "patient": ("counted", first)}), self.fate("edge"))
        self.assertEqual(("accepted", {"strict": ("late_dropped", first), "patient": ("late_corrected", first)}),
                         self.fate("late"))
        older = "2020-01-01T00:58:00Z"
        self.assertEqual(("accepted", {"strict": ("late_dropped", older), "patient": ("late_dropped", older)}),
                         self.fate("older"))
        self.assertEqual("late_corrected", self.fate("younger")[1]["patient"][0])
        ingest, metrics = self.fate("filtered")
        self.assertEqual(("accepted", {"strict": "filtered", "patient": "filtered"}),
                         (ingest, {k: v[0] for k, v in metrics.items()}))
        self.assertEqual("unknown", self.fate("never sent")[0])
        self.assertEqual("unknown", self.fate("first", source="/other")[0])
        self.assertIn(self.fate("first")[0], ("accepted", "duplicate"))

    def test_the_fates_of_all_add_up(self):
        self.assertEqual({"counted": 5, "filtered": 1, "late_corrected": 0, "late_dropped": 3},
                         self.server.get("/v1/metrics/strict")["counts"])
        self.assertEqual({"counted": 5, "filtered": 1, "late_corrected": 2, "late_dropped": 1},
                         self.server.get("/v1/metrics/patient")["counts"])

    def test_the_late_stream(self):
        late = self.server.walk("/v1/late", limit=1)
        ids = [e.get("id") or e.get("event", {}).get("id") for e in late]
        self.assertEqual({"late", "older", "younger"}, set(ids), late)

    def test_the_watermark_and_who_holds_it(self):
        answer = self.server.get("/v1/watermark")
        self.assertEqual("2020-01-01T01:59:56Z", answer["watermark"])
        self.assertIsInstance(answer["held_by"], list)
        self.assertIsInstance(answer["lanes"], list)

    def test_metrics_for_prometheus_add_up(self):
        text = self.server.request("GET", "/metrics").body.decode()
        self.assertRegex(text, r"(?m)^# TYPE tidemark_\w+ counter$")
        for line in text.splitlines():
            if line and not line.startswith("#"):
                self.assertRegex(line, r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^}]*\})? [-+0-9.eE]+(Inf|NaN)?$')

    def test_the_rest_of_the_house(self):
        self.assertEqual(200, self.server.request("GET", "/healthz").status)
        info = self.server.get("/v1/info")
        self.assertEqual(4, info["partitions"])
        self.assertIn("version", info)
        self.assertIn("dedup_horizon", json.dumps(info))
        self.assertTrue(self.server.get("/openapi.json")["openapi"].startswith("3."))


if __name__ == "__main__":
    cases.main()
