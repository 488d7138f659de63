"""The command line: p4c-bm2-ss's flags, so that a Makefile written for that compiler works with this one.

One difference: -o may name a folder, which gets PROG.json and PROG.p4info.txtpb.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

DEFAULT_MOST_ERRORS = 20
FORMATS = {".txtpb": "text", ".txt": "text", ".json": "json", ".bin": "binary"}
"""How P4Info is written, by the file's suffix."""

# Flags that are taken so that Makefiles for p4c-bm2-ss work, and that change nothing here.
_IGNORED_ALONE = ("-g", "-v", "--nocpp", "--ndebug", "--testJson", "--loopsUnroll", "--doNotEmitIncludes")
_IGNORED_WITH_VALUE = (
    *("-T", "-W", "--top4", "--dump", "--toJSON", "--pp", "--metrics", "--parser-inline-opt"),
    *("--p4runtime-entries-file", "--p4runtime-entries-files", "--excludeFrontendPasses", "--excludeMidendPasses"),
)
_IGNORED_WITH_ATTACHED_VALUE = ("-O", "--disable-annotations", "--Winfo", "--Wwarn")
_WITH_ATTACHED_VALUE = ("--Wdisable", "--Werror", *_IGNORED_WITH_ATTACHED_VALUE)
"""Flags whose value, if any, is in the same word: the next word is not theirs."""


@dataclass(frozen=True)
class Options:
    """What to compile, and what to write.

    ``json``: the BMv2 JSON, None: not wanted. ``p4info``: its files, each with its format. ``wireshark``: the
    dissector's file, and ``more``: Lua to append to it. ``ignored``: flags that were given and change nothing.
    """

    program: Path
    json: Path | None
    p4info: tuple[tuple[Path, str], ...]
    include: tuple[Path, ...] = ()
    defines: tuple[tuple[str, str], ...] = ()
    hide_warnings: bool = False
    refuse_warnings: bool = False
    most_errors: int = DEFAULT_MOST_ERRORS
    wireshark: Path | None = None
    more: tuple[Path, ...] = ()
    ignored: tuple[str, ...] = ()


