#!/usr/bin/env python3
"""JSON, read by the product and by Python's json: the same texts are accepted, with the same values.

Python is told to refuse NaN and Infinity and to keep numbers as they are written. Of what it accepts
then, the product refuses exactly this:

    nesting deeper than 64              too-deep
    \\u escapes of lone surrogates       invalid-utf8
"""
import json
import random
import sys
import unittest

import decoder
from json_cases import CASES

DEPTH_MAX = 64
RANDOM_CASES = 200_000 if decoder.LONG else 12_000
ALPHABET = [bytes([c]) for c in range(256)] + [b"\\u", b"\\ud800", b"\\udc00", b"\xe2\x82\xac", b"null", b"1e", b"[]", b"{}",
                                               b'"a":', b'""', b",", b"\\n", b"-0", b".5", b"\xed\xa0\x80", b" "]


class Number:
    def __init__(self, text):
        self.text = text


class Members:
    def __init__(self, pairs):
        self.pairs = pairs


def no_constant(name):
    raise ValueError(name)


def python_value(text):
    return json.loads(text.decode("utf-8"), parse_int=Number, parse_float=Number, parse_constant=no_constant,
                      object_pairs_hook=Members)


def depth(value):
    """How many containers are open at the deepest place."""
    deepest = 0
    level = [value]
    while any(isinstance(v, (list, Members)) for v in level):
        deepest += 1
        level = [inner for v in level if isinstance(v, (list, Members))
                 for inner in (v if isinstance(v, list) else (pair[1] for pair in v.pairs))]
    return deepest


def rendered(value):
    """As decode_cases prints it. A lone surrogate is a UnicodeEncodeError."""
    if value is None or value is True or value is False:
        return {None: "n", True: "t", False: "f"}[value]
    if isinstance(value, Number):
        return decoder.number(value.text)
    if isinstance(value, str):
        return "s" + value.encode("utf-8").hex()
    if isinstance(value, list):
        return "[" + ",".join(map(rendered, value)) + "]"
    return "{" + ",".join(f"{rendered(name)}:{rendered(member)}" for name, member in value.pairs) + "}"


def expected(text):
    """What the product must make of the text: "ok …", or "no" and, where it is certain, the reason."""
    try:
        value = python_value(text)
    except RecursionError:
        return "no"
    except ValueError:
        return "no"
    if depth(value) > DEPTH_MAX:
        return "no"
    try:
        return "ok " + rendered(value)
    except UnicodeEncodeError:
        return "no invalid-utf8"


def shortened(want, got):
    """The answer, without the reason of a refusal where nobody knows it better."""
    return "no" if want == "no" and got.startswith("no ") else got


class Json(unittest.TestCase):
    def compare(self, texts, seed=None):
        wants = [expected(text) for text in texts]
        answers = decoder.decode("J", texts)
        gots = [shortened(want, got) for want, got in zip(wants, answers)]
        decoder.check("json_test.py", texts, wants, gots, seed)
        return answers

    def test_known_texts(self):
        self.assertGreater(len(CASES), 300)
        answers = self.compare([text for _, text in CASES])
        for (name, text), answer in zip(CASES, answers):
            with self.subTest(name):
                self.assertEqual(name.startswith("y_"), answer.startswith("ok "), (text[:200], answer[:200]))

    def test_differences_have_their_reasons(self):
        reasons = {"i_lone": "no invalid-utf8", "i_depth": "no too-deep", "n_utf8_": "no invalid-utf8"}
        for start, reason in reasons.items():
            chosen = [text for name, text in CASES if name.startswith(start) and not name.startswith("n_utf8_outside")]
            self.assertGreater(len(chosen), 4)
            self.assertEqual([reason] * len(chosen), decoder.decode("J", chosen))

    def test_each_text_cut_short_at_each_byte(self):
        texts = sorted({text[:n] for _, text in CASES if len(text) < 200 for n in range(len(text))})
        self.compare(texts)

    def test_each_byte_in_each_place_of_a_text(self):
        for text in (b'{"a":[1,"b\\n",true]}', b'[-0.5e+1,null]', b'"\\ud83d\\ude00\xe2\x82\xac"'):
            self.compare([text[:at] + bytes([byte]) + text[at + skip:]
                          for at in range(len(text) + 1) for byte in range(256) for skip in (0, 1)])

    def test_mutated_texts(self):
        draw = random.Random(decoder.SEED)
        seeds = [text for _, text in CASES if len(text) < 400]
        texts = []
        for _ in range(RANDOM_CASES):
            text = draw.choice(seeds)
            if draw.random() < 0.4:  # inside of a larger one
                other = draw.choice(seeds)
                text = draw.choice((b"[" + text + b"," + other + b"]", b'{"a":' + text + b',"b":' + other + b"}", b" " + text + b"\n"))
            for _ in range(draw.choice((0, 1, 1, 2, 4))):
                at = draw.randrange(len(text) + 1)
                text = text[:at] + draw.choice((b"", draw.choice(ALPHABET))) + text[at + draw.randrange(3):]
            texts.append(text)
        answers = self.compare(texts, decoder.SEED)
        accepted = sum(answer.startswith("ok") for answer in answers)
        self.assertGreater(accepted, RANDOM_CASES // 20, "too few that are accepted")
        self.assertGreater(RANDOM_CASES - accepted, RANDOM_CASES // 20, "too few that are refused")

    def test_random_values_written_by_python(self):
        draw = random.Random(decoder.SEED + 1)
        texts = [json.dumps(self.random_value(draw, 0), ensure_ascii=draw.random() < 0.5,
                            indent=draw.choice((None, None, 1))).encode() for _ in range(RANDOM_CASES // 10)]
        answers = self.compare(texts, decoder.SEED)
        self.assertEqual(len(texts), sum(answer.startswith("ok ") for answer in answers))

    def random_value(self, draw, level):
        kind = draw.randrange(6 if level > 4 else 8)
        if kind < 2:
            return draw.choice((None, True, False, 0, "", draw.randrange(-10 ** 30, 10 ** 30)))
        if kind == 2:
            return draw.choice((draw.random(), draw.uniform(-1e9, 1e9), draw.random() * 10.0 ** draw.randrange(-320, 308)))
        if kind < 6:
            return "".join(draw.choice(('"', "\\", "\n", "\x00", "\x1f", "a", "/", "\u00e9", "\u20ac", "\U0001f600", " ",
                                        chr(draw.randrange(0xd800)), chr(draw.randrange(0xe000, 0x110000))))
                           for _ in range(draw.randrange(20)))
        if kind == 6:
            return [self.random_value(draw, level + 1) for _ in range(draw.randrange(5))]
        return {self.random_value(draw, 9) if draw.random() < 0.1 else f"k{n}": self.random_value(draw, level + 1)
                for n in range(draw.randrange(5))}


if __name__ == "__main__":
    print(f"seed {decoder.SEED}; repeat: SEED={decoder.SEED} python3 tests/differential/json_test.py", flush=True)
    sys.setrecursionlimit(5000)
    unittest.main(verbosity=2)
