"""`tidemark replay`: the state that a data directory's log gives, as a digest."""
import json
import os

from .server import run


def digest(data, *arguments):
    """What a replay prints as its digest."""
    done = run(["replay", "--data", data, "--json", "--quiet", *arguments], seconds=300)
    if done.returncode != 0:
        raise AssertionError(f"replay {arguments}: exit {done.returncode}: {done.stdout[-500:]} {done.stderr[-1000:]}")
    return json.loads(done.stdout)["digest"]


def snapshots(data):
    return sorted(os.listdir(os.path.join(data, "snapshots")))


def check_replays(case, data):
    """The same log gives the same state: twice, on any number of threads, from a snapshot or the beginning."""
    first = digest(data)
    case.assertEqual(first, digest(data), "the same log replayed twice")
    case.assertEqual(first, digest(data, "--threads", 1), "on one thread")
    case.assertEqual(first, digest(data, "--threads", 2), "on two threads")
    if snapshots(data):
        case.assertEqual(first, digest(data, "--from-snapshot"), "from a snapshot of the server's own")
    done = run(["snapshot", "--data", data])
    case.assertEqual(0, done.returncode, done.stderr)
    case.assertTrue(snapshots(data), "no snapshot was written")
    # Opening the directory wrote to the log, so this is another state.
    case.assertEqual(digest(data), digest(data, "--from-snapshot"), "from a snapshot of its end")
