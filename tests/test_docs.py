"""The documents name what there is: fields of the files that people write, commands, files and names of the code."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.util
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from controller import network
from hosts import config
from tests.test_rooms import MAY_IMPORT
from topo import cli, topology

REPOSITORY = Path(__file__).parents[1]
CONFIGURATION = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")


def _section(title: str) -> str:
    """What stands under a heading, up to the next of its kind."""
    (text,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", CONFIGURATION, re.MULTILINE | re.DOTALL)
    return str(text)


def _fields(kind: Any) -> set[str]:
    return set(kind.model_fields) if hasattr(kind, "model_fields") else {one.name for one in dataclasses.fields(kind)}


def _named(section: str) -> set[str]:
    """The fields in the first columns of a section's tables."""
    rows = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)}


@pytest.mark.parametrize(
    ("title", "kinds", "inner"),
    [
        ("cluster.yaml", [config._ClusterFile, config._GroupFile], []),
        ("Topology files", [topology.TopologyFile], [topology.HostFile, topology.GroupFile]),
        (
            "The network file",
            [network.Network],
            [network.Switch, network.Host, network.Link, network.Group, network.Member, network.Pipeline],
        ),
    ],
)
def test_every_field_of_a_file_is_described_and_no_other(title: str, kinds: list[Any], inner: list[Any]) -> None:
    section = _section(title)
    assert _named(section) == {name for kind in kinds for name in _fields(kind)}
    words = set(re.findall(r"`([a-z0-9_]+)`", section))
    for kind in inner:
        assert _fields(kind) <= words, kind


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        (config._ClusterFile, "cluster.yaml"),
        (topology.TopologyFile, "Topology files"),
        (network.Network, "The network file"),
    ],
)
def test_defaults_are_told(kind: Any, title: str) -> None:
    """Numbers and words; lists and nothing are told in words."""
    if hasattr(kind, "model_fields"):
        defaults = {name: field.default for name, field in kind.model_fields.items()}
    else:
        defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    section = _section(title)
    told = 0
    for name, default in defaults.items():
        row = re.search(rf"^\| `{name}` \| ([^|]*) \|", section, re.MULTILINE)
        if row is not None and isinstance(default, (int, str)):
            shown = str(default).lower() if isinstance(default, bool) else str(default)
            assert row[1].strip("` ") == shown, name
            told += 1
    assert told >= 1


DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
ROOMS = "p4|p4compiler|p4switch|controller|hosts|topo|sim|linearizability|bench|conformance|course|scripts|tests|docs"


def _files(document: Path) -> tuple[set[Path], set[Path]]:
    """The files of the checkout that a document names in code, and those that it links to."""
    text = document.read_text(encoding="utf-8")
    named = {REPOSITORY / name for name in re.findall(rf"`((?:{ROOMS})/[\w./-]*)`", text)}
    links = {link for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in link}
    return named, {document.parent / link for link in links}


MADE_BY_THE_READER = {
    "write-your-own-feature.md": {"p4/include/source_guard.p4", "tests/p4/test_source_guard.py"},
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_a_document_names_are_there(document: Path) -> None:
    named, linked = _files(document)
    made = {REPOSITORY / name for name in MADE_BY_THE_READER.get(document.name, ())}
    assert [path for path in sorted((named | linked) - made) if not path.exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_headings_that_a_document_links_to_are_there(document: Path) -> None:
    for link, heading in re.findall(r"\]\(([^):]*)#([^)]+)\)", document.read_text(encoding="utf-8")):
        target = document.parent / link if link else document
        headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        known = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}
        assert heading in known, f"{link}#{heading}"


def test_every_document_is_linked_from_the_readme_or_a_document_that_is() -> None:
    seen, waiting = set(), [REPOSITORY / "README.md"]
    while waiting:
        document = waiting.pop().resolve()
        if document in seen:
            continue
        seen.add(document)
        waiting += [path for path in _files(document)[1] if path.suffix == ".md"]
    assert seen == {document.resolve() for document in DOCUMENTS}


# -- commands -------------------------------------------------------------------------------------------------------


def _code(document: Path) -> str:
    """What stands in code, inline or in blocks, a piece a line."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    \S.*$", text, re.MULTILINE)
    inline = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*blocks, *indented, *(piece.replace("\n", " ") for piece in inline)])


NO_COMMANDS = {"switchraft mac", "switchraft key"}
"""By these words the seal's MAC and key are told apart from others (docs/wire.md)."""

COMMANDS: Any = typer.main.get_command(cli.app)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_that_a_document_names_are_there(document: Path) -> None:
    for words in re.findall(r"(?:^|[ /])switchraft((?: [a-z-]+)+)", _code(document), re.MULTILINE):
        if f"switchraft{words}" in NO_COMMANDS:
            continue
        first, *rest = words.split()
        command = COMMANDS.commands.get(first)
        assert command is not None, f"switchraft {first}"
        group = getattr(command, "commands", None)
        assert group is None or not rest or rest[0] in group, f"switchraft {first} {rest[0]}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_modules_that_a_document_runs_are_there(document: Path) -> None:
    for name in re.findall(r"python -m ([a-z][\w.]*\w)", _code(document)):
        found = importlib.util.find_spec(name)
        assert found is not None, name
        assert found.submodule_search_locations is None or importlib.util.find_spec(f"{name}.__main__"), name


@functools.cache
def _listed() -> set[str]:
    """The targets that ``make`` lists."""
    printed = subprocess.run(["make"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^make ([\w-]+)", printed, re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_that_a_document_names_are_listed(document: Path) -> None:
    named = set(re.findall(r"(?:^|[ `])make ([a-z][\w-]*)", _code(document), re.MULTILINE))
    assert named - _listed() == set()


def test_make_lists_every_target() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    assert len(targets) > 10
    assert targets - _listed() == {"help"}


# -- the README, the map, the questions -----------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_who_imports_whom_is_told_as_it_is() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Who imports whom")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
    assert {room: set(re.findall(r"`(\w+)`", others)) for room, others in rows} == MAY_IMPORT


QUESTIONS = re.findall(
    r"^\d+\. \*\*(.+?)\*\*\n((?:    ?.+\n)+)",
    (REPOSITORY / "docs" / "questions.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
_PLACE = re.compile(r"`([\w/]+\.\w+)`(?:\s+\(((?:`[\w.]+`(?:,\s+)?)+)\))?")


def _names(path: Path) -> Iterator[str]:
    """What a file defines: in Python also methods, as ``Class.method``."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from re.findall(
            r"^(?:control|header|struct|enum \S+|static \w+(?: \w+)*|  table) \*?(\w+)", text, re.MULTILINE
        )
        return
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef))


def test_there_are_twenty_questions() -> None:
    assert len(QUESTIONS) == 20


@pytest.mark.parametrize(("question", "answer"), QUESTIONS, ids=[question for question, _ in QUESTIONS])
def test_what_an_answer_names_is_there(question: str, answer: str) -> None:
    places = _PLACE.findall(answer)
    assert places, question
    assert any(names for _, names in places), f"{question}: no name"
    for file, names in places:
        path = REPOSITORY / file
        assert path.is_file(), file
        missing = set(re.findall(r"`([\w.]+)`", names)) - set(_names(path))
        assert missing == set(), f"{file} has no {missing}"
