#!/usr/bin/env python3
"""Times, durations and numbers in text, read by the product and by a second reader, to the same result.

The second readers are regular expressions, datetime and fractions. What they accept is written down
here by hand, beside tables of texts whose fate is known.
"""
import datetime
import fractions
import random
import re
import unittest

import decoder

RANDOM_CASES = 300_000 if decoder.LONG else 20_000
EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)
FIRST_US = (datetime.datetime(1, 1, 1) - EPOCH) // MICROSECOND
LAST_US = (datetime.datetime(9999, 12, 31, 23, 59, 59, 999999) - EPOCH) // MICROSECOND
CYCLE_US = 146_097 * 86_400_000_000  # 400 years: the calendar's period, so that year 0 can stand in for 400
DURATION_MAX_US = 10 ** 16
TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))",
                  re.ASCII)
COUNT = r"(\d+(?:[.,]\d+)?)"
DURATION = re.compile(f"P(?:{COUNT}W|(?=\\d|T\\d)(?:{COUNT}D)?(?:T(?=\\d)(?:{COUNT}H)?(?:{COUNT}M)?(?:{COUNT}S)?)?)",
                      re.ASCII)
NUMBER = re.compile(r" *([+-]?)(\d*)(?:(\.)(\d*))?(?:[eE]([+-]?\d+))? *", re.ASCII)


def time_us(text):
    """Microseconds since 1970, or None: RFC 3339, :60 as the next second, digits after six cut off."""
    match = TIME.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    try:
        date = datetime.datetime(year or 400, month, day)
    except ValueError:
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    us = (date - EPOCH) // MICROSECOND - (0 if year else CYCLE_US)
    us += ((hour * 60 + minute) * 60 + second) * 1_000_000
    us += int((match[7] or "").ljust(6, "0")[:6])
    if match[8]:
        if int(match[9]) > 23 or int(match[10]) > 59:
            return None
        offset = (int(match[9]) * 60 + int(match[10])) * 60_000_000
        us += offset if match[8] == "-" else -offset
    return us if FIRST_US <= us <= LAST_US else None


def duration_us(text):
    """Microseconds, or None: only the last part may have a fraction, and then of whole microseconds."""
    match = DURATION.fullmatch(text)
    if not match or re.search(r"[.,]\d+[WDHM].", text):
        return None
    units = zip(match.groups(), (604_800, 86_400, 3600, 60, 1))
    total = sum(fractions.Fraction(count.replace(",", ".")) * seconds for count, seconds in units if count) * 1_000_000
    return int(total) if total <= DURATION_MAX_US and total.denominator == 1 else None


def sql_time_us(text):
    """RFC 3339, or a space for the T, or no offset (UTC then), or a date alone."""
    text = text.strip(" ")
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        return time_us(text + "T00:00:00Z")
    if text[10:11] not in (" ", "t", "T") or len(text) > 48:
        return None
    text = text[:10] + "T" + text[11:]
    return time_us(text if re.search("[Zz+-]", text[11:]) else text + "Z")


def sql_number(text):
    match = NUMBER.fullmatch(text)
    if not match or not (match[2] or match[4]):
        return None
    plain = ("-" if match[1] == "-" else "") + (match[2].lstrip("0") or "0")
    plain += "." + (match[4] or "0") if match[3] else ""
    plain += "e" + match[5] if match[5] else ""
    value = decoder.number(plain)
    return None if value == "^" or len(plain) > 400 else value


def line(value):
    return "no" if value is None else f"ok {value}"


