"""A disk in memory that can lose power: what was not synced may be there, in part, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

SECTOR = 512


class PowerLoss(BaseException):
    """The machine stopped in the middle of a call."""


class _Inode:
    def __init__(self) -> None:
        self.live = bytearray()
        self.durable = bytearray()
        self.pending: list[Callable[[bytearray, Random | None], None]] = []

    def do(self, change: Callable[[bytearray, Random | None], None]) -> None:
        change(self.live, None)
        self.pending.append(change)

    def sync(self) -> None:
        self.durable = bytearray(self.live)
        self.pending.clear()

    def lose_power(self, random: Random) -> None:
        """Any subset of what was pending has reached the disk; of the last write perhaps only some sectors."""
        for change in self.pending[:-1]:
            if random.random() < 0.5:
                change(self.durable, None)
        if self.pending:
            fate = random.random()
            if fate < 0.35:
                self.pending[-1](self.durable, None)
            elif fate < 0.8:
                self.pending[-1](self.durable, random)
        self.live = bytearray(self.durable)
        self.pending.clear()


def _write(data: bytes, offset: int) -> Callable[[bytearray, Random | None], None]:
    def change(content: bytearray, tear: Random | None) -> None:
        keep = data
        if tear is not None and tear.random() < 0.5:
            keep = data[: tear.randrange(len(data) + 1)]
        if len(content) < offset + len(keep):
            content.extend(bytes(offset + len(keep) - len(content)))
        if tear is None or keep is not data:
            content[offset : offset + len(keep)] = keep
            return
        for at in range(-(offset % SECTOR), len(data), SECTOR):
            if tear.random() < 0.5:
                start, stop = max(at, 0), min(at + SECTOR, len(data))
                content[offset + start : offset + stop] = data[start:stop]

    return change


def _resize(size: int) -> Callable[[bytearray, Random | None], None]:
    def change(content: bytearray, _tear: Random | None) -> None:
        del content[size:]
        content.extend(bytes(size - len(content)))

    return change


class PowerDisk:
    """Implements ``hosts.storage.disk.Disk``. ``fuse``: how many calls until the power fails, None for never."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._live: dict[str, _Inode] = {}
        self._durable: dict[str, _Inode] = {}
        self._pending: list[Callable[[dict[str, _Inode]], None]] = []
        self.fuse: int | None = None
        self.syncs = 0
        self.calls = 0

    def burn(self) -> None:
        self.calls += 1
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                raise PowerLoss

    def lose_power(self) -> None:
        """Forget a part of what was not synced, and come up again."""
        for change in self._pending:
            if self._random.random() < 0.5:
                change(self._durable)
        self._pending.clear()
        self._live = dict(self._durable)
        for inode in dict.fromkeys(self._live.values()):
            inode.lose_power(self._random)
        self.fuse = None

    def kill_process(self) -> None:
        """kill -9: the page cache survives."""
        self.fuse = None

    def _rename_names(self, change: Callable[[dict[str, _Inode]], None]) -> None:
        change(self._live)
        self._pending.append(change)

    # -- the seam -----------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        return sorted(self._live)

    def read(self, name: str) -> bytes:
        return bytes(self._live[name].live)

    def view(self, name: str) -> bytes:
        return self.read(name)

    def create(self, name: str, size: int) -> PowerFile:
        self.burn()
        inode = _Inode()
        self._rename_names(lambda names: names.update({name: inode}))
        inode.do(_resize(size))
        self.burn()
        return PowerFile(self, inode)

    def open(self, name: str) -> PowerFile:
        return PowerFile(self, self._live[name])

    def rename(self, old: str, new: str) -> None:
        self.burn()
        inode = self._live[old]

        def change(names: dict[str, _Inode]) -> None:
            names.pop(old, None)
            names[new] = inode

        self._rename_names(change)
        self.burn()

    def remove(self, name: str) -> None:
        self.burn()
        self._rename_names(lambda names: names.pop(name, None) and None)

    def sync_folder(self) -> None:
        self.burn()
        self._durable = dict(self._live)
        self._pending.clear()
        self.burn()

    def lock(self) -> None:
        pass

    def close(self) -> None:
        pass

    def path(self, name: str) -> str:
        return f"disk/{name}"


class PowerFile:
    """Implements ``hosts.storage.disk.File``."""

    def __init__(self, disk: PowerDisk, inode: _Inode) -> None:
        self._disk = disk
        self._inode = inode

    def write(self, data: bytes, offset: int) -> None:
        self._disk.burn()
        self._inode.do(_write(bytes(data), offset))
        self._disk.burn()

    def sync(self) -> None:
        self._disk.burn()
        self._inode.sync()
        self._disk.syncs += 1
        self._disk.burn()

    def resize(self, size: int) -> None:
        self._disk.burn()
        self._inode.do(_resize(size))
        self._disk.burn()

    def close(self) -> None:
        pass
