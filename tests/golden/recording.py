"""What recording a golden log and checking it share: packing, unpacking, and what a server knows."""
import pathlib
import subprocess
import sys
import tarfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGS = ROOT / "tests/golden/logs"
sys.path.insert(0, str(ROOT / "tests/e2e"))

from support import server as support  # noqa: E402, the path comes first

SETTLE_SECONDS_MAX = 30
ROW = ("window_start", "who", "n", "closed", "final", "revision")


def pack(data, archive):
    with tarfile.open(archive, "w:gz") as to:
        to.add(data, "data", filter=lambda entry: None if entry.name.endswith("LOCK") else entry)


def unpack(archive, folder):
    """The data directory that is in the archive."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder)
    return pathlib.Path(folder) / "data"


def digest(binary, data, threads=1):
    run = subprocess.run(
        [binary, "replay", "--data", data, "--threads", str(threads), "--quiet"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    if run.returncode != 0:
        raise AssertionError(f"{binary} ends with {run.returncode}: {run.stderr}")
    return next(line.split()[1] for line in run.stdout.splitlines() if line.startswith("digest"))


def told(server, metrics):
    """The watermark, and of each metric its rows and what became of its events."""
    found = {"watermark": server.get("/v1/watermark")["watermark"], "metrics": {}}
    for name in metrics:
        rows = [{member: item[member] for member in ROW} for item in server.values(name)]
        found["metrics"][name] = {
            "rows": sorted(rows, key=lambda one: (one["window_start"], one["who"])),
            "counts": server.get(f"/v1/metrics/{name}")["counts"],
        }
    return found


def served(data, wanted):
    """What a server says that starts on this directory (which it changes): `wanted`, once its first
    pulse has come, or something else."""
    with support.Server(data=data, threads=2) as server:
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while True:
            found = told(server, wanted["metrics"])
            if found == wanted or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        server.stop()
    return found