ACCEPTED = [
    ("the epoch", "1970-01-01T00:00:00Z", 0),
    ("lower case", "2013-01-01t06:00:00z", 1357020000000000),
    ("one digit of a fraction", "2013-01-01T06:00:00.1Z", 1357020000100000),
    ("nine digits, cut to six", "2013-01-01T06:00:00.123456789Z", 1357020000123456),
    ("nines are cut, not rounded", "2013-01-01T06:00:00.999999999Z", 1357020000999999),
    ("a leap second", "2016-12-31T23:59:60Z", 1483228800000000),
    ("a leap second with a fraction", "2016-12-31T23:59:60.5Z", 1483228800500000),
    ("a leap second in another zone", "1990-12-31T15:59:60-08:00", 662688000000000),
    ("second 60 on any day", "2013-01-01T06:00:60Z", 1357020060000000),
    ("14 hours east", "2013-01-01T14:00:00+14:00", 1356998400000000),
    ("14 hours west", "2013-01-01T00:00:00-14:00", 1357048800000000),
    ("the farthest offset east", "2013-01-01T23:59:00+23:59", 1356998400000000),
    ("the farthest offset west", "2013-01-01T00:00:00-23:59", 1357084740000000),
    ("an unknown local offset", "2013-01-01T00:00:00-00:00", 1356998400000000),
    ("February 29 of 2000", "2000-02-29T00:00:00Z", 951782400000000),
    ("the first instant", "0001-01-01T00:00:00Z", FIRST_US),
    ("the first instant, written in year 0", "0000-12-31T10:00:00-14:00", FIRST_US),
    ("the last instant", "9999-12-31T23:59:59.999999Z", LAST_US),
    ("the last instant, cut", "9999-12-31T23:59:59.999999999Z", LAST_US),
]
REFUSED = [
    ("24 o'clock", "2013-01-01T24:00:00Z"), ("minute 60", "2013-01-01T06:60:00Z"),
    ("second 61", "2013-01-01T06:00:61Z"), ("hour 99", "2013-01-01T99:00:00Z"),
    ("no zone", "2013-01-01T06:00:00"), ("a space", "2013-01-01 06:00:00Z"),
    ("a comma", "2013-01-01T06:00:00,5Z"), ("a point without digits", "2013-01-01T06:00:00.Z"),
    ("ten digits", "2013-01-01T06:00:00.1234567890Z"), ("offset +24:00", "2013-01-01T06:00:00+24:00"),
    ("offset +14:60", "2013-01-01T06:00:00+14:60"), ("offset without a colon", "2013-01-01T06:00:00+1400"),
    ("offset of hours", "2013-01-01T06:00:00+14"), ("a Unicode minus", "2013-01-01T06:00:00\u221214:00"),
    ("two zones", "2013-01-01T06:00:00ZZ"), ("Z and an offset", "2013-01-01T06:00:00Z+00:00"),
    ("month 0", "2013-00-01T00:00:00Z"), ("month 13", "2013-13-01T00:00:00Z"),
    ("day 0", "2013-01-00T00:00:00Z"), ("April 31", "2013-04-31T00:00:00Z"),
    ("February 29 of 2013", "2013-02-29T00:00:00Z"), ("February 29 of 1900", "1900-02-29T00:00:00Z"),
    ("year 0", "0000-06-01T00:00:00Z"), ("before the first instant", "0001-01-01T00:00:00+00:01"),
    ("after the last second", "9999-12-31T23:59:60Z"), ("after the last instant", "9999-12-31T23:59:59-00:01"),
    ("five digits of a year", "10000-01-01T00:00:00Z"), ("a signed year", "+2013-01-01T00:00:00Z"),
    ("two digits of a year", "13-01-01T00:00:00Z"), ("no date", "06:00:00Z"), ("no time", "2013-01-01"),
    ("nothing", ""), ("a blank in front", " 2013-01-01T06:00:00Z"), ("a blank behind", "2013-01-01T06:00:00Z "),
    ("a NUL behind", "2013-01-01T06:00:00Z\0"), ("a newline behind", "2013-01-01T06:00:00Z\n"),
    ("basic format", "20130101T060000Z"), ("a week date", "2013-W01-1T06:00:00Z"),
    ("an ordinal date", "2013-001T06:00:00Z"), ("no seconds", "2013-01-01T06:00Z"),
    ("other digits", "\u0662\u0660\u0661\u0663-01-01T06:00:00Z"), ("a name of a zone", "2013-01-01T06:00:00[UTC]"),
    ("seconds since 1970", "1357020000"), ("a sign in a field", "2013-01-01T06:00:+1Z"),
]
DURATIONS = ["P2W", "P1D", "PT1H", "PT1M", "PT1S", "PT0S", "P1DT2H3M4.5S", "PT0.000001S", "P0D", "PT36H", "P", "PT", "P1DT",
             "P1Y", "P1M", "P1W1D", "P1WT1H", "PT1W", "P-1D", "-P1D", "+P1D", "p1d", "PT1h", "PT1,5S", "PT1.5M", "PT1.S",
             "PT.5S", "PT1.1234567S", "PT1M1H", "P1D1D", "PT1S1S", "P1DT1D", "PTT1S", "PT1S ", " PT1S", "", "1D", "P1",
             "PT10000000000S", "PT10000000000.000001S", "P115740DT17H46M40S", "P115740DT17H46M40.000001S",
             "PT1.5H", "PT0.5M", "P0.5D", "P0,5W", "PT0,5S", "P1DT1.5H", "PT1.5H1S", "P1.5DT1H", "PT0.0000005M", "PT0.00000005M",
             "PT0.3333333333333H", "P0.0001220703125W", "P0.00006103515625D", "PT1.10000000000000000000000000S", "PT1.,5S",
             "P16534W", "P16535W", "P99999999999999999999D", "PT277777777777H", "PT0000000000000000000000001S"]


