"""A member's disk in memory, behind the seams of ``hosts.storage.disk`` and ``hosts.storage.folders``. It can lose
power in the middle of any call.

What was written and not synced is then there, in part, or not at all: any subset of the writes, of the changes of
names and of the new folders, with all that is in them, and any sectors of a file's last write. After ``kill -9``
instead, everything written is still there.
"""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

SECTOR = 512

_Change = tuple[int, bytes] | int
"""A write at an offset, or a new size."""


class PowerLoss(BaseException):
    """The machine stopped in the middle of a call."""


def _apply(content: bytearray, change: _Change) -> None:
    if isinstance(change, int):
        del content[change:]
        content.extend(bytes(change - len(content)))
        return
    offset, data = change
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class _Inode:
    """``live`` is what the process sees, ``durable`` what would be left without ``pending``."""

    __slots__ = ("durable", "live", "pending")

    def __init__(self) -> None:
        self.live = bytearray()
        self.durable = bytearray()
        self.pending: list[_Change] = []

    def do(self, change: _Change) -> None:
        _apply(self.live, change)
        self.pending.append(change)

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.durable, change)
        self.pending.clear()

    def lose_power(self, random: Random) -> bool:
        """Whether the last write was torn."""
        torn = False
        for change in self.pending[:-1]:
            if random.random() < 0.5:
                _apply(self.durable, change)
        if self.pending:
            last, fate = self.pending[-1], random.random()
            if fate < 0.3:
                _apply(self.durable, last)
            elif fate < 0.85 and not isinstance(last, int):
                torn = self._tear(last, random)
        self.live = bytearray(self.durable)
        self.pending.clear()
        return torn

    def _tear(self, write: tuple[int, bytes], random: Random) -> bool:
        offset, data = write
        if random.random() < 0.5:
            kept = random.randrange(len(data))
            _apply(self.durable, (offset, data[:kept]))
            return kept > 0
        sectors = range(-(offset % SECTOR), len(data), SECTOR)
        kept_sectors = [at for at in sectors if random.random() < 0.5]
        for at in kept_sectors:
            start, stop = max(at, 0), min(at + SECTOR, len(data))
            _apply(self.durable, (offset + start, data[start:stop]))
        return 0 < len(kept_sectors) < len(sectors)


def _rename(names: dict[str, _Inode], change: dict[str, _Inode | None]) -> None:
    for name, inode in change.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


