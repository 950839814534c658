"""The product's decoders, asked about many texts at once, and how their answers are compared."""
import atexit
import os
import pathlib
import struct
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
DECODER = os.path.join(os.environ.get("TIDEMARK_BUILD") or str(ROOT / "build-gcc"),
                       "tests/differential/decode_cases")
LONG = os.environ.get("TIDEMARK_LONG") == "1"
SEED = int(os.environ.get("SEED") or struct.unpack("<I", os.urandom(4))[0])

_compared = 0


@atexit.register
def _print_totals():
    print(f"totals: differential_cases={_compared}", flush=True)


def decode(kind, texts):
    """The answers to the texts (bytes), one line each."""
    sent = b"".join(kind.encode() + struct.pack("<I", len(text)) + text for text in texts)
    done = subprocess.run([DECODER], input=sent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=500)
    lines = done.stdout.decode("ascii").splitlines()
    if done.returncode != 0 or len(lines) != len(texts):
        at = texts[len(lines)] if len(lines) < len(texts) else b""
        raise AssertionError(f"decode_cases ended with {done.returncode} at {kind} {at[:2000]!r}: "
                             f"{done.stderr.decode('utf-8', 'replace')[-2000:]}")
    return lines


def number(text):
    """A JSON number as the decoder prints it: exact with at most 9 places below 10^28, else the double."""
    negative = text.startswith("-")
    mantissa, _, exponent = text.lstrip("-").lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    scale = int(exponent or "0") - len(fraction)
    scale += len(digits) - len(digits.rstrip("0"))
    digits = digits.rstrip("0")
    if not digits:
        return "#0"
    if scale >= -9 and len(digits) + scale <= 28:
        return f"#{'-' if negative else ''}{digits}{'0' * (scale + 9)}"
    real = float(text)
    if real in (float("inf"), float("-inf")):
        return "^"
    return "~" + struct.pack(">d", real).hex()


def compare(script, kind, texts, expected, seed=None):
    """Every answer is what the other decoder expects."""
    check(script, texts, expected, decode(kind, texts), seed)


def check(script, texts, expected, answers, seed=None):
    """The same, of answers that are there; up to ten that differ are shown."""
    global _compared
    _compared += len(texts)
    wrong = [f"{text[:300]!r}: expected {want[:300]!r}, got {got[:300]!r}"
             for text, want, got in zip(texts, expected, answers) if want != got]
    repeat = f"; repeat: SEED={seed} python3 tests/differential/{script}" if seed is not None else ""
    if wrong:
        raise AssertionError(f"{len(wrong)} of {len(texts)} differ{repeat}\n" + "\n".join(wrong[:10]))
