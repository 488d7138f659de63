"""The durable log in a real folder: what comes back, and what makes it refuse."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hosts.raft.message import Entry, EntryKind, HardState
from hosts.storage import frames, sums
from hosts.storage.disk import RealDisk, RealFile
from hosts.storage.log import DiskLog, LogDamaged, LogError
from hosts.storage.mark import MARK_NAME
from hosts.storage.verify import verify


def entry(index: int, term: int = 1, data: bytes = b"value") -> Entry:
    return Entry(term, index, EntryKind.COMMAND, data)


def segment(folder: Path, number: int = 1) -> Path:
    return folder / f"log-{number:010d}"


def filled(folder: Path, count: int = 5, **options: int) -> list[Entry]:
    """A closed log of ``count`` entries, each its own frame, after a hard state of term 1."""
    log = DiskLog.open(folder, **options)
    log.append(HardState(1, 2), [])
    entries = [entry(index, data=f"value {index}".encode() * 10) for index in range(1, count + 1)]
    for one in entries:
        log.append(None, [one])
    log.close()
    return entries


def reopened(folder: Path) -> tuple[HardState, list[Entry]]:
    log = DiskLog.open(folder)
    log.close()
    return log.hard_state, list(log.entries)


def flip(path: Path, offset: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= bit
    path.write_bytes(data)


def last_frame(folder: Path) -> tuple[int, int]:
    """(offset, end) of the last frame in the first segment."""
    data = segment(folder).read_bytes()
    log_id = frames.unpack_segment_header(data)[1]  # type: ignore[index]
    at, found = frames.SEGMENT_HEADER_BYTES, None
    while (frame := frames.read_frame(data, at, log_id)) is not None:
        found, at = frame, frame.end
    assert found is not None
    return found.offset, found.end


def test_a_new_log_is_empty(tmp_path: Path) -> None:
    assert reopened(tmp_path / "a" / "b") == (HardState(0, 0), [])
    assert reopened(tmp_path / "a" / "b") == (HardState(0, 0), [])


def test_what_was_appended_comes_back(tmp_path: Path) -> None:
    entries = filled(tmp_path)
    assert reopened(tmp_path) == (HardState(1, 2), entries)


def test_terms_and_data_at_their_limits(tmp_path: Path) -> None:
    log = DiskLog.open(tmp_path)
    big = 2**63 - 1
    entries = [Entry(big, 1, EntryKind.NOOP), Entry(big, 2, EntryKind.CONFIGURATION, bytes(1 << 20))]
    log.append(HardState(big, 254), entries)
    log.close()
    assert reopened(tmp_path) == (HardState(big, 254), entries)


def test_appending_goes_on_after_reopening(tmp_path: Path) -> None:
    entries = filled(tmp_path)
    log = DiskLog.open(tmp_path)
    log.append(None, [entry(6)])
    log.close()
    assert reopened(tmp_path)[1] == [*entries, entry(6)]


def test_entries_replace_what_follows_them(tmp_path: Path) -> None:
    entries = filled(tmp_path)
    log = DiskLog.open(tmp_path)
    log.append(HardState(2, 0), [entry(3, 2)])
    log.close()
    assert reopened(tmp_path) == (HardState(2, 0), [*entries[:2], entry(3, 2)])


def test_replay_does_not_resurrect_truncated_entries(tmp_path: Path) -> None:
    """etcd #22442: after a cut, a shorter tail and more appends, none of the former entries may come back."""
    filled(tmp_path, 5)
    log = DiskLog.open(tmp_path)
    log.append(HardState(2, 0), [entry(2, 2)])
    log.close()
    log = DiskLog.open(tmp_path)
    log.append(None, [entry(3, 2)])
    log.append(None, [entry(3, 3)])
    log.close()
    assert [(one.index, one.term) for one in reopened(tmp_path)[1]] == [(1, 1), (2, 2), (3, 3)]


def test_segments_rotate_and_read_back_as_one(tmp_path: Path) -> None:
    entries = filled(tmp_path, 40, segment_bytes=1024)
    assert len(list(tmp_path.glob("log-*"))) > 3
    assert reopened(tmp_path) == (HardState(1, 2), entries)


