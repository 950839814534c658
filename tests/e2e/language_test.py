#!/usr/bin/env python3
"""What expressions, filters, groups and aggregates of the language come to, one small metric each."""
import itertools
import json
import math
import unittest

from support import cases
from support.events import event

LANG = event("2020-05-06T07:08:09.25Z", "lang", "/lang", "the-id", subject="Sub ject", colour="red",
             data={"n": 7, "m": -2, "f": 2.5, "t": "Hello", "u": "Zürich", "empty": "", "yes": True, "no": False,
                   "nil": None, "list": [10, {"deep": "x"}], "num": "12", "big": 9007199254740993, "lat": 40.64,
                   "lon": -73.78, "tenth": 0.1})

# Expression, value: the maximum over one event.
VALUES = [
    ("data.n", 7), ("data.f", 2.5), ("data.t", "Hello"), ("data.u", "Zürich"), ("data.empty", ""), ("data.nil", None), ("data.missing", None), ("data.missing.more", None), ("data.t.more", None), ("data.list[0]", 10),
    ("data.list[1].deep", "x"), ("data.list[7]", None), ("data.list[0].x", None), ("data.big", 9007199254740993),
    ("id", "the-id"), ("source", "/lang"), ("type", "lang"), ("subject", "Sub ject"), ("colour", "red"), ("nocolour", None),
    ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("data.n + data.m", 5), ("data.n - data.m", 9), ("data.n * data.f", 17.5),
    ("data.n % 4", 3), ("-data.n", -7), ("data.f + 1", 3.5), ("data.tenth + 0.2", 0.3), ("data.n + data.nil", None),
    ("data.n / data.f", 2.8), ("data.n / 0", None), ("data.n % 0", None), ("data.big + 2", 9007199254740995),
    ("data.t || '!'", "Hello!"), ("data.t || data.nil", None), ("'it''s'", "it's"),
    ("lower(data.t)", "hello"), ("upper(data.t)", "HELLO"), ("length(data.u)", 6), ("length(data.empty)", 0),
    ("substr(data.t, 2, 3)", "ell"), ("substr(data.t, 4)", "lo"), ("substr(data.u, 2, 1)", "ü"),
    ("coalesce(data.nil, data.missing, data.n)", 7), ("coalesce(data.nil, data.missing)", None),
    ("abs(data.m)", 2), ("abs(data.f)", 2.5), ("round(2.4)", 2), ("round(-2.6)", -3), ("round(data.f * 10)", 25),
    ("CASE WHEN data.n > 5 THEN 'many' ELSE 'few' END", "many"), ("CASE WHEN data.n > 9 THEN 'many' END", None),
    ("CASE data.t WHEN 'Bye' THEN 1 WHEN 'Hello' THEN 2 ELSE 3 END", 2), ("CASE WHEN data.nil THEN 1 ELSE 2 END", 2),
    ("CAST(data.num AS BIGINT)", 12), ("CAST(data.num AS DOUBLE)", 12), ("CAST(data.n AS TEXT)", "7"),
    ("CAST(data.f AS BIGINT)", (2, 3)), ("CAST(data.yes AS TEXT)", "true"), 
    ("CAST(data.t AS BIGINT)", None), ("CAST(data.nil AS TEXT)", None),
    ("geo_distance(0, 0, 0, 180)", math.pi * 6371008.8), ("geo_distance(0, 0, 90, 0)", math.pi / 2 * 6371008.8),
    ("geo_distance(data.lat, data.lon, data.lat, data.lon)", 0), ("geo_distance(data.lat, data.nil, 0, 0)", None),
    ("geo_distance(data.lat, data.lon, 33.9425, -118.4081)", 3974_000),
]

# Expression and what it comes to: true, false or NULL.
LOGIC = [
    ("data.n > 5", True), ("data.n > 5 AND data.nil", None), ("data.n > 9 AND data.nil", False), ("data.yes OR data.nil", True),
    ("NOT data.no", True), ("NOT data.nil", None), ("data.nil IS NULL", True), ("data.missing IS NOT NULL", False),
    ("data.nil = data.nil", None), ("data.n IN (1, 7)", True), ("data.n IN (1, NULL)", None), ("data.n NOT IN (1, 2)", True),
    ("data.n BETWEEN 7 AND 8", True), ("data.n NOT BETWEEN 7 AND 8", False),
    ("data.t LIKE 'H%o'", True), ("data.t LIKE 'h%'", False), ("data.t LIKE '_ello'", True), ("data.t LIKE 'ell'", False),
    ("data.u LIKE 'Z_rich'", True), ("data.t NOT LIKE '%z%'", True), ("data.t LIKE '%'", True), ("data.empty LIKE '_'", False),
    ("data.n <> 7", False), ("data.t < 'I'", True), ("data.f = 2.50", True), ("data.big = 9007199254740992", False),
]

