"""Ways to break the code, each of which must be noticed: they stand in ``mutants.txt``.

The file is a list of blocks, parted by empty lines:

    mutant: its name
    test: the test that finds it; without this line it is for the simulator to find
    why: why only a test can
    file: the file that is changed; then lines of it, which stand there exactly once
     |a line that stays
    -|a line that goes
    +|a line that comes
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("mutants.txt")


@dataclass(frozen=True, slots=True)
class Edit:
    """``old`` stands once in ``file``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """``test``: the test that finds it, "" for the simulator; ``why`` only a test can."""

    name: str
    edits: tuple[Edit, ...]
    test: str = ""
    why: str = ""


def read(path: Path = LIST) -> tuple[Mutant, ...]:
    """The mutants in the order of the file. Raises ValueError with the line for what is none."""
    mutants: list[Mutant] = []
    fields: dict[str, str] = {}
    edits: list[list[str]] = []
    for number, line in enumerate([*path.read_text(encoding="utf-8").splitlines(), ""], start=1):
        key, colon, rest = line.partition(": ")
        if not line:
            if fields:
                mutants.append(_mutant(fields, edits, number))
            fields, edits = {}, []
        elif line[1:2] == "|" and line[0] in " -+" and edits:
            edits[-1].append(line)
        elif key == "file" and fields:
            edits.append([rest])
        elif colon and key in ("mutant", "test", "why") and not edits:
            fields[key] = rest
        else:
            raise ValueError(f"{path}: line {number}: {line!r}")
    return tuple(mutants)


def _mutant(fields: dict[str, str], edits: list[list[str]], number: int) -> Mutant:
    if "mutant" not in fields or not edits or ("test" in fields) != ("why" in fields):
        raise ValueError(f"{LIST}: before line {number}: a mutant has a name, an edit, and a reason for a test")
    changes = tuple(
        Edit(
            file,
            "".join(line[2:] + "\n" for line in lines if line[0] in " -"),
            "".join(line[2:] + "\n" for line in lines if line[0] in " +"),
        )
        for file, *lines in edits
    )
    return Mutant(fields["mutant"], changes, fields.get("test", ""), fields.get("why", ""))