def test_a_cut_reaches_back_over_segments(tmp_path: Path) -> None:
    entries = filled(tmp_path, 40, segment_bytes=1024)
    log = DiskLog.open(tmp_path, segment_bytes=1024)
    log.append(None, [entry(4, 1, b"new")])
    log.close()
    assert reopened(tmp_path)[1] == [*entries[:3], entry(4, 1, b"new")]


def test_a_frame_larger_than_a_segment(tmp_path: Path) -> None:
    log = DiskLog.open(tmp_path, segment_bytes=1024)
    entries = [entry(1), entry(2, data=bytes(10_000)), entry(3)]
    for one in entries:
        log.append(None, [one])
    log.close()
    assert reopened(tmp_path)[1] == entries


def test_entries_that_leave_a_gap_are_refused(tmp_path: Path) -> None:
    log = DiskLog.open(tmp_path)
    with pytest.raises(ValueError, match="do not fit"):
        log.append(None, [entry(2)])
    log.append(None, [entry(1)])
    log.close()


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    log = DiskLog.open(tmp_path)
    code = f"from hosts.storage.log import *\ntry: DiskLog.open({str(tmp_path)!r})\nexcept LogError as e: print(e)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "another process uses this folder" in run.stdout, run
    log.close()
    DiskLog.open(tmp_path).close()


# -- torn ends and damage ------------------------------------------------------------------------------------------


def forget_mark_of_last_frame(folder: Path) -> None:
    """Set the mark back to before the last frame, as a power loss may."""
    data = segment(folder).read_bytes()
    offset, _ = last_frame(folder)
    segment(folder).write_bytes(data[:offset] + bytes(len(data) - offset))
    (folder / MARK_NAME).unlink()
    body = frames.SEGMENT_HEADER_BYTES
    # With an empty first segment the log makes a mark of its own.
    segment(folder).write_bytes(data[:body] + bytes(len(data) - body))
    DiskLog.open(folder).close()
    segment(folder).write_bytes(data)


@pytest.mark.parametrize("cut", [1, 7, 15, 16, 17, 40])
def test_a_torn_last_write_is_left_out_with_a_note(tmp_path: Path, cut: int) -> None:
    entries = filled(tmp_path)
    forget_mark_of_last_frame(tmp_path)
    offset, _ = last_frame(tmp_path)
    data = segment(tmp_path).read_bytes()
    segment(tmp_path).write_bytes(data[: offset + cut] + bytes(len(data) - offset - cut))
    log = DiskLog.open(tmp_path)
    assert list(log.entries) == entries[:-1]
    assert "incomplete last write" in log.notes[0]
    log.append(None, [entry(5, 1, b"again")])
    log.close()
    log = DiskLog.open(tmp_path)
    assert list(log.entries) == [*entries[:-1], entry(5, 1, b"again")] and not log.notes
    log.close()


def test_a_flipped_bit_in_the_middle_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    flip(segment(tmp_path), frames.SEGMENT_HEADER_BYTES + 60)
    with pytest.raises(LogDamaged, match="durable up to"):
        DiskLog.open(tmp_path)


def test_damage_before_a_valid_frame_is_refused_without_the_marks_help(tmp_path: Path) -> None:
    filled(tmp_path)
    forget_mark_of_last_frame(tmp_path)
    flip(segment(tmp_path), frames.SEGMENT_HEADER_BYTES + 60)
    with pytest.raises(LogDamaged, match="valid one follows") as caught:
        DiskLog.open(tmp_path)
    assert caught.value.file == str(segment(tmp_path))
    assert "fresh learner" in str(caught.value)


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    entries = filled(tmp_path, 3, segment_bytes=1024)
    whole = segment(tmp_path).read_bytes()
    _, end = last_frame(tmp_path)
    for offset in range(end):
        segment(tmp_path).write_bytes(whole)
        flip(segment(tmp_path), offset, 1 << offset % 8)
        with pytest.raises(LogDamaged):
            DiskLog.open(tmp_path)
    segment(tmp_path).write_bytes(whole)
    assert reopened(tmp_path)[1] == entries


def test_a_flipped_bit_in_the_last_synced_frame_is_not_taken_for_a_torn_write(tmp_path: Path) -> None:
    filled(tmp_path)
    offset, _ = last_frame(tmp_path)
    flip(segment(tmp_path), offset + 30)
    with pytest.raises(LogDamaged, match="durable up to"):
        DiskLog.open(tmp_path)