# A condition and whether the event passes it.
CONDITIONS = [
    ("type = 'lang'", True), ("type <> 'lang'", False), ("data.nil = 1", False), ("NOT (data.nil = 1)", False),
    ("data.yes", True), ("data.no", False), ("data.nil", False), ("source LIKE '/la%'", True), ("subject = 'Sub ject'", True),
    ("time >= '2020-05-06T07:08:09.25Z'", True), ("time < '2020-05-06T09:08:09.25+02:00'", False),
    ("data.t = 7", False), ("data.num = 12", False), ("colour = 'red' AND data.n = 7 OR 1 = 2", True),
    ("1 = 2 AND 1 = 2 OR data.yes", True), ("type = 'LANG'", False), ("data.list IS NOT NULL", True),
]

AGGREGATES = [
    # Aggregate, the values of data.x in order of time, result.
    ("count(*)", [1, None, 2], 3), ("count(data.x)", [1, None, 2], 2), ("count(data.x)", [None], 0),
    ("sum(data.x)", [0.1] * 10, 1), ("sum(data.x)", [1, None, 2], 3), ("sum(data.x)", [None], None),
    ("sum(data.x)", [9007199254740993, 2], 9007199254740995), ("sum(data.x)", [0.123456789, 0.000000001], 0.12345679),
    ("sum(data.x)", [9223372036854775807, 1], 9223372036854775808), ("sum(data.x)", [1e300, 1e300], 2e300),
    ("sum(data.x)", [-5, 5], 0), ("min(data.x)", [3, -1.5, None, 2], -1.5), ("max(data.x)", [3, -1.5, None, 2], 3),
    ("min(data.x)", ["b", "a"], "a"), ("max(data.x)", ["b", "a\u00ff"], "b"), ("min(data.x)", [None], None),
    ("avg(data.x)", [1, 2, None, 6], 3), ("avg(data.x)", [None], None), ("avg(data.x)", [0.1, 0.2], 0.15),
    ("first(data.x)", [5, 4, 6], 5), ("last(data.x)", [5, 4, 6], 6),
    ("stddev_pop(data.x)", [2, 4, 4, 4, 5, 5, 7, 9], 2), ("stddev(data.x)", [2, 4, 4, 4, 5, 5, 7, 9], 2),
    ("stddev_samp(data.x)", [1, 2, 3, 4], math.sqrt(5 / 3)), ("stddev_samp(data.x)", [1], None), ("stddev_pop(data.x)", [1], 0),
    ("count(*) FILTER (WHERE data.x > 1)", [1, 2, 3, None], 2), ("sum(data.x) FILTER (WHERE data.x > 1)", [1, 2, 3], 5),
    ("sum(data.x * 2)", [1, 2], 6), ("count(*) FILTER (WHERE data.x IS NULL)", [1, None], 1),
    ("rate()", [1] * 36, 36 / 3600),
    ("collect(data.x)", [3, 1, 2], [3, 1, 2]), ("approx_count_distinct(data.x)", [1, 1, 2, None], 2),
    ("approx_percentile(data.x, 0.5)", [1, 2, 3], 2), ("approx_top_k(data.x, 2)", ["b", "a", "b", "c"],
                                                        [{"value": "b", "count": 2, "error": 0}, {"value": "a", "count": 1, "error": 0}]),
]


