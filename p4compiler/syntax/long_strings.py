"""Strings over several lines, as cpp leaves them to the compiler.

To cpp a string ends with its line, and what its other lines hold is P4: directives are carried out, macros expanded.
To the P4 compiler behind it the string goes on to the next quote, so that comments on these lines are text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from p4compiler.source import Location
from p4compiler.syntax.lexer import Kind, Token, tokenize_part

Directive = Callable[[list[Token], bool], bool]
Expand = Callable[[list[Token], int], tuple[str, int] | None]

_QUOTE = re.compile(r'\\.|"', re.DOTALL)


def begins_long_string(token: Token) -> bool:
    """Whether the token is the first line of such a string."""
    return token.kind is Kind.BAD and token.text.startswith('"')


def join_line(tokens: list[Token], index: int, directive: Directive, expand: Expand) -> bool:
    """Joins the strings that begin between `index` and the end of its line; whether lines are read behind them."""
    active = True
    while active and tokens[index].kind not in (Kind.NEWLINE, Kind.END):
        if begins_long_string(tokens[index]):
            active = join(tokens, index, directive, expand)
        index += 1
    return active


def join(tokens: list[Token], start: int, directive: Directive, expand: Expand) -> bool:
    """Puts one token in place of all those of the string that begins at `start`; whether lines are read behind it.

    `directive` carries out the directive on a line, whether or not the lines before it are read, and returns whether
    those after it are. `expand` returns what the macro at an index becomes, and where to go on; None: it is no macro.
    A string that is never closed stays as it begins. The rest of the line behind the closing quote is tokenized anew.
    """
    opening, index = tokens[start], start + 1
    text = opening.loc.source.text
    parts, taken, active, start_of_line = [opening.text], opening.loc.end, True, False
    while (token := tokens[index]).kind is not Kind.END:
        first, start_of_line = start_of_line, token.kind is Kind.NEWLINE
        end = end_of_line(tokens, index)
        if first and token.text == "#":
            active = directive(tokens[index:end], active)
            taken, index = tokens[end].loc.start, end
        elif not active:
            parts.append("\n" * (token.kind is Kind.NEWLINE))
            taken, index = token.loc.end, index + 1
        elif (close := _closing_quote(text, taken, token)) is not None:
            parts.append(text[taken : close + 1])
            loc = Location(opening.loc.source, opening.loc.start, close + 1)
            rest = tokenize_part(loc.source, close + 1, tokens[end].loc.start)
            tokens[start:end] = [Token(Kind.STRING, "".join(parts), loc), *rest]
            return active
        else:
            becomes, after = expand(tokens, index) or (token.text, index + 1)
            parts += [text[taken : token.loc.start], becomes]
            taken, index = tokens[after - 1].loc.end, after
    tokens[start + 1 : index] = []
    return active


def end_of_line(tokens: list[Token], index: int) -> int:
    """The index of the first token from `index` on that ends a line or the file."""
    while tokens[index].kind not in (Kind.NEWLINE, Kind.END):
        index += 1
    return index


def _closing_quote(text: str, start: int, token: Token) -> int | None:
    """The offset of the first quote that no backslash stands before: in a comment from `start` to the token, or in
    the token, if it looks like another string."""
    end = token.loc.end if token.text.startswith('"') else token.loc.start
    backslashes = start - len(text[:start].rstrip("\\"))
    for found in _QUOTE.finditer(text, start + backslashes % 2, end):
        if found.group() == '"':
            return found.start()
    return None