def test_a_log_cut_short_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    offset, _ = last_frame(tmp_path)
    os.truncate(segment(tmp_path), offset)
    with pytest.raises(LogDamaged, match="durable up to"):
        DiskLog.open(tmp_path)


@pytest.mark.parametrize("number", [1, 3, -1])
def test_a_missing_segment_is_refused(tmp_path: Path, number: int) -> None:
    filled(tmp_path, 40, segment_bytes=1024)
    names = sorted(tmp_path.glob("log-*"))
    names[number - 1 if number > 0 else number].unlink()
    with pytest.raises(LogDamaged):
        DiskLog.open(tmp_path)


def test_missing_segments_or_mark_are_refused(tmp_path: Path) -> None:
    filled(tmp_path / "a")
    segment(tmp_path / "a").unlink()
    with pytest.raises(LogDamaged, match="gone"):
        DiskLog.open(tmp_path / "a")
    filled(tmp_path / "b")
    (tmp_path / "b" / MARK_NAME).unlink()
    with pytest.raises(LogDamaged, match="mark is gone"):
        DiskLog.open(tmp_path / "b")


def test_another_logs_segment_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "a")
    filled(tmp_path / "b")
    segment(tmp_path / "a").write_bytes(segment(tmp_path / "b").read_bytes())
    with pytest.raises(LogDamaged, match="another log"):
        DiskLog.open(tmp_path / "a")


def test_exchanged_frames_are_refused(tmp_path: Path) -> None:
    """Each frame is whole in itself; only the chain knows their order."""
    log = DiskLog.open(tmp_path)
    for term in (1, 2, 3, 4):
        log.append(HardState(term, 1), [])
    log.close()
    data = bytearray(segment(tmp_path).read_bytes())
    offset, end = last_frame(tmp_path)
    size = end - offset
    second, third = slice(end - 3 * size, end - 2 * size), slice(end - 2 * size, end - size)
    data[second], data[third] = data[third], data[second]
    segment(tmp_path).write_bytes(data)
    with pytest.raises(LogDamaged):
        DiskLog.open(tmp_path)


def test_a_segment_that_lost_its_end_cleanly_is_refused(tmp_path: Path) -> None:
    filled(tmp_path, 40, segment_bytes=1024)
    offset, _ = last_frame(tmp_path)
    data = segment(tmp_path).read_bytes()
    segment(tmp_path).write_bytes(data[:offset] + bytes(len(data) - offset))
    with pytest.raises(LogDamaged, match="does not follow"):
        DiskLog.open(tmp_path)


def test_a_value_that_looks_like_a_frame_is_not_taken_for_one(tmp_path: Path) -> None:
    """A client must not be able to keep a member with a torn last write from starting."""
    forged, _ = frames.pack_frame(bytes(8), 0, HardState(9, 9), None, [])
    filled(tmp_path)
    log = DiskLog.open(tmp_path)
    log.append(None, [entry(6, data=forged * 3 + b"tail")])
    log.close()
    forget_mark_of_last_frame(tmp_path)
    _, end = last_frame(tmp_path)
    flip(segment(tmp_path), end - 1)
    log = DiskLog.open(tmp_path)
    assert len(log.entries) == 5 and log.notes
    log.close()


def lookalikes(size: int, spacing: int = 16) -> bytes:
    """What looks like a frame at every so manyth byte, each to the very end."""
    parts = []
    for at in range(0, size - 2 * spacing, spacing):
        length = size - at - frames.FRAME_HEADER_BYTES
        parts.append((frames.FRAME_MAGIC + length.to_bytes(4, "little") + b"chaincrc").ljust(spacing, b"\x02"))
    return b"".join(parts).ljust(size, b"x")


