"""What can be wrong with a program, its build, or what a control plane asks of it."""

from __future__ import annotations


class PipelineError(Exception):
    """Something about a pipeline that its user can put right; the text says what."""


class ProgramError(PipelineError):
    """The BMv2 JSON is not one, or asks for what this switch does not have."""


class BuildError(PipelineError):
    """The system's C compiler is missing or refused the generated code."""


class UnknownName(PipelineError):
    """No table, action, counter, register… of that name."""


class BadValue(PipelineError):
    """A value that does not fit its field, a wrong number or kind of match fields or parameters."""


class EntryExists(PipelineError):
    """An entry with the same match (and priority) is there already."""


class NoSuchEntry(PipelineError):
    """No entry, member, group or session of that handle."""


class TableFull(PipelineError):
    """The table, profile or group holds as many as the program's size allows."""


class Immutable(PipelineError):
    """Const entries, or a const default action."""
