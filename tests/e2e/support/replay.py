"""`tidemark replay`: the state that a data directory's log gives, as a digest."""
import re

from .server import run


def digest(data, *arguments):
    """What a replay prints as its digest."""
    done = run(["replay", "--data", data, *arguments], seconds=300)
    if done.returncode != 0:
        raise AssertionError(f"replay {arguments}: exit {done.returncode}: {done.stdout[-500:]} {done.stderr[-1000:]}")
    found = re.search(r"digest\W+([0-9a-f]{16,})", done.stdout + done.stderr)
    if not found:
        raise AssertionError(f"replay prints no digest: {done.stdout[-500:]} {done.stderr[-500:]}")
    return found[1]


def check_replays(case, data):
    """The same log gives the same state: twice, and on any number of threads."""
    first = digest(data)
    case.assertEqual(first, digest(data), "the same log replayed twice")
    case.assertEqual({first}, {digest(data, "--threads", n) for n in (1, 2)}, "one thread and two")
