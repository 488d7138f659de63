"""The documents name what there is: fields of the files that people write, commands, files of the checkout."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from controller import network
from hosts import config
from topo import topology

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
            assert row[1].strip("` ") == str(default), name
            told += 1
    assert told >= 1


DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
ROOMS = "p4|p4compiler|p4switch|controller|hosts|topo|sim|bench|scripts|tests|docs"


def _files(document: Path) -> tuple[set[Path], set[Path]]:
    """The files of the checkout that a document names in code, and those that it links to."""
    text = document.read_text(encoding="utf-8")
    named = {REPOSITORY / name for name in re.findall(rf"`((?:{ROOMS})/[\w./-]*)`", text)}
    links = {link for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text) if "://" not in link}
    return named, {document.parent / link for link in links}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_a_document_names_are_there(document: Path) -> None:
    named, linked = _files(document)
    assert [path for path in sorted(named | linked) if not path.exists()] == []


def test_every_document_is_linked_from_the_readme_or_a_document_that_is() -> None:
    seen, waiting = set(), [REPOSITORY / "README.md"]
    while waiting:
        document = waiting.pop().resolve()
        if document in seen:
            continue
        seen.add(document)
        waiting += [path for path in _files(document)[1] if path.suffix == ".md"]
    assert seen == {document.resolve() for document in DOCUMENTS}
