#!/usr/bin/env python3
"""A server that starts on a recorded log says what was worked out by hand (stories.py), before it ends in
order and after.

tests/golden/logs/NAME.values.json is what is expected of NAME.tar.gz.
"""
import json
import tempfile
import unittest

import recording


class Values(unittest.TestCase):
    maxDiff = None

    def test_recorded_logs_give_their_values(self):
        expected = sorted(recording.LOGS.glob("*.values.json"))
        self.assertTrue(expected, "no values were recorded")
        for path in expected:
            name = path.name.replace(".values.json", "")
            wanted = json.loads(path.read_text(encoding="utf-8"))
            with self.subTest(log=name), tempfile.TemporaryDirectory() as work:
                data = recording.unpack(recording.LOGS / f"{name}.tar.gz", work)
                for start in ("on the recorded log", "once more"):
                    self.assertEqual(recording.served(data, wanted), wanted, start)


if __name__ == "__main__":
    unittest.main(verbosity=2)
