"""Who may import whom. The rules are a table; what is imported for type checking only counts as well."""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

REPOSITORY = Path(__file__).parents[1]
ROOMS = (
    "p4compiler",
    "p4switch",
    "controller",
    "hosts",
    "topo",
    "linearizability",
    "sim",
    "web",
    "bench",
    "conformance",
    "course",
)

MAY_IMPORT = {
    "p4compiler": set(),
    "p4switch": set(),
    "hosts": set(),
    "controller": {"hosts"},
    "linearizability": {"hosts"},
    "topo": {"hosts", "controller", "p4switch", "p4compiler", "linearizability", "sim", "web", "course"},
    "sim": {"hosts", "controller", "p4switch", "linearizability", "topo", "web"},
    "web": {"hosts", "controller", "p4switch", "topo"},
    "bench": {"hosts", "controller", "p4switch", "p4compiler", "topo"},
    "conformance": {"hosts", "controller", "p4switch", "p4compiler", "topo", "bench", "tests"},
    "course": {"hosts", "controller", "p4switch", "p4compiler", "topo", "sim", "web"},
}
"""Beside itself and what is installed."""

CORE_FORBIDDEN = {
    "asyncio",
    "threading",
    "_thread",
    "time",
    "datetime",
    "socket",
    "select",
    "selectors",
    "subprocess",
}
"""What ``hosts.raft`` may not even take from the standard library; ``random`` only for its class."""

GRPC = {"p4compiler": {"p4info"}, "p4switch": {"p4runtime"}, "hosts": set(), "topo": set(), "sim": set()}
"""The packages that may import finsy or grpc, where not all of a room may."""


def _modules() -> dict[str, Path]:
    found = {}
    for room in ROOMS:
        for path in (REPOSITORY / room).rglob("*.py"):
            name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = _modules()


def _imports(module: str) -> Iterator[str]:
    """The modules that a module imports, wherever in it that stands."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None and node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


@functools.cache
def _all_imports() -> dict[str, list[str]]:
    return {module: sorted(set(_imports(module))) for module in MODULES}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    own = {module: imported for module, imported in _all_imports().items() if module.split(".")[0] == room}
    assert own, "the room is empty"
    taken = {(module, other) for module, imported in own.items() for other in imported}
    local = {*ROOMS, "tests"}
    wrong = {
        (module, other)
        for module, other in taken
        if other.split(".")[0] in local - {room} and other.split(".")[0] not in MAY_IMPORT[room]
    }
    assert wrong == set()


def test_the_core_imports_the_standard_library_only_and_no_clock_socket_or_thread() -> None:
    core = [module for module in MODULES if module.startswith("hosts.raft")]
    assert len(core) > 10
    for module in core:
        for other in _all_imports()[module]:
            top = other.split(".")[0]
            assert other.startswith("hosts.raft") or top in sys.stdlib_module_names, f"{module} imports {other}"
            assert top not in CORE_FORBIDDEN, f"{module} imports {other}"
        for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert "random" not in {alias.name for alias in node.names}, f"{module} imports the global random"
            elif isinstance(node, ast.ImportFrom) and node.module == "random":
                assert {alias.name for alias in node.names} == {"Random"}, f"{module} imports the global random"


def test_finsy_and_grpc_stay_where_p4runtime_is_spoken() -> None:
    for module, imported in _all_imports().items():
        room, _, rest = module.partition(".")
        if room in GRPC and rest.split(".")[0] not in GRPC[room]:
            assert not {other for other in imported if other.split(".")[0] in ("finsy", "grpc")}, module


def test_no_file_is_in_a_circle_of_imports() -> None:
    graph = nx.DiGraph(
        (one, other) for one, imported in _all_imports().items() for other in imported if other in MODULES
    )
    circles = {frozenset(circle) for circle in nx.strongly_connected_components(graph) if len(circle) > 1}
    assert circles == set()


MOST_FILES = 25
"""Python files in one folder."""

LISTED_FROM = 15
"""A package of more files than that names each in its docstring."""


def test_no_folder_holds_more_files_than_one_can_look_through() -> None:
    folders = {path.parent for room in (*ROOMS, "tests") for path in (REPOSITORY / room).rglob("*.py")}
    assert len(folders) > 30
    sizes = {folder.relative_to(REPOSITORY): len(list(folder.glob("*.py"))) for folder in folders}
    assert {str(folder): size for folder, size in sizes.items() if size > MOST_FILES} == {}


def test_every_package_says_what_is_in_it() -> None:
    packages = [path for path in MODULES.values() if path.name == "__init__.py"]
    assert len(packages) > 20
    for path in packages:
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        assert said, f"{path} has no docstring"
        modules = sorted(other.stem for other in path.parent.glob("*.py") if not other.stem.startswith("__"))
        if len(modules) > LISTED_FROM:
            missing = [name for name in modules if not re.search(rf"\b{name}\b", said)]
            assert missing == [], f"{path} does not name {missing}"


def test_labs_are_made_in_their_folder_only() -> None:
    """`make test` looks for them nowhere else, and for tests that need root where "mark.root" stands, so that it need
    not read all tests first."""
    marked = re.compile(r"mark\.lab\b|\.add_marker\(")
    files = [file for file in (REPOSITORY / "tests").rglob("*.py") if "lab" not in file.relative_to(REPOSITORY).parts]
    assert len(files) > 100
    assert [str(file) for file in files if marked.search(file.read_text())] == []
