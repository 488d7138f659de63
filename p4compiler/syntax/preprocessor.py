"""The preprocessor: includes, macros and conditional sections, on tokens, so that positions survive.

Follows what C preprocessors do, as far as P4 programs use it. A token that a macro produced carries the
position where the macro was used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os.path import isfile
from pathlib import Path

from p4compiler.source import Diagnostics, Location, Source
from p4compiler.syntax.conditions import evaluate_condition
from p4compiler.syntax.lexer import Kind, Token, describe, tokenize
from p4compiler.syntax.long_strings import begins_long_string, end_of_line, join, join_line

BUILTIN_INCLUDES = Path(__file__).parents[1] / "include"
MAX_INCLUDE_DEPTH = 64
MAX_EXPANSION = 1_000_000


@dataclass(frozen=True)
class Macro:
    """`parameters` is None for a macro without argument list; the last may be '...'."""

    name: str
    parameters: tuple[str, ...] | None
    body: tuple[Token, ...]
    loc: Location | None


@dataclass
class _Section:
    """One #if ... #endif: whether this branch is active, whether any branch was, and where it began."""

    active: bool
    taken: bool
    outer: bool
    loc: Location
    seen_else: bool = False


class Preprocessor:
    """Reads a program and everything that it includes into one list of tokens."""

    def __init__(
        self,
        diagnostics: Diagnostics,
        include_dirs: Sequence[Path] = (),
        defines: Mapping[str, str] | None = None,
    ) -> None:
        self.diagnostics = diagnostics
        self.include_dirs = list(include_dirs)
        self.macros: dict[str, Macro] = {}
        self.included: list[Path] = []
        self._output: list[Token] = []
        self._pending: list[Token] = []
        self._once: set[Path] = set()
        self._depth = 0
        self._budget = MAX_EXPANSION
        for name, value in {"__TARGET_BMV2__": "1", **(defines or {})}.items():
            body = [t for t in tokenize(Source("<command line>", value)) if t.kind not in (Kind.END, Kind.NEWLINE)]
            self.macros[name] = Macro(name, None, tuple(body), None)

    def run(self, path: Path) -> list[Token]:
        """Tokens of the program in `path`, ending with an END token. OSError if it cannot be read."""
        return self.run_source(Source(str(path), read_text(path)), path)

    def run_source(self, source: Source, path: Path | None = None) -> list[Token]:
        """Tokens of a text in memory, ending with an END token."""
        end = self._file(source, path)
        self._flush()
        self._output.append(end)
        return self._output

    # Files and lines

    def _file(self, source: Source, path: Path | None) -> Token:
        tokens = tokenize(source)
        sections: list[_Section] = []
        active = True
        index, start_of_line = 0, True

        def directive(line: list[Token], read: bool) -> bool:
            """A directive on a line inside a string."""
            if read and len(line) > 1 and line[1].text == "include":
                self.diagnostics.error("a file cannot be included inside a string", line[1].loc)
                return read
            return self._directive(line, sections, read, path, source)

        while True:
            token = tokens[index]
            kind = token.kind
            if kind is Kind.END:
                break
            if kind is Kind.NEWLINE:
                index, start_of_line = index + 1, True
            elif start_of_line and token.text == "#" and kind is Kind.SYMBOL:
                end = end_of_line(tokens, index)
                active = self._directive(tokens[index:end], sections, active, path, source)
                index = end
            elif token.text == "@" and tokens[index + 1].text == "pragma":
                start_of_line = False
                if active:
                    active = join_line(tokens, index, directive, self._macro_use)
                index = self._pragma(tokens, index, active)
            else:
                start_of_line = False
                if active:
                    active = not begins_long_string(token) or join(tokens, index, directive, self._macro_use)
                    self._pending.append(tokens[index])
                index += 1
        for section in sections:
            self.diagnostics.error("this condition has no #endif", section.loc)
        return tokens[-1]

    def _pragma(self, tokens: list[Token], index: int, active: bool) -> int:
        """`@pragma name words` up to the end of the line means `@name(words)`; returns where to go on."""
        end = end_of_line(tokens, index)
        body, loc = tokens[index + 2 : end], tokens[index].loc
        if active and body:
            self._pending += [tokens[index], body[0]]
            if len(body) > 1:
                parentheses = [Token(Kind.SYMBOL, text, loc) for text in "()"]
                self._pending += [parentheses[0], *body[1:], parentheses[1]]
        return end

    def _macro_use(self, tokens: list[Token], index: int) -> tuple[str, int] | None:
        """What a macro in a string over several lines becomes, and where to go on; None if it is no macro."""
        token = tokens[index]
        macro = self.macros.get(token.text) if token.kind in (Kind.NAME, Kind.KEYWORD) else None
        after = index + 1
        if macro is not None and macro.parameters is not None:
            if tokens[after].text != "(":
                return None
            depth = 1
            while depth and tokens[after + 1].kind not in (Kind.NEWLINE, Kind.END):
                after += 1
                depth += (tokens[after].text == "(") - (tokens[after].text == ")")
            after += 1
        elif macro is None and token.text not in ("__LINE__", "__FILE__"):
            return None
        return " ".join(t.text for t in self._expand(tokens[index:after])), after

    def _directive(
        self, line: list[Token], sections: list[_Section], active: bool, path: Path | None, source: Source
    ) -> bool:
        """Carries out one directive; returns whether the lines that follow are read."""
        self._flush()
        if len(line) == 1:
            return active
        name, rest, loc = line[1].text, line[2:], line[0].loc.to(line[1].loc)
        if name in ("if", "ifdef", "ifndef"):
            value = active and self._condition(name, rest, loc)
            sections.append(_Section(value, value, active, loc))
            return value
        if name in ("elif", "else", "endif"):
            return self._branch(name, rest, loc, sections, active)
        if active:
            self._carry_out(line, path, source)
        return active

    def _carry_out(self, line: list[Token], path: Path | None, source: Source) -> None:
        """A directive that is not a condition."""
        name, rest, loc = line[1].text, line[2:], line[0].loc.to(line[1].loc)
        if name == "include":
            self._include(rest, loc, path)
        elif name == "define":
            self._define(rest, loc)
        elif name == "undef":
            if not rest or rest[0].kind not in (Kind.NAME, Kind.KEYWORD):
                self.diagnostics.error("#undef needs the name of a macro", loc)
            else:
                self.macros.pop(rest[0].text, None)
        elif name == "error":
            self.diagnostics.error(f"#error {raw_text(source, rest)}".rstrip(), loc)
        elif name == "warning":
            self.diagnostics.warning(f"#warning {raw_text(source, rest)}".rstrip(), loc)
        elif name == "pragma":
            if rest and rest[0].text == "once" and path is not None:
                self._once.add(path.resolve())
        elif name != "line" and line[1].kind is not Kind.INT:
            self.diagnostics.error(f"unknown preprocessor directive '#{name}'", loc)

    def _branch(self, name: str, rest: list[Token], loc: Location, sections: list[_Section], active: bool) -> bool:
        if not sections:
            self.diagnostics.error(f"#{name} without #if", loc)
            return active
        section = sections[-1]
        if name == "endif":
            sections.pop()
            return section.outer
        if section.seen_else:
            self.diagnostics.error(f"#{name} after #else", loc, ("the condition begins here", section.loc))
        if name == "else":
            section.seen_else = True
            section.active = section.outer and not section.taken
        else:
            section.active = section.outer and not section.taken and self._condition("if", rest, loc)
        section.taken = section.taken or section.active
        return section.active

    def _condition(self, name: str, rest: list[Token], loc: Location) -> bool:
        if name in ("ifdef", "ifndef"):
            if not rest or rest[0].kind not in (Kind.NAME, Kind.KEYWORD):
                self.diagnostics.error(f"#{name} needs the name of a macro", loc)
                return False
            return (rest[0].text in self.macros) == (name == "ifdef")
        resolved: list[Token] = []
        index = 0
        while index < len(rest):
            token = rest[index]
            if token.text != "defined":
                resolved.append(token)
                index += 1
                continue
            inner = rest[index + 1 : index + 4]
            if len(inner) == 3 and inner[0].text == "(" and inner[2].text == ")":
                wanted, index = inner[1], index + 4
            elif inner and inner[0].kind in (Kind.NAME, Kind.KEYWORD):
                wanted, index = inner[0], index + 2
            else:
                self.diagnostics.error("'defined' needs the name of a macro", token.loc)
                return False
            resolved.append(Token(Kind.INT, "1" if wanted.text in self.macros else "0", token.loc))
        return evaluate_condition(self._expand(resolved), loc, self.diagnostics)

    def _include(self, rest: list[Token], loc: Location, path: Path | None) -> None:
        tokens = rest if rest and (rest[0].kind is Kind.STRING or rest[0].text == "<") else self._expand(rest)
        if tokens and tokens[0].kind is Kind.STRING:
            name, quoted = tokens[0].text[1:-1], True
        elif len(tokens) > 2 and tokens[0].text == "<" and tokens[-1].text == ">":
            name, quoted = tokens[0].loc.source.text[tokens[0].loc.end : tokens[-1].loc.start], False
        else:
            self.diagnostics.error('#include needs "FILE" or <FILE>', loc)
            return
        folders = [*self.include_dirs, BUILTIN_INCLUDES]
        if quoted and path is not None:
            folders.insert(0, path.parent)
        where = loc.to(tokens[-1].loc)
        for folder in folders:
            candidate = folder / name
            if isfile(candidate):  # unlike Path.is_file false for any name that cannot be one
                break
        else:
            self.diagnostics.error(f"cannot find '{name}'; looked in {', '.join(map(str, folders))}", where)
            return
        if candidate.resolve() in self._once:
            return
        if self._depth >= MAX_INCLUDE_DEPTH:
            self.diagnostics.error(f"includes are nested more than {MAX_INCLUDE_DEPTH} deep", where)
            return
        try:
            text = read_text(candidate)
        except OSError as error:
            self.diagnostics.error(f"cannot read {candidate}: {error.strerror}", where)
            return
        self.included.append(candidate)
        self._depth += 1
        self._file(Source(str(candidate), text, system=candidate.parent == BUILTIN_INCLUDES), candidate)
        self._flush()
        self._depth -= 1

    def _define(self, rest: list[Token], loc: Location) -> None:
        if not rest or rest[0].kind not in (Kind.NAME, Kind.KEYWORD):
            self.diagnostics.error("#define needs a name", loc)
            return
        name, index = rest[0], 1
        parameters: tuple[str, ...] | None = None
        if len(rest) > 1 and rest[1].text == "(" and rest[1].loc.start == name.loc.end:
            close = next((i for i, t in enumerate(rest) if t.text == ")"), None)
            if close is None:
                self.diagnostics.error("this macro's parameter list is never closed", rest[1].loc)
                return
            names = rest[2:close]
            wrong = [t for i, t in enumerate(names) if (t.text == ",") != (i % 2 == 1)]
            if wrong or (names and len(names) % 2 == 0):
                self.diagnostics.error("expected macro parameters as in NAME(a, b)", (wrong or names)[0].loc)
                return
            parameters, index = tuple(t.text for t in names[::2]), close + 1
        self.macros[name.text] = Macro(name.text, parameters, tuple(rest[index:]), name.loc)

    # Macro expansion

    def _flush(self) -> None:
        """Expands what was read since the last directive."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        macros = self.macros
        if any(t.text in macros or t.text in ("__LINE__", "__FILE__") for t in pending):
            pending = self._expand(pending)
        self._output.extend(pending)

    def _expand(self, tokens: Iterable[Token]) -> list[Token]:
        # A stack of (token, names of macros it came from), next token on top.
        stack: list[tuple[Token, frozenset[str]]] = [(t, frozenset()) for t in tokens]
        stack.reverse()
        output: list[Token] = []
        while stack:
            token, hidden = stack.pop()
            macro = self.macros.get(token.text) if token.kind in (Kind.NAME, Kind.KEYWORD) else None
            if macro is None or token.text in hidden:
                output.append(self._position_macro(token))
                continue
            self._budget -= 1
            if self._budget < 0:
                self.diagnostics.error("macros expand without end", token.loc)
                return output
            if macro.parameters is None:
                body = [Token(t.kind, t.text, token.loc) for t in macro.body]
                if any(t.text == "##" for t in body):
                    body = paste(body)
            else:
                if not stack or stack[-1][0].text != "(":
                    output.append(token)
                    continue
                arguments = self._arguments(macro, token, stack)
                if arguments is None:
                    continue
                body = self._substitute(macro, arguments, token.loc)
            inner = hidden | {macro.name}
            stack.extend((t, inner) for t in reversed(body))
        return output

    def _position_macro(self, token: Token) -> Token:
        if token.text == "__LINE__":
            return Token(Kind.INT, str(token.loc.line), token.loc)
        if token.text == "__FILE__":
            return Token(Kind.STRING, f'"{token.loc.source.path}"', token.loc)
        return token

    def _arguments(
        self, macro: Macro, use: Token, stack: list[tuple[Token, frozenset[str]]]
    ) -> list[list[Token]] | None:
        """Takes '(' ... ')' off the stack; None after an error."""
        assert macro.parameters is not None
        stack.pop()
        arguments: list[list[Token]] = [[]]
        depth = 0
        while True:
            if not stack:
                self.diagnostics.error(f"the arguments of macro '{macro.name}' are never closed", use.loc)
                return None
            token, _ = stack.pop()
            if token.text == ")" and depth == 0:
                break
            depth += (token.text in ("(", "{", "[")) - (token.text in (")", "}", "]"))
            last = macro.parameters[-1:] == ("...",) and len(arguments) == len(macro.parameters)
            if token.text == "," and depth == 0 and not last:
                arguments.append([])
            else:
                arguments[-1].append(token)
        if not macro.parameters and arguments == [[]]:
            return []
        if len(arguments) != len(macro.parameters):
            wanted, given = len(macro.parameters), len(arguments)
            note = [(f"'{macro.name}' is defined here", macro.loc)] if macro.loc else []
            self.diagnostics.error(f"macro '{macro.name}' takes {wanted} arguments, not {given}", use.loc, *note)
            return None
        return arguments

    def _substitute(self, macro: Macro, arguments: list[list[Token]], loc: Location) -> list[Token]:
        assert macro.parameters is not None
        names = ["__VA_ARGS__" if p == "..." else p for p in macro.parameters]
        by_name = dict(zip(names, arguments, strict=True))
        result: list[Token] = []
        body = macro.body
        index = 0
        while index < len(body):
            token = body[index]
            following = body[index + 1].text if index + 1 < len(body) else ""
            if token.text == "#" and following in by_name:
                text = " ".join(t.text for t in by_name[following]).replace("\\", "\\\\").replace('"', '\\"')
                result.append(Token(Kind.STRING, f'"{text}"', loc))
                index += 2
                continue
            if token.text in by_name:
                pasted = following == "##" or (index > 0 and body[index - 1].text == "##")
                argument = by_name[token.text]
                result.extend(argument if pasted else self._expand(argument))
            else:
                result.append(Token(token.kind, token.text, loc))
            index += 1
        return paste(result) if any(t.text == "##" for t in result) else result


def paste(tokens: list[Token]) -> list[Token]:
    """Joins the neighbours of each '##' into one token."""
    result: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.text == "##" and result and index + 1 < len(tokens):
            left, right = result.pop(), tokens[index + 1]
            joined = tokenize(Source("<pasted>", left.text + right.text))[:-1]
            result.extend(Token(t.kind, t.text, left.loc) for t in joined)
            index += 2
        else:
            result.append(token)
            index += 1
    return result


def raw_text(source: Source, tokens: list[Token]) -> str:
    """The rest of a directive's line as it was written."""
    if not tokens:
        return ""
    return source.text[tokens[0].loc.start : tokens[-1].loc.end]


def read_text(path: Path) -> str:
    """A file's text without a byte-order mark; bytes that are no UTF-8 become replacement characters (comments may
    have them)."""
    return path.read_bytes().decode("utf-8-sig", errors="replace")


__all__ = ["BUILTIN_INCLUDES", "Macro", "Preprocessor", "describe"]
