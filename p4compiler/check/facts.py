"""What the checker found out about a program: side tables from tree nodes to types, declarations and calls."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from p4compiler.syntax import tree as s
from p4compiler.types import Type


class CallKind(enum.Enum):
    FUNCTION = "function"  # with a body, or extern
    METHOD = "method"  # of an extern object
    ACTION = "action"
    TABLE = "table"  # table.apply()
    APPLY = "apply"  # of a parser or control
    BUILTIN = "builtin"  # isValid, push_front and so on
    CONSTRUCT = "construct"  # of an extern, parser, control or package


@dataclass(frozen=True)
class CallFact:
    """A call: what is called, with arguments in the order of the parameters (None: left out, or `_`)."""

    kind: CallKind
    name: str
    declaration: s.Declaration | None
    parameters: tuple[s.Parameter, ...]
    arguments: tuple[s.Expression | None, ...]
    bindings: dict[s.TypeParameter, Type]
    result: Type


@dataclass
class Facts:
    """Filled by the checker, read by later passes."""

    program: s.Program
    types: dict[s.Expression, Type] = field(default_factory=dict)
    uses: dict[s.Node, s.Declaration] = field(default_factory=dict)
    calls: dict[s.Node, CallFact] = field(default_factory=dict)
    syntax_types: dict[s.TypeSyntax, Type] = field(default_factory=dict)
    fields: dict[s.StructLike, dict[str, Type]] = field(default_factory=dict)
    declared: dict[s.Declaration, Type] = field(default_factory=dict)
    constants: dict[s.Declaration, object] = field(default_factory=dict)
    enum_values: dict[s.EnumMember, int] = field(default_factory=dict)
    priorities: dict[s.Entry, int] = field(default_factory=dict)
    field_lists: dict[s.Field, tuple[int, ...]] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    match_kinds: list[str] = field(default_factory=list)
    globals: dict[str, list[s.Declaration]] = field(default_factory=dict)
