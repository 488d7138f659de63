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


def comment(source: Source, text: str) -> str:
    """A comment with the P4 line."""
    fragment = source.text if source.line else text
    where = f"{source} " if source.line else ""
    return f" /* {plain(where + fragment)} */" if where or fragment else ""