class SimDisk:
    """Implements ``hosts.storage.disk.Disk`` for one folder. ``fuse``: calls until the power fails, None for never.
    ``broken``: every write and sync fails with an I/O error. ``capacity``: bytes that all files together can have,
    None for any number."""

    def __init__(self, random: Random, name: str = "disk") -> None:
        self._random = random
        self._name = name
        self._live: dict[str, _Inode] = {}
        self._durable: dict[str, _Inode] = {}
        self._pending: list[dict[str, _Inode | None]] = []
        """Names that were given, or taken away, and the folder not synced since; a rename does both at once."""
        self.fuse: int | None = None
        self.broken = False
        self.capacity: int | None = None
        self.refusals = 0
        """How often a file had no room."""
        self.torn_writes = 0
        self.syncs = 0

    def burn(self) -> None:
        """A call that changes something begins or ends."""
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                raise PowerLoss
        if self.broken:
            raise OSError(errno.EIO, "Input/output error")

    @property
    def used(self) -> int:
        """Bytes of all files."""
        return sum(len(inode.live) for inode in self._live.values())

    def room_for(self, inode: _Inode, size: int) -> bool:
        """Whether a file may grow to ``size`` bytes."""
        return self.capacity is None or size <= len(inode.live) or self.used + size - len(inode.live) <= self.capacity

    def refuse(self, name: str) -> OSError:
        """The error that says that a file has no room."""
        self.refusals += 1
        return OSError(errno.ENOSPC, "No space left on device", self.path(name))

    def lose_power(self) -> None:
        """Forget some of what was not synced, and come up again."""
        for change in self._pending:
            if self._random.random() < 0.5:
                _rename(self._durable, change)
        self._pending.clear()
        self._live = dict(self._durable)
        for inode in self._live.values():
            self.torn_writes += inode.lose_power(self._random)
        self.fuse, self.broken = None, False

    def kill_process(self) -> None:
        """kill -9: the page cache survives."""
        self.fuse, self.broken = None, False

    def vanish(self) -> None:
        """The folder is gone, and with it everything in it."""
        self._live, self._durable = {}, {}
        self._pending.clear()

    def _change_names(self, change: dict[str, _Inode | None]) -> None:
        _rename(self._live, change)
        self._pending.append(change)

    # -- the seam -----------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        return sorted(self._live)

    def read(self, name: str) -> bytes:
        return bytes(self._live[name].live)

    def view(self, name: str) -> bytes:
        return self.read(name)

    def create(self, name: str, size: int) -> SimFile:
        self.burn()
        inode = _Inode()
        if not self.room_for(inode, size):
            raise self.refuse(name)
        self._change_names({name: inode})
        inode.do(size)
        self.burn()
        return SimFile(self, inode, name)

    def open(self, name: str) -> SimFile:
        return SimFile(self, self._live[name], name)

    def rename(self, old: str, new: str) -> None:
        self.burn()
        self._change_names({old: None, new: self._live[old]})
        self.burn()

    def remove(self, name: str) -> None:
        self.burn()
        self._change_names({name: None})

    def sync_folder(self) -> None:
        self.burn()
        self._durable = dict(self._live)
        self._pending.clear()
        self.burn()

    def lock(self) -> None:
        """One process per folder is what the simulator runs anyway."""

    def close(self) -> None:
        """Nothing is held."""

    def path(self, name: str) -> str:
        return f"{self._name}/{name}"


class SimFile:
    """Implements ``hosts.storage.disk.File``."""

    __slots__ = ("_disk", "_inode", "_name")

    def __init__(self, disk: SimDisk, inode: _Inode, name: str) -> None:
        self._disk = disk
        self._inode = inode
        self._name = name

    def write(self, data: bytes, offset: int) -> None:
        self._disk.burn()
        if not self._disk.room_for(self._inode, offset + len(data)):
            raise self._disk.refuse(self._name)
        self._inode.do((offset, bytes(data)))
        self._disk.burn()

    def sync(self) -> None:
        self._disk.burn()
        self._inode.sync()
        self._disk.syncs += 1
        self._disk.burn()

    def resize(self, size: int) -> None:
        self._disk.burn()
        if not self._disk.room_for(self._inode, size):
            raise self._disk.refuse(self._name)
        self._inode.do(size)
        self._disk.burn()

    def close(self) -> None:
        """Says nothing of durability."""


class SimFolders:
    """Implements ``hosts.storage.folders.Folders`` for a machine of which only the root is there at first.
    ``fuse``: calls until the power fails, None for never."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._live = {Path("/")}
        self._pending: set[Path] = set()
        """New names that the folder above may forget."""
        self.fuse: int | None = None

    def _burn(self) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                raise PowerLoss

    def exists(self, folder: Path) -> bool:
        return folder in self._live

    def make(self, folder: Path) -> None:
        self._burn()
        if folder in self._live:
            raise FileExistsError(errno.EEXIST, "File exists")
        if folder.parent not in self._live:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        self._live.add(folder)
        self._pending.add(folder)
        self._burn()

    def above(self, folder: Path) -> Path | None:
        return None if folder == folder.parent else folder.parent

    def sync(self, folder: Path) -> None:
        self._burn()
        self._pending = {new for new in self._pending if new.parent != folder}
        self._burn()

    def lose_power(self) -> None:
        """Forget some of the new folders, and what was in them, and come up again."""
        lost = {folder for folder in sorted(self._pending) if self._random.random() < 0.5}
        self._live = {folder for folder in self._live if not lost.intersection((folder, *folder.parents))}
        self._pending.clear()
        self.fuse = None