class Expressions(cases.Case):
    """All metrics are made first, then their events are sent once."""

    @classmethod
    def prepare(cls):
        cls.refused = {}
        cls.server.put_source("/hold", watermark="explicit", idle_after="P1D")
        for k, (text, _) in enumerate(VALUES):
            cls.define(f"v{k}", f"SELECT max({text}) AS v {cls.tumble('lang')}")
        for k, (text, _) in enumerate(LOGIC):
            cls.define(f"l{k}", f"SELECT count(*) FILTER (WHERE {text}) AS yes, count(*) FILTER (WHERE NOT ({text})) AS no, "
                       f"count(*) FILTER (WHERE ({text}) IS NULL) AS unknown {cls.tumble('lang')}")
        for k, (text, _) in enumerate(CONDITIONS):
            cls.define(f"c{k}", f"SELECT count(*) AS n {cls.tumble('lang')} AND ({text})")
        events = [LANG]
        for k, (text, values, _) in enumerate(AGGREGATES):
            cls.define(f"a{k}", f"SELECT {text} AS v {cls.tumble(f'a{k}')}")
            made = [event(f"2020-05-06T07:{n:02d}:00Z", f"a{k}", "/a", f"a{k}-{n}", data={} if v is None else {"x": v})
                    for n, v in enumerate(values)]
            events += reversed(made)  # the order of arrival must not matter
        assert cls.server.send(events, "applied").status == 200
        # Closed, so that rate() is over the whole hour.
        assert cls.server.final("/hold").status == 200
        assert cls.server.final("*").status == 200

    @staticmethod
    def tumble(kind):
        return f"FROM TUMBLE(events, time, INTERVAL '1 hour') WHERE type = '{kind}'"

    @classmethod
    def define(cls, name, text):
        reply = cls.server.request("PUT", f"/v1/metrics/{name}", {"sql": text})
        if reply.status not in (200, 201):
            cls.refused[name] = reply.body.decode()

    def row(self, name):
        if "not available yet" in self.refused.get(name, ""):
            self.skipTest(json.loads(self.refused[name])["detail"])
        self.assertNotIn(name, self.refused, self.refused.get(name))
        rows = self.server.values(name)
        self.assertLessEqual(len(rows), 1)
        return rows[0] if rows else {}

    def value(self, name, member="v"):
        return self.row(name).get(member)

    def check_logic(self, k):
        text, wanted = LOGIC[k]
        row = self.row(f"l{k}")
        self.assertEqual((wanted is True, wanted is False, wanted is None), (row["yes"] == 1, row["no"] == 1, row["unknown"] == 1), text)

    def check_same(self, wanted, got, text):
        if isinstance(wanted, tuple):
            self.assertIn(got, wanted, text)
        elif isinstance(wanted, bool) or wanted is None or isinstance(wanted, (str, list)):
            self.assertEqual(json.dumps(wanted), json.dumps(got), text)
        elif text.startswith("geo_distance(data.lat, data.lon, 33"):
            self.assertAlmostEqual(wanted, got, delta=5000)
        elif isinstance(wanted, float) or abs(wanted) >= 2 ** 63:
            self.assertIsInstance(got, (int, float), text)
            self.assertAlmostEqual(wanted, got, delta=1e-12 * abs(wanted), msg=text)
        else:
            self.assertEqual((wanted, False), (got, isinstance(got, (bool, str))), text)

    def check_value(self, k):
        text, wanted = VALUES[k]
        self.check_same(wanted, self.value(f"v{k}"), text)

    def check_condition(self, k):
        text, wanted = CONDITIONS[k]
        self.assertEqual(1 if wanted else None, self.value(f"c{k}", "n"), text)

    def check_aggregate(self, k):
        text, values, wanted = AGGREGATES[k]
        self.check_same(wanted, self.value(f"a{k}"), f"{text} of {values[:5]}")


for _k, (_text, _) in enumerate(VALUES):
    cases.table("check_value", [("value of " + _text, _k)])(Expressions)
for _k, (_text, _) in enumerate(LOGIC):
    cases.table("check_logic", [("truth of " + _text, _k)])(Expressions)
for _k, (_text, _) in enumerate(CONDITIONS):
    cases.table("check_condition", [("where " + _text, _k)])(Expressions)
for _k, (_text, _values, _) in enumerate(AGGREGATES):
    cases.table("check_aggregate", [("aggregate " + _text, _k)])(Expressions)


