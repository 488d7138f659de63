"""Turns a source text into tokens with one regular expression (P4_16 specification, section 6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from p4compiler.source import Location, Source


class Kind(Enum):
    NAME = "identifier"
    KEYWORD = "keyword"
    INT = "number"
    STRING = "string"
    SYMBOL = "symbol"
    NEWLINE = "end of line"
    BAD = "unknown character"
    END = "end of file"


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    kind: Kind
    text: str
    loc: Location


KEYWORDS = frozenset({
    "abstract", "action", "actions", "apply", "bit", "bool", "break", "const", "continue", "control", "default",
    "else", "entries", "enum", "error", "exit", "extern", "false", "for", "header", "header_union", "if", "in",
    "inout", "int", "key", "list", "match_kind", "out", "package", "parser", "priority", "return", "select", "state",
    "string", "struct", "switch", "table", "this", "transition", "true", "tuple", "type", "typedef", "varbit",
    "value_set", "void", "_",
})  # fmt: skip

# Keywords that may also serve as the name of a field, parameter, table and so on.
SOFT_KEYWORDS = frozenset({"actions", "apply", "entries", "key", "list", "priority", "state", "type"})

_PATTERN = re.compile(
    r"""
    (?P<space>(?:[ \t\r\f\v]|\\\r?\n)+)
  | (?P<newline>\n)
  | (?P<comment>//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/)
  | (?P<unclosed>/\*.*)
  | (?P<number>(?:[0-9]+[ws])?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|0[dD][0-9_]+|[0-9][0-9_]*)
      (?P<junk>[A-Za-z0-9_]*))
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<unfinished>"(?:[^"\\\n]|\\.)*)
  | (?P<symbol>\|\+\|=|\|-\|=|&&&|\|\+\||\|-\||<<=|>>=|\.\.\.|\.\.|\+\+|&&|\|\||==|!=|<=|>=|<<|>>
        |\+=|\+:|-=|\*=|/=|%=|&=|\|=|\^=|\#\#|[-+*/%&|^~!<>=?:;,.(){}\[\]@\#])
  | (?P<bad>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokenize(source: Source) -> list[Token]:
    """All tokens of a text, with a NEWLINE token for each end of line outside comments and an END at last.

    Never fails: what is no token becomes a BAD token, which is an error only where it is used. The beginning of a
    string over several lines is one: what its lines hold, the preprocessor says.
    """
    length = len(source.text)
    tokens = tokenize_part(source, 0, length)
    tokens.append(Token(Kind.END, "", Location(source, length, length)))
    return tokens


def tokenize_part(source: Source, start: int, end: int) -> list[Token]:
    """The tokens of the text from one offset to another."""
    tokens: list[Token] = []
    append = tokens.append
    keywords = KEYWORDS
    for match in _PATTERN.finditer(source.text, start, end):
        group = match.lastgroup
        if group == "space":
            continue
        text = match.group()
        if group == "comment":
            # A block comment may hide line ends that a directive before it needs to see.
            continue
        loc = Location(source, match.start(), match.end())
        if group == "name":
            append(Token(Kind.KEYWORD if text in keywords else Kind.NAME, text, loc))
        elif group == "symbol":
            append(Token(Kind.SYMBOL, text, loc))
        elif group == "newline":
            append(Token(Kind.NEWLINE, text, loc))
        elif group == "number":
            append(Token(Kind.BAD if match.group("junk") else Kind.INT, text, loc))
        elif group == "string":
            append(Token(Kind.STRING, text, loc))
        else:
            append(Token(Kind.BAD, text, loc))
    return tokens


_NUMBER = re.compile(r"(?:([0-9]+)([ws]))?(?:0([xXbBoOdD]))?([0-9a-fA-F_]+)$")
_BASES = {"x": 16, "b": 2, "o": 8, "d": 10}


def parse_number(text: str) -> tuple[int, int | None, bool]:
    """Value, width (None if the literal has none) and whether it is signed."""
    match = _NUMBER.match(text)
    assert match is not None, text
    width, sign, base, digits = match.groups()
    value = int(digits.replace("_", "") or "0", _BASES[base.lower()] if base else 10)
    return value, int(width) if width is not None else None, sign == "s"


def describe(token: Token) -> str:
    """How a message names a token."""
    if token.kind is Kind.END:
        return "end of file"
    if token.kind is Kind.KEYWORD:
        return f"keyword '{token.text}'"
    if token.kind is Kind.NAME:
        return f"identifier '{token.text}'"
    if token.kind is Kind.BAD and token.text.startswith("/*"):
        return "a comment that is never closed"
    if token.kind is Kind.BAD and token.text.startswith('"'):
        return "a string that is never closed"
    first = token.text.split("\n", 1)[0]
    return f"'{token.text}'" if first == token.text and len(first) < 40 else f"'{first[:36]}...'"
