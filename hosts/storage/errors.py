"""What can go wrong with a log on disk. Every text says what to do."""

from __future__ import annotations


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
