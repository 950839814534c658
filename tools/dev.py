#!/usr/bin/env python3
"""The inner loop: build, start a server on a data directory that stays, and whenever a source file
changes, build again and restart it. A build that fails leaves the old server running.

Usage: dev.py [serve options ...]
"""
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
WATCHED = ("src", "include", "meson.build")
SUFFIXES = {".c", ".h", ".def", ".build"}
LOOK_EVERY_SECONDS = 0.4
STOP_SECONDS_MAX = 10


def newest():
    """The latest change of any watched file."""
    latest = 0
    for name in WATCHED:
        top = ROOT / name
        for path in [top] if top.is_file() else top.rglob("*"):
            if path.suffix in SUFFIXES:
                try:
                    latest = max(latest, path.stat().st_mtime_ns)
                except FileNotFoundError:
                    pass  # an editor is just replacing it
    return latest


def build():
    start = time.monotonic()
    good = subprocess.run([str(ROOT / "tools/build.sh"), "product"]).returncode == 0
    print(f"dev: build {'done' if good else 'failed'} in {time.monotonic() - start:.1f} s", flush=True)
    return good


def stop(server):
    if server and server.poll() is None:
        server.terminate()
        try:
            server.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def main():
    command = [str(ROOT / "build/tidemark"), "serve", "--data", str(ROOT / "tidemark-data"), *sys.argv[1:]]
    server = None
    seen = None
    try:
        while True:
            latest = newest()
            if latest != seen:
                seen = latest
                if build():
                    stop(server)
                    server = subprocess.Popen(command)
            elif server and server.poll() is not None:
                print(f"dev: the server ended with {server.returncode}; waiting for a change", flush=True)
                server = None
            time.sleep(LOOK_EVERY_SECONDS)
    except KeyboardInterrupt:
        pass
    finally:
        stop(server)


if __name__ == "__main__":
    main()
