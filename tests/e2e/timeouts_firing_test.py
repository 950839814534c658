#!/usr/bin/env python3
"""Explicit timeouts of the processing clock fire once and never early: in races, in crowds, through kills."""
import http.client
import random
import threading
import time

from support import cases, notes, timeouts
from support.events import text_time
from support.replay import check_replays
from support.timeouts import TIMEOUTS, act, another, create, current_of, fired_at, get, path, post_batch, results
from support.totals import thinned
from truth_lib import time_text, time_us


class Firing(timeouts.Case):
    """The processing clock: each fires once, and never early."""

    def test_it_fires_once_at_its_deadline_with_all_that_is_known(self):
        made = self.made(within="PT0.4S", data={"marker": "blue-17"})
        item = self.check_fired(made["key"], made["deadline"])
        self.assertIn("blue-17", str(item) + str(get(self.server, made["key"])))
        self.assertEqual(item["data"]["fired_at"], get(self.server, made["key"]).get("fired_at", item["data"]["fired_at"]))

    def test_after_the_firing_all_are_told_that_it_fired_and_when(self):
        made = self.made(within="PT0.1S")
        item = self.check_fired(made["key"], made["deadline"])
        for action in ("complete", "cancel", "heartbeat"):
            problem = self.check_problem(act(self.server, made["key"], action), 409, kind="already-fired")
            self.assertEqual(time_us(item["data"]["fired_at"]), fired_at(problem))
        problem = self.check_problem(create(self.server, made["key"]), 409)
        self.assertEqual("fired", current_of(problem)["state"])
        self.assertEqual("fired", get(self.server, made["key"])["state"])
        self.check_never_fired()
        self.fired(made["key"])

    def test_a_deadline_in_the_past_is_born_late_and_fires_at_once(self):
        for deadline in ("2001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", text_time(-0.5)):
            made = self.made(deadline=deadline)
            self.assertIs(True, made["born_late"], made)
            item = self.fired(made["key"])
            self.assertEqual(time_us(deadline), time_us(item["data"]["deadline"]))
            self.assertEqual("fired", get(self.server, made["key"])["state"])

    def test_heartbeats_keep_it_from_firing(self):
        made = self.made(within="PT2S")
        kept = made["deadline"]
        begin = time.monotonic()
        while time.monotonic() - begin < 3:
            reply = act(self.server, made["key"], "heartbeat")
            if reply.status == 409:  # a machine that slept: then it must be so late
                self.assertGreaterEqual(fired_at(reply.json), time_us(kept))
                return
            self.assertEqual(200, reply.status, reply)
            kept = reply.json["deadline"]
            time.sleep(0.2)
        self.assertEqual([], notes.read(self.server, subject=made["key"])[0])
        self.check_fired(made["key"], kept)

    def test_a_heartbeat_may_bring_the_deadline_nearer(self):
        made = self.made(within="PT1H")
        moved = act(self.server, made["key"], "heartbeat", extend="PT0.2S").json
        self.check_fired(made["key"], moved["deadline"])

    def test_ended_ones_never_fire(self):
        keys = []
        for n in range(20):
            made = self.made(within="PT1S")
            reply = act(self.server, made["key"], ("complete", "cancel")[n % 2])
            if reply.status == 200:  # else the machine slept for a second
                keys.append(made["key"])
        self.assertGreater(len(keys), 0)
        time.sleep(1.1)
        self.check_never_fired(*keys)

    def test_what_was_replaced_in_time_fires_only_anew(self):
        key = self.made(within="PT2S")["key"]
        reply = create(self.server, key, within="PT3S", on_exists="replace")
        if reply.json["generation"] == 2 and not notes.read(self.server, subject=key)[0]:
            self.check_fired(key, reply.json["deadline"])

    def test_each_generation_fires_for_itself(self):
        made = self.made(within="PT0.05S")
        self.check_fired(made["key"], made["deadline"])
        again = create(self.server, made["key"], within="PT0.05S", on_exists="replace")
        self.assertEqual((201, 2), (again.status, again.json["generation"]), again)
        items, _ = notes.wait_for(self.server, 2, subject=made["key"])
        notes.check_feed(self, items)
        self.assertEqual([made["deadline"], again.json["deadline"]], [item["data"]["deadline"] for item in items])

    def test_of_a_completion_and_the_deadline_exactly_one_wins(self):
        keys = [self.name("race") for _ in range(thinned(200, 2000))]
        replies = {}
        begin = time_us(text_time())
        deadlines = {}
        made = results(post_batch(self.server, [{"op": "create", "key": key, "deadline": time_text(begin + 1_000_000 +
                                                                                                n * 2_000)}
                                                for n, key in enumerate(keys)]))
        for one in made:
            deadlines[one["key"]] = one["deadline"]

        def work(part):
            client = another(self.server)
            for key in part:
                time.sleep(max(0, (time_us(deadlines[key]) - time_us(text_time())) / 1e6))
                replies[key] = act(client, key, "complete")
            client.close()
        threads = [threading.Thread(target=work, args=(keys[n::4],)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        fired = {key: reply for key, reply in replies.items() if reply.status != 200}
        print(f"race: {len(fired)} of {len(keys)} fired first", flush=True)
        items, _ = notes.read(self.server, type=notes.FIRED)
        told = [item["subject"] for item in items if item["subject"] in replies]
        self.assertEqual(sorted(fired), sorted(told))
        for key, reply in replies.items():
            state = get(self.server, key)["state"]
            if key in fired:
                problem = self.check_problem(reply, 409, kind="already-fired")
                self.assertGreaterEqual(fired_at(problem), time_us(deadlines[key]), "early")
                self.assertEqual("fired", state)
            else:
                self.assertEqual(("completed", "completed"), (reply.json["state"], state))

    def test_many_due_in_one_instant(self):
        count = thinned(10_000, 100_000)
        stem = self.name("instant")
        deadline = time_text(time_us(text_time(thinned(4, 30))))
        _, cursor = notes.read(self.server)
        for at in range(0, count, 10_000):
            got = results(post_batch(self.server, [{"op": "create", "key": f"{stem}-{n}", "deadline": deadline}
                                                   for n in range(at, at + 10_000)]))
            self.assertEqual({201}, {one.get("status") for one in got})
        items, _ = notes.wait_for(self.server, count, 120, cursor, type=notes.FIRED)
        notes.check_feed(self, items)
        self.assertEqual({f"{stem}-{n}" for n in range(count)}, {item["subject"] for item in items})
        self.assertEqual(count, len(items))
        for item in items:
            self.assertGreaterEqual(time_us(item["data"]["fired_at"]), time_us(deadline), "early")
        self.assertEqual(count, len(self.server.walk(TIMEOUTS, prefix=stem, state="fired", limit=1000)))


class Restarts(timeouts.Case):
    """Stops and kills between a creation and its firing."""

    def all_fired(self, deadlines):
        """Each of these fired exactly once, none early."""
        def read():
            items, _ = notes.read(self.server, type=notes.FIRED)
            return [item for item in items if item["subject"] in deadlines]
        self.eventually(lambda: len(read()) >= len(deadlines), 60, "all firings")
        items = read()
        notes.check_feed(self, items)
        self.assertEqual(sorted(deadlines), sorted(item["subject"] for item in items))
        for item in items:
            self.assertEqual(deadlines[item["subject"]], item["data"]["deadline"])
            self.assertGreaterEqual(time_us(item["data"]["fired_at"]), time_us(item["data"]["deadline"]), "early")
        return items

    def test_a_deadline_that_passes_while_it_is_down_fires_after_the_start(self):
        for end in (self.server.stop, self.server.kill9):
            made = [self.made(within="PT0.5S") for _ in range(5)]
            end()
            time.sleep(0.7)
            self.server.start()
            self.all_fired({one["key"]: one["deadline"] for one in made})

    def test_a_deadline_beyond_the_restart_is_kept(self):
        for end in (self.server.stop, self.server.kill9):
            made = [self.made(within="PT3S") for _ in range(5)]
            end()
            self.server.start()
            for one in made:
                there = get(self.server, one["key"])
                self.assertEqual((one["deadline"], one["created"], 1), (there["deadline"], there["created"],
                                                                       there["generation"]))
            self.all_fired({one["key"]: one["deadline"] for one in made})

    def test_what_was_decided_is_still_decided(self):
        for end in (self.server.stop, self.server.kill9):
            a, b, c, d = (self.made(within="P1D")["key"] for _ in range(4))
            act(self.server, a, "complete")
            act(self.server, b, "cancel")
            act(self.server, c, "heartbeat", extend="P2D")
            create(self.server, d, within="P3D", on_exists="replace")
            early = self.name("early")
            act(self.server, early, "complete")
            before = [get(self.server, key) for key in (a, b, c, d)]
            tags = [self.server.request("GET", path(key)).headers["etag"] for key in (a, b, c, d)]
            end()
            self.server.start()
            self.assertEqual(before, [get(self.server, key) for key in (a, b, c, d)])
            self.assertEqual(tags, [self.server.request("GET", path(key)).headers["etag"] for key in (a, b, c, d)])
            reply = create(self.server, early)
            self.assertEqual((201, "completed"), (reply.status, reply.json["state"]))
            self.check_problem(act(self.server, d, "complete", generation=1), 412)

    def test_what_fired_does_not_fire_again_after_any_end(self):
        made = [self.made(within="PT0.05S") for _ in range(20)]
        deadlines = {one["key"]: one["deadline"] for one in made}
        items = self.all_fired(deadlines)
        for end in (self.server.kill9, self.server.stop, self.server.kill9):
            end()
            self.server.start()
            self.assertEqual(items, self.all_fired(deadlines))
            self.check_problem(act(self.server, made[0]["key"], "complete"), 409, kind="already-fired")

    def test_the_log_gives_the_same_state_again(self):
        deadlines = {one["key"]: one["deadline"] for one in (self.made(within="PT0.05S") for _ in range(10))}
        kept = self.made(within="P1D")["key"]
        act(self.server, kept, "heartbeat", extend="P2D")
        self.all_fired(deadlines)
        self.assertEqual(0, self.server.stop())
        check_replays(self, self.server.data)
        self.server.start()
        self.all_fired(deadlines)
        self.assertEqual("pending", get(self.server, kept)["state"])

    def test_kills_at_any_moment(self):
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"seed {seed}", flush=True)
        draw = random.Random(seed)
        deadlines = {}
        for _ in range(thinned(4, 40)):
            keys = [self.name("kill") for _ in range(50)]
            got = results(post_batch(self.server, [{"op": "create", "key": key, "within": f"PT{0.001 + draw.random() * 1.5:.3f}S"}
                                                   for key in keys]))
            self.assertEqual([], [one for one in got if one["status"] != 201])
            deadlines.update({one["key"]: one["deadline"] for one in got})
            seen = []

            def read():
                try:
                    while True:
                        seen[:] = [item["id"] for item in notes.read(reader, type=notes.FIRED)[0]]
                except (AssertionError, OSError, http.client.HTTPException):  # the kill
                    pass
            reader = another(self.server)
            thread = threading.Thread(target=read)
            thread.start()
            time.sleep(draw.random())
            self.server.kill9()
            thread.join()
            self.server.start()
            again = [item["id"] for item in notes.read(self.server, type=notes.FIRED)[0]]
            self.assertEqual(seen, again[:len(seen)], "what was told before the kill is told otherwise after it")
        self.all_fired(deadlines)


if __name__ == "__main__":
    cases.main()
