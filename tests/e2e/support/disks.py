"""Small file systems of our own: an ext4 image behind a loop device, a tmpfs. Root only; they end with the test."""
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time
import unittest

SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN
NO_LOG_FLUSH = 2  # the journal's memory goes as well: as if the power went


def _run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def _must(*command):
    code, said = _run(*command)
    if code != 0:
        raise AssertionError(f"{' '.join(command)}: {said}")


class Disk:
    """A mounted file system of `kind`, "ext4" or "tmpfs"; a SkipTest where there can be none."""

    def __init__(self, case, kind, size_mib):
        if os.geteuid() != 0:
            raise unittest.SkipTest("a file system can be mounted by root only")
        if kind == "ext4" and shutil.which("mkfs.ext4") is None:
            raise unittest.SkipTest("mkfs.ext4 is not installed")
        self.kind = kind
        self.folder = tempfile.mkdtemp(prefix="tidemark-disk-")
        self.image = os.path.join(self.folder, "image")
        self.path = os.path.join(self.folder, "mounted")
        self.size_mib = size_mib
        os.mkdir(self.path)
        case.addCleanup(self._discard)
        if kind == "ext4":
            self.make()
        code, said = self._mount()
        if code != 0:
            raise unittest.SkipTest(f"no {kind} can be mounted here: {said[:200]}")

    def make(self):
        """An empty file system, on the image alone."""
        with open(self.image, "wb") as file:
            file.truncate(self.size_mib << 20)
        _must("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", self.image)

    def _mount(self):
        if self.kind == "tmpfs":
            return _run("mount", "-t", "tmpfs", "-o", f"size={self.size_mib}m", "tmpfs", self.path)
        return _run("mount", "-o", "loop", self.image, self.path)

    def mount(self):
        code, said = self._mount()
        if code != 0:
            raise AssertionError(f"mount: {said}")

    def unmount(self):
        for _ in range(100):
            code, said = _run("umount", self.path)
            if code == 0:
                return
            time.sleep(0.05)  # a forked writer of a snapshot may still be on its way out
        raise AssertionError(f"umount: {said}")

    def cut_power(self):
        """From now on nothing reaches the disk, and what was not on it is lost."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def remount(self, options):
        return _run("mount", "-o", "remount," + options, self.path)

    def check(self):
        """The file system itself is in order; unmounted."""
        code, said = _run("e2fsck", "-fn", self.image)
        if code > 1:
            raise AssertionError(f"e2fsck: {said}")

    def fill(self, leave_bytes=0):
        """A file that takes all space but so much; returns its path."""
        filler = os.path.join(self.path, "filler")
        with open(filler, "ab", buffering=0) as file:
            for piece in (1 << 20, 1 << 16, 1 << 12):
                while True:
                    info = os.statvfs(self.path)
                    if info.f_bavail * info.f_frsize < leave_bytes + piece:
                        break
                    try:
                        file.write(b"\1" * piece)
                    except OSError:
                        break
            try:
                os.fsync(file.fileno())
            except OSError:
                pass
        return filler

    def _discard(self):
        if os.path.ismount(self.path):
            _run("umount", "-l", self.path)
        shutil.rmtree(self.folder, ignore_errors=True)