class Tables(unittest.TestCase):
    def test_times_that_are_read(self):
        for what, text, us in ACCEPTED:
            with self.subTest(what):
                self.assertEqual(us, time_us(text), "the second reader")
                self.assertEqual([f"ok {us}"], decoder.decode("T", [text.encode()]))

    def test_times_that_are_refused(self):
        for what, text in REFUSED:
            with self.subTest(what):
                self.assertIsNone(time_us(text), "the second reader")
                self.assertEqual(["no"], decoder.decode("T", [text.encode()]))

    def test_each_day_and_each_second(self):
        first = datetime.date(1, 1, 1).toordinal()
        last = datetime.date(9999, 12, 31).toordinal()
        days = range(first, last + 1, 1 if decoder.LONG else 17)
        texts = [f"{datetime.date.fromordinal(day).isoformat()}T12:00:00Z" for day in days]
        texts += [f"2012-02-29T{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}Z" for s in range(86_400)]
        self.check("T", texts, time_us)

    def test_each_day_of_a_month_that_may_not_be(self):
        texts = [f"{year:04}-{month:02}-{day:02}T00:00:00Z" for year in (0, 1, 1600, 1900, 2000, 2012, 2013, 2100, 9999)
                 for month in range(14) for day in range(33)]
        self.check("T", texts, time_us)

    def test_each_offset(self):
        texts = [f"2013-01-01T06:00:00{sign}{hour:02}:{minute:02}" for sign in "+-" for hour in range(30)
                 for minute in range(0, 70)]
        self.check("T", texts, time_us)

    def test_durations(self):
        self.check("D", DURATIONS, duration_us)

    def check(self, kind, texts, reader, seed=None):
        expected = [line(reader(text)) for text in texts]
        self.assertGreater(len({e for e in expected}), 1)
        decoder.compare("time_test.py", kind, [text.encode("utf-8") for text in texts], expected, seed)


class Random(unittest.TestCase):
    """Texts of the right shape with a few characters changed, from a seed that is printed."""

    def mutated(self, draw, text, alphabet):
        for _ in range(draw.choice((0, 0, 1, 1, 2, 3))):
            at = draw.randrange(len(text) + 1)
            text = text[:at] + draw.choice(("", draw.choice(alphabet))) + text[at + draw.randrange(2):]
        return text

    def run_cases(self, kind, make, alphabet, reader):
        draw = random.Random(f"{decoder.SEED} {kind}")
        texts = [self.mutated(draw, make(draw), alphabet) for _ in range(RANDOM_CASES)]
        expected = [line(reader(text)) for text in texts]
        self.assertGreater(sum(e != "no" for e in expected), RANDOM_CASES // 20, "too few that are read")
        self.assertGreater(sum(e == "no" for e in expected), RANDOM_CASES // 20, "too few that are refused")
        decoder.compare("time_test.py", kind, [text.encode() for text in texts], expected, decoder.SEED)

    @staticmethod
    def a_time(draw, separator="Tt", zones="+-Zz"):
        year = draw.choice((draw.randrange(10000), draw.randrange(1970, 2040), 0, 1, 9999))
        text = f"{year:04}-{draw.randrange(1, 13):02}-{draw.randrange(1, 31):02}{draw.choice(separator)}"
        text += f"{draw.randrange(24):02}:{draw.randrange(60):02}:{draw.choice((draw.randrange(60), 59, 60)):02}"
        if draw.random() < 0.5:
            text += "." + "".join(draw.choice("0123456789") for _ in range(draw.randrange(1, 10)))
        zone = draw.choice(zones)
        return text + (f"{zone}{draw.randrange(24):02}:{draw.randrange(60):02}" if zone in "+-" else zone.strip("_"))

    def test_times(self):
        self.run_cases("T", self.a_time, "0123456789-:.+TtZz, ", time_us)

    def test_times_in_sql(self):
        def a_looser_time(draw):
            text = self.a_time(draw, "Tt  ", "+-Zz__")
            return draw.choice((text, text, text[:10], " " + text + "  "))
        self.run_cases("S", a_looser_time, "0123456789-:.+TtZz, ", sql_time_us)

    def test_durations(self):
        def a_duration(draw):
            def count():
                return draw.choice((draw.randrange(100), draw.randrange(10 ** 6), draw.randrange(10 ** 12)))
            days = f"{count()}D" if draw.random() < 0.6 else ""
            seconds = f"{count()}S" if draw.random() < 0.5 else f"{count()}.{draw.randrange(10 ** 6)}S"
            time = "".join(part for part in (f"{count()}H", f"{count()}M", seconds) if draw.random() < 0.6)
            text = draw.choice((f"P{count()}W", f"P{days}" + (f"T{time}" if time else "")))
            if draw.random() < 0.3 and text[-1] in "WDHM":
                text = f"{text[:-1]}{draw.choice('.,')}{draw.choice(('5', '25', '125', str(draw.randrange(10 ** 6))))}{text[-1]}"
            return text
        self.run_cases("D", a_duration, "0123456789PTWDHMS.,-", duration_us)

    def test_numbers_in_sql(self):
        def a_number(draw):
            digits = "".join(draw.choice("0123456789") for _ in range(draw.choice((0, 1, 2, 5, 17, 30))))
            fraction = "." + "".join(draw.choice("0123456789") for _ in range(draw.choice((0, 1, 9, 10, 25))))
            exponent = f"{draw.choice('eE')}{draw.choice(('', '+', '-'))}{draw.choice((draw.randrange(20), draw.randrange(400)))}"
            return (draw.choice(("", "", "-", "+", " ", "00")) + digits + draw.choice(("", fraction)) +
                    draw.choice(("", "", exponent)) + draw.choice(("", "", " ")))
        self.run_cases("N", a_number, "0123456789.eE+- _x", sql_number)


if __name__ == "__main__":
    print(f"seed {decoder.SEED}; repeat: SEED={decoder.SEED} python3 tests/differential/time_test.py")
    unittest.main(verbosity=2)
