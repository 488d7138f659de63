"""P4 names and lines where they stand in C: in comments and strings."""

from __future__ import annotations

import re

from p4switch.program import Source


def plain(text: str) -> str:
    """Text that may stand in a C comment."""
    return "".join(c if c.isprintable() else " " for c in text).replace("*/", "* /").replace("/*", "/ *")


def quoted(text: str) -> str:
    """Text as a C string."""
    return '"' + re.sub(r"[^ !#-\[\]-~]", lambda c: "".join(f"\\{b:03o}" for b in c[0].encode()), text) + '"'


def initializer(**fields: object) -> str:
    """A C initializer that names its fields; those that are zero are left out."""
    words = {True: "true", False: "false"}
    given = {name: words[value] if isinstance(value, bool) else value for name, value in fields.items() if value}
    return "{" + ", ".join(f".{name} = {value}" for name, value in given.items()) + "}"


def opposite(condition: str) -> str:
    """The negation of a C condition, without a second '!' or parentheses that are there already."""
    if condition.startswith("!") and _is_one(condition[1:]):
        inner = condition[1:]
        return inner[1:-1] if _NAME.fullmatch(inner[1:-1]) else inner
    equality = _EQUALITY.fullmatch(condition)
    if equality is not None:
        return f"({equality[1]} {'!=' if equality[2] == '==' else '=='} {equality[3]})"
    return f"!{condition}" if _is_one(condition) else f"!({condition})"


_EQUALITY = re.compile(r"\(([\w.>-]+) ([=!]=) ([\w.>-]+)\)")
_NAME = re.compile(r"[\w.]+(?:->[\w.]+)*")
_CALL = re.compile(r"\w*\(")


def _is_one(code: str) -> bool:
    """Whether C takes it as one operand: a name, or something in parentheses, perhaps with a function's name."""
    if _NAME.fullmatch(code):
        return True
    called = _CALL.match(code)
    if called is None:
        return False
    depth = 0
    for at in range(called.end() - 1, len(code)):
        depth += (code[at] == "(") - (code[at] == ")")
        if depth == 0:
            return at == len(code) - 1
    return False


def comment(source: Source, text: str) -> str:
    """A comment with the P4 line."""
    fragment = source.text if source.line else text
    where = f"{source} " if source.line else ""
    return f" /* {plain(where + fragment)} */" if where or fragment else ""