class Counted:
    """Counts the bytes that checksums are made of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        real = frames.crc32c
        for module in (frames, sums):
            monkeypatch.setattr(module, "crc32c", self.count)
        self._real = real

    def count(self, data: bytes, begun: int = 0) -> int:
        self.bytes += len(data)
        return int(self._real(data, begun))


@pytest.mark.parametrize("spacing", [16, 19, 38])
def test_a_start_takes_time_in_proportion_to_the_log_whatever_clients_have_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spacing: int
) -> None:
    counted = Counted(monkeypatch)
    ratios = []
    for size in (64 << 10, 256 << 10, 1 << 20):
        folder = tmp_path / str(size)
        filled(folder, segment_bytes=2 * size)
        log = DiskLog.open(folder, segment_bytes=2 * size)
        log.append(None, [entry(6, data=lookalikes(size, spacing))])
        log.close()
        forget_mark_of_last_frame(folder)
        _, end = last_frame(folder)
        flip(segment(folder), end - 1)
        counted.bytes = 0
        log = DiskLog.open(folder, segment_bytes=2 * size)
        ratios.append(counted.bytes / size)
        assert len(log.entries) == 5 and log.notes, "a torn write, and nothing behind it"
        log.close()
    assert ratios[2] < 1.2 * ratios[0] and max(ratios) < 2 + 600 / spacing


def test_a_frame_behind_many_lookalikes_is_found(tmp_path: Path) -> None:
    """What was acknowledged is behind them: no torn write, but damage."""
    filled(tmp_path)
    log = DiskLog.open(tmp_path)
    log.append(None, [entry(6, data=lookalikes(64 << 10))])
    log.append(None, [entry(7)])
    log.close()
    offset, end = last_frame(tmp_path)
    forget_mark_of_last_frame(tmp_path)
    flip(segment(tmp_path), offset - 5)
    with pytest.raises(LogDamaged, match=f"a valid one follows at byte {offset}"):
        DiskLog.open(tmp_path)
    flip(segment(tmp_path), end - 1)
    log = DiskLog.open(tmp_path)
    assert len(log.entries) == 5 and log.notes
    log.close()


def test_garbage_for_a_log_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    segment(tmp_path).write_bytes(os.urandom(4096))
    with pytest.raises(LogDamaged):
        DiskLog.open(tmp_path)


# -- I/O errors ----------------------------------------------------------------------------------------------------


def test_after_a_failed_sync_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may drop what failed to sync and then report success: a second try proves nothing."""
    log = DiskLog.open(tmp_path)
    log.append(None, [entry(1)])

    def fail(_self: RealFile) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(RealFile, "sync", fail)
        with pytest.raises(LogError, match="Input/output error"):
            log.append(None, [entry(2)])
    with pytest.raises(LogError, match="nothing more can be written"):
        log.append(None, [entry(2)])
    log.close()
    assert reopened(tmp_path)[1][:1] == [entry(1)]


def test_what_was_read_but_perhaps_never_synced_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed sync the page cache shows a frame that the disk lacks: reopening must not just sync it."""
    filled(tmp_path)
    forget_mark_of_last_frame(tmp_path)
    written: list[tuple[bytes, int]] = []
    real = RealFile.write

    def record(self: RealFile, data: bytes, offset: int) -> None:
        written.append((data, offset))
        real(self, data, offset)

    monkeypatch.setattr(RealFile, "write", record)
    DiskLog.open(tmp_path).close()
    _, end = last_frame(tmp_path)
    assert any(offset + len(data) == end and offset == frames.SEGMENT_HEADER_BYTES for data, offset in written)


def test_a_full_disk_is_a_clean_error_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = DiskLog.open(tmp_path, segment_bytes=1024)
    log.append(None, [entry(1, data=bytes(500))])

    def full(_self: RealDisk, _name: str, _size: int) -> RealFile:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(RealDisk, "create", full)
        with pytest.raises(LogError, match="No space left"):
            log.append(None, [entry(2, data=bytes(600))])
    log.close()
    assert reopened(tmp_path)[1] == [entry(1, data=bytes(500))]


def test_a_folder_that_cannot_be_made_is_a_clean_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LogError, match="file"):
        DiskLog.open(tmp_path / "file")


# -- verify --------------------------------------------------------------------------------------------------------


def test_verify_reports_without_touching(tmp_path: Path) -> None:
    filled(tmp_path)
    log = DiskLog.open(tmp_path)
    report = verify(tmp_path)
    assert report.damage is None and (report.entries, report.last_index, report.last_term) == (5, 5, 1)
    assert str(report).startswith("whole: 1 segments, 6 frames, 5 entries")
    log.close()
    flip(segment(tmp_path), 100)
    before = segment(tmp_path).read_bytes()
    assert verify(tmp_path).damage is not None
    assert segment(tmp_path).read_bytes() == before


def test_verify_of_no_folder(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no such folder"):
        verify(tmp_path / "none")
