"""What can go wrong with a log on disk. Every text says what to do."""

from __future__ import annotations

import errno

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors that say that a file system, a quota or a limit leaves no room: less of the same may still be possible."""

_ADVICE = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room, or raise the quota of the user that the node runs as",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f) that the node runs with",
    errno.EROFS: "mount it writable",
    errno.EACCES: "give the user that the node runs as the right to write there",
    errno.EIO: "see what the kernel says of that disk",
}


def explain(error: OSError, path: object) -> str:
    """What failed, on which file, and what to do. ``path`` stands in where the error names no whole path."""
    named = str(error.filename or "")
    text = f"{named if '/' in named else path}: {error.strerror or error}"
    advice = _ADVICE.get(error.errno or 0)
    return f"{text}; {advice}" if advice else text


class LogError(RuntimeError):
    """The log cannot be opened or written: disk full, read-only, an I/O error, a folder in use. After it a DiskLog
    takes nothing more: what the kernel holds of a failed write is not known, so the process must stop."""


class LogDamaged(LogError):
    """What the log has promised is not all there. ``file`` and ``offset`` (bytes) say where that shows."""

    def __init__(self, file: str, offset: int, reason: str) -> None:
        super().__init__(
            f"{file}: damaged at byte {offset}: {reason}. This member may have acknowledged what is lost, so it "
            f"must not go on with the rest. Either restore the folder from where it was last whole, or move it "
            f"away and let this host rejoin as a fresh learner under a new member id, never under the old one: "
            f"it could vote twice"
        )
        self.file = file
        self.offset = offset
        self.reason = reason