def parse(arguments: Sequence[str] | None, prog: str) -> Options:
    """Read a command line without the program's name (None: the process's own). A wrong one ends the process."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = _parser(prog)
    given = parser.parse_args([f"{word}=" if word in _WITH_ATTACHED_VALUE else word for word in words])
    json, p4info = _outputs(parser, given)
    return Options(
        given.program,
        json,
        p4info,
        tuple(given.include),
        _defines(parser, given),
        given.Wdisable == "",
        given.Werror == "",
        given.maxErrorCount,
        given.wireshark,
        tuple(given.wireshark_with),
        _ignored(given),
    )


def _outputs(
    parser: argparse.ArgumentParser, given: argparse.Namespace
) -> tuple[Path | None, tuple[tuple[Path, str], ...]]:
    """The JSON and P4Info's files. Where -o names a file, as for p4c-bm2-ss, P4Info is written only if asked for. Who
    wants a dissector gets the other two only if they are asked for as well."""
    if given.wireshark_with and given.wireshark is None:
        parser.error("--wireshark-with goes with --wireshark")
    alone = given.wireshark is not None and given.output is None
    out: Path = given.output or Path(".")
    as_file = out.suffix == ".json" and not out.is_dir()
    asked = [Path(name) for name in given.p4runtime_files.split(",") if name]
    wrong = [path for path in asked if path.suffix not in FORMATS]
    if wrong:
        parser.error(f"--p4runtime-files {wrong[0]}: the suffix must be one of {', '.join(FORMATS)}")
    p4info = [(path, FORMATS[path.suffix]) for path in asked]
    if given.p4runtime_file is not None:
        p4info.append((given.p4runtime_file, given.p4runtime_format))
    if alone:
        return None, tuple(p4info)
    if not (p4info or as_file or given.no_p4info):
        p4info = [(out / f"{given.program.stem}.p4info.txtpb", "text")]
    return out if as_file else out / f"{given.program.stem}.json", tuple(p4info)


def _defines(parser: argparse.ArgumentParser, given: argparse.Namespace) -> tuple[tuple[str, str], ...]:
    defines = {}
    for item in given.define:
        name, _, value = item.partition("=")
        if not name.isidentifier():
            parser.error(f"-D {item}: expected NAME or NAME=VALUE")
        defines[name] = value or "1"
    return tuple((name, value) for name, value in defines.items() if name not in given.undefine)


def _ignored(given: argparse.Namespace) -> tuple[str, ...]:
    """Warnings have no names here, so those flags can be followed for all warnings only."""
    values = vars(given)
    named = [f"--{name}={values[name]}" for name in ("Wdisable", "Werror") if values[name]]
    flags = (*_IGNORED_ALONE, *_IGNORED_WITH_VALUE, *_IGNORED_WITH_ATTACHED_VALUE)
    return (*named, *(flag for flag in flags if values[_name(flag)] is not None))


def _name(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="P4_16 (v1model) to BMv2 JSON and P4Info; takes the flags of p4c-bm2-ss.",
        allow_abbrev=False,
    )
    parser.add_argument("program", type=Path, help="the P4 program")
    parser.add_argument(
        *("-o", "--output"),
        type=Path,
        metavar="FILE.json|DIR",
        help="the JSON's file; or a folder for PROG.json and PROG.p4info.txtpb (default: here)",
    )
    parser.add_argument(
        "--wireshark", type=Path, metavar="OUT.lua", help="write a dissector for Wireshark; without -o, nothing else"
    )
    parser.add_argument(
        "--wireshark-with",
        type=Path,
        action="append",
        default=[],
        metavar="MORE.lua",
        help="append this to the dissector",
    )
    parser.add_argument("-I", dest="include", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("-D", dest="define", action="append", default=[], metavar="NAME[=VALUE]")
    parser.add_argument("-U", dest="undefine", action="append", default=[], metavar="NAME", help="undo a -D")
    parser.add_argument(
        "--p4runtime-files",
        default="",
        metavar="FILE,...",
        help="P4Info's files; the format is that of the suffix: .txtpb, .json or .bin",
    )
    parser.add_argument("--p4runtime-file", type=Path, metavar="FILE", help="one more, in --p4runtime-format")
    parser.add_argument("--p4runtime-format", choices=("binary", "json", "text"), default="binary")
    parser.add_argument("--no-p4info", action="store_true", help="write the JSON only")
    parser.add_argument(
        "--std", "--p4v", choices=("p4-16", "p4_16", "16", "1.2"), metavar="p4-16", help="the language; there is one"
    )
    parser.add_argument("-b", "--target", choices=("bmv2",), help="there is one")
    parser.add_argument("-a", "--arch", choices=("v1model",), help="there is one")
    parser.add_argument("--emit-externs", action="store_true", help="the JSON has the program's externs anyway")
    parser.add_argument("--Wdisable", metavar="", help="hide warnings")
    parser.add_argument("--Werror", metavar="", help="warnings are errors")
    parser.add_argument(
        "--maxErrorCount", type=int, default=DEFAULT_MOST_ERRORS, metavar="N", help="stop after N errors"
    )
    parser.add_argument("--version", action="version", version=f"{prog} {_version()}")
    for flag in _IGNORED_ALONE:
        parser.add_argument(flag, dest=_name(flag), action="store_const", const=True, help=argparse.SUPPRESS)
    for flag in (*_IGNORED_WITH_VALUE, *_IGNORED_WITH_ATTACHED_VALUE):
        parser.add_argument(flag, dest=_name(flag), help=argparse.SUPPRESS)
    return parser


def _version() -> str:
    try:
        return metadata.version("p4lite")
    except metadata.PackageNotFoundError:
        return "(checkout)"
