"""The seam between the log and the operating system: all I/O of the log goes through these few calls.

Tests put a recording disk in its place that forgets what was not synced. Every call raises OSError for an I/O error.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol

from hosts.raft.snapshot import Data
from hosts.storage.folders import RealFolders, make_durably


class File(Protocol):
    """An open file."""

    def write(self, data: bytes, offset: int) -> None:
        """Write all of ``data`` at ``offset``; durable only after ``sync``."""

    def sync(self) -> None:
        """Make data, and a size needed to read it, durable."""

    def resize(self, size: int) -> None:
        """Cut or grow to ``size`` bytes; new bytes read as zeros. Durable only after ``sync``."""

    def close(self) -> None:
        """Let go of the file; says nothing of durability."""


class Disk(Protocol):
    """One folder."""

    def names(self) -> list[str]:
        """The folder's files, sorted."""

    def read(self, name: str) -> bytes:
        """A whole file."""

    def view(self, name: str) -> Data:
        """A whole file, read as it is needed; it can be read even after the file is renamed or removed."""

    def create(self, name: str, size: int) -> File:
        """A new file of ``size`` zero bytes with room on the disk for them, in place of one that has the name.
        Without room for all of them, none is left."""

    def open(self, name: str) -> File:
        """A file that is there."""

    def rename(self, old: str, new: str) -> None:
        """Durable only after ``sync_folder``."""

    def remove(self, name: str) -> None:
        """Durable only after ``sync_folder``."""

    def sync_folder(self) -> None:
        """Make the folder's names durable."""

    def lock(self) -> None:
        """Keep every other process out until ``close``. BlockingIOError if one is in."""

    def close(self) -> None:
        """Let the next process in."""

    def path(self, name: str) -> str:
        """How people find the file."""


class RealFile:
    """A file of the operating system. Its errors name it."""

    __slots__ = ("_descriptor", "_path")

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path

    def write(self, data: bytes, offset: int) -> None:
        try:
            written = os.pwrite(self._descriptor, data, offset)
            while written < len(data):
                written += os.pwrite(self._descriptor, memoryview(data)[written:], offset + written)
        except OSError as error:
            error.filename = self._path
            raise

    def sync(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            error.filename = self._path
            raise

    def resize(self, size: int) -> None:
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            error.filename = self._path
            raise

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class RealView:
    """A file's content, of the size that it had at first. Raises OSError where it cannot be read."""

    __slots__ = ("_descriptor", "_size")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, step = part.indices(self._size)
        if step != 1:
            raise ValueError("a part without gaps is all that can be read")
        parts = []
        while start < stop:
            read = os.pread(self._descriptor, stop - start, start)
            if not read:
                raise OSError(errno.EIO, "the file has become shorter")
            start += len(read)
            parts.append(read)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def __del__(self) -> None:
        os.close(self._descriptor)


class RealDisk:
    """A folder of the operating system; made if it is not there."""

    LOCK = "lock"

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._lock = -1
        if not self._folder.is_dir():
            make_durably(RealFolders(), self._folder.absolute())
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)

    def names(self) -> list[str]:
        return sorted(os.listdir(self._descriptor))

    def read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def view(self, name: str) -> RealView:
        return RealView(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._descriptor))

    def create(self, name: str, size: int) -> RealFile:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o644, dir_fd=self._descriptor)
            try:
                if size:
                    os.posix_fallocate(descriptor, 0, size)
            except OSError:
                os.close(descriptor)
                self.remove(name)
                raise
        except OSError as error:
            error.filename = self.path(name)
            raise
        return RealFile(descriptor, self.path(name))

    def open(self, name: str) -> RealFile:
        return RealFile(os.open(name, os.O_RDWR | os.O_CLOEXEC, dir_fd=self._descriptor), self.path(name))

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def remove(self, name: str) -> None:
        os.unlink(name, dir_fd=self._descriptor)

    def sync_folder(self) -> None:
        os.fsync(self._descriptor)

    def lock(self) -> None:
        descriptor = os.open(self.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644, dir_fd=self._descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        self._lock = descriptor

    def close(self) -> None:
        for descriptor in (self._lock, self._descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self._lock = self._descriptor = -1

    def path(self, name: str) -> str:
        return str(self._folder / name)
