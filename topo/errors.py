"""The one kind of error that a person is meant to read: shown as a line, without a traceback."""

from __future__ import annotations


class LabError(Exception):
    """Something that the person at the keyboard can put right; the text says how. Exit code 1."""


class UsageError(LabError):
    """A wrong argument: an unknown host, node, switch or topology. Exit code 2."""


class NotPermitted(LabError):
    """What only another user may do, mostly root."""


class FileError(LabError):
    """A file that cannot be used as it is."""
