"""How much a program of attacks did, as one line that can be quoted; and whether it is the long run."""
import atexit
import os

LONG = os.environ.get("TIDEMARK_LONG") == "1"
_counts = {}


def count(kind, n=1):
    """One more of a kind: kills, power_cuts, injections, flips."""
    if not _counts:
        atexit.register(_say)
    _counts[kind] = _counts.get(kind, 0) + n


def _say():
    print("totals: " + " ".join(f"{kind}={n}" for kind, n in _counts.items()), flush=True)


def thinned(short, long):
    """The first in the short run, the second in the long one."""
    return long if LONG else short