class Groups(cases.Case):
    @classmethod
    def prepare(cls):
        cls.server.put_source("/hold", watermark="explicit", idle_after="P1D")

    def test_groups_of_every_kind_are_different_groups(self):
        metric = self.name()
        self.server.sql(f"CREATE METRIC {metric} AS SELECT data.g AS g, count(*) AS n "
                        f"FROM TUMBLE(events, time, INTERVAL '1 hour') WHERE type = '{metric}' GROUP BY data.g")
        groups = [1, 1.5, -1, "1", "", "a", "A", True, False, None, "null", "ü", "x" * 200, 9007199254740993, 9007199254740992]
        self.server.send([event(type=metric, data={"g": g} if g is not None else {}) for g in groups], "applied")
        got = [json.dumps(r["g"]) for r in self.server.values(metric)]
        self.assertEqual(sorted(map(json.dumps, groups)), sorted(got))

    def test_equal_numbers_are_one_group(self):
        metric = self.name()
        self.server.sql(f"CREATE METRIC {metric} AS SELECT data.g AS g, count(*) AS n "
                        f"FROM TUMBLE(events, time, INTERVAL '1 hour') WHERE type = '{metric}' GROUP BY data.g")
        texts = [json.dumps(event(type=metric))[:-1] + ',"data":{"g":%s}}' % g for g in ("1", "1.0", "1e0", "10e-1", "0", "-0", "0.0")]
        self.server.send(texts, "applied")
        self.assertEqual([(0, 3), (1, 4)], sorted((r["g"], r["n"]) for r in self.server.values(metric)))

    def test_a_null_and_a_missing_member_are_one_group(self):
        metric = self.name()
        self.server.sql(f"CREATE METRIC {metric} AS SELECT data.g AS g, count(*) AS n "
                        f"FROM TUMBLE(events, time, INTERVAL '1 hour') WHERE type = '{metric}' GROUP BY data.g")
        self.server.send([event(type=metric, data={"g": None}), event(type=metric, data={}), event(type=metric)], "applied")
        self.assertEqual([(None, 3)], [(r["g"], r["n"]) for r in self.server.values(metric)])

    def test_windows_before_1970_and_of_calendar_length(self):
        times = {"1969-12-31T23:59:59.999999Z": ("1969-12-31T23:00:00Z", "1969-12-31T00:00:00Z", "1969-12-29T00:00:00Z",
                                                  "1969-12-01T00:00:00Z", "1969-01-01T00:00:00Z"),
                 "2020-02-29T12:00:00Z": ("2020-02-29T12:00:00Z", "2020-02-29T00:00:00Z", "2020-02-24T00:00:00Z",
                                          "2020-02-01T00:00:00Z", "2020-01-01T00:00:00Z"),
                 "2021-01-03T23:59:59Z": ("2021-01-03T23:00:00Z", "2021-01-03T00:00:00Z", "2020-12-28T00:00:00Z",
                                          "2021-01-01T00:00:00Z", "2021-01-01T00:00:00Z")}
        refused = []
        for k, size in enumerate(("1 hour", "1 day", "1 week", "1 month", "1 year")):
            metric = self.name()
            text = (f"CREATE METRIC {metric} AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '{size}') "
                    f"WHERE type = '{metric}'")
            reply = self.server.request("POST", "/v1/sql", text, content_type="text/plain")
            if "not available yet" in reply.body.decode():
                refused.append(reply.json["detail"])
                continue
            self.server.send([event(t, metric) for t in times], "applied")
            self.assertEqual(sorted({starts[k] for starts in times.values()}),
                             sorted(r["window_start"] for r in self.server.values(metric)), size)
        if refused:
            self.skipTest(refused[0])

    def test_other_ways_to_write_the_same(self):
        for source in ("TUMBLE(events, time, INTERVAL '5' MINUTE)", "tumble(EVENTS, TIME, interval '5 minutes')",
                       "TABLE(TUMBLE(TABLE events, DESCRIPTOR(time), INTERVAL '5' MINUTES))",
                       "TUMBLE(events, time, INTERVAL '300 seconds')"):
            metric = self.name()
            self.server.sql(f"create metric {metric} as select count(*) as n -- a comment\nfrom {source} "
                            f"/* another */ where type = '{metric}' group by window_start, window_end;"
                            if source.startswith("TABLE") else
                            f"create metric {metric} as select count(*) as n -- a comment\nfrom {source} where type = '{metric}'")
            self.server.send([event("2020-01-01T00:07:00Z", metric)], "applied")
            self.assertEqual(["2020-01-01T00:05:00Z"], [r["window_start"] for r in self.server.values(metric)], source)

    def test_a_definition_again_is_fine_and_a_dropped_one_is_gone(self):
        metric = self.name()
        text = f"CREATE METRIC {metric} AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 hour') WHERE type = '{metric}'"
        self.server.sql(text)
        self.server.send([event(type=metric)], "applied")
        self.server.sql(text)
        self.assertEqual([1], [r["n"] for r in self.server.values(metric)])
        self.server.sql(f"DROP METRIC {metric}")
        self.assertEqual(404, self.server.request("GET", f"/v1/metrics/{metric}").status)
        self.server.sql(text)
        self.server.send([event(type=metric), event(type=metric)], "applied")
        self.assertEqual([2], [r["n"] for r in self.server.values(metric)])

    def test_show_and_explain(self):
        metric = self.name()
        self.server.sql(f"CREATE METRIC {metric} AS SELECT count(*) AS n FROM TUMBLE(events, time, INTERVAL '1 hour')")
        self.assertIn(metric, self.server.sql("SHOW METRICS").body.decode())
        reply = self.server.request("POST", "/v1/sql", f"EXPLAIN METRIC {metric};", content_type="text/plain")
        if "not available yet" in reply.body.decode():
            self.skipTest(reply.json["detail"])
        self.assertIn(metric, reply.body.decode())


if __name__ == "__main__":
    cases.main()
