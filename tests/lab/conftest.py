"""A lab for each file of tests, on the switch that SWITCHRAFT_SWITCH names (default: embedded); SWITCHRAFT_COMPILER
chooses the compiler.

It lives in ``build/test``, so a user's node data stays untouched. After each test whatever was broken is mended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests import forked
from tests.live.living import LivePage, web_command
from tests.web.browser import chromium
from topo import paths
from topo.errors import LabError
from topo.lab import record
from topo.lab.process import with_token
from topo.lab.running_lab import Live
from topo.topology import find
from topo.views import counters, log, status

BUILD = paths.ROOT / "build" / "test"
PATIENCE_S = 60.0
"""For conditions that come true in a second on an idle machine."""

STARTED = ("lab", "demo", "soak", "exec", "capture", "follow")
"""Commands that stay, or become another program: they begin with a start of Python, as a user's do."""

Result = TypeVar("Result")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("lab")
            item.add_marker("root")


def wait(what: str, look: Callable[[], Result | bool | None], seconds: float = PATIENCE_S) -> Result:
    """Call ``look`` until it returns something true."""
    deadline = time.monotonic() + seconds
    problem: Exception | None = None
    while time.monotonic() < deadline:
        try:
            found = look()
        except (LabError, OSError, AssertionError) as error:
            found, problem = None, error
        if found:
            return found  # type: ignore[return-value]
        time.sleep(0.05)
    raise AssertionError(f"no {what} within {seconds:.0f} s" + (f" ({problem})" if problem else ""))


@dataclass(frozen=True)
class Shell:
    """The `switchraft` command with the tests' build folder."""

    build: Path = BUILD

    def try_(self, *arguments: str, timeout: float = 180, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail."""
        more = {"SWITCHRAFT_BUILD": str(self.build), **environment}
        if arguments[0] not in STARTED:
            return forked.run("topo.cli", *arguments, timeout=timeout, **more)
        return subprocess.run(
            [sys.executable, "-m", "topo.cli", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=paths.ROOT,
            env={**os.environ, **more},
            check=False,
        )

    def run(self, *arguments: str, timeout: float = 180) -> str:
        """Run a command that must succeed. Returns what it printed."""
        done = self.try_(*arguments, timeout=timeout)
        assert done.returncode == 0, f"switchraft {' '.join(arguments)}: {done.stderr or done.stdout}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def lab(self, *arguments: str) -> str:
        """Start a lab on the switch under test."""
        kind, compiler = os.environ.get("SWITCHRAFT_SWITCH", "embedded"), os.environ.get("SWITCHRAFT_COMPILER")
        choice = ["--switch", kind, *(["--compiler", compiler] if compiler else [])]
        return self.run("lab", "--detach", *choice, *arguments)


@dataclass(frozen=True)
class Lab(Shell):
    """The running lab."""

    @property
    def live(self) -> Live:
        return Live.find()

    def leader(self, *, other_than: str | None = None, seconds: float = PATIENCE_S) -> str:
        """Wait for a leader to whom all switches that run steer."""

        def settled() -> str | None:
            group = status.leaders(self.live)[0]
            routes = {entry["leader"] for entry in group["switches"].values()}
            leader = group["leader"]
            if leader == other_than or routes != {leader}:
                return None
            return str(leader) if leader else None

        return wait("leader to whom the switches steer", settled, seconds)

    def values(self, node: str) -> list[Any]:
        """The JSON form of what a node has applied."""
        return log.values_of(self.live, node)

    def equal_values(self, nodes: tuple[str, ...] = ("h1", "h2", "h3")) -> list[Any]:
        """Wait until the nodes hold the same list."""

        def equal() -> list[list[Any]] | None:
            lists = [self.values(node) for node in nodes]
            return [lists[0]] if all(values == lists[0] for values in lists) else None

        return wait("equal lists on all nodes", equal)[0]

    def entries(self, switch: str, table: str) -> list[dict[str, Any]]:
        """A table's entries, each as its match fields and parameters together: from the switch itself."""
        return [{**entry["match"], **entry["params"]} for entry in counters.tables(self.live, switch)[table]]

    def drops(self, switch: str) -> dict[str, int]:
        """Packets that a switch dropped, by reason."""
        return {reason: count["packets"] for reason, count in self.json("counters")[switch]["drops"].items()}

    def term(self) -> int:
        """The leader's term."""
        return int(status.leaders(self.live)[0]["term"])

    def mend(self) -> None:
        """Start and heal everything, and wait until it serves."""
        live = self.live
        live.change({"cmd": "heal"})
        for running in live.record.processes:
            if running.state == "paused":
                live.change(_request(running.kind, "resume", running.name))
            elif not running.alive:
                live.change(_request(running.kind, "start", running.name))
        self.leader()


def _request(kind: str, action: str, name: str) -> dict[str, Any]:
    return {"cmd": kind, "action": action} | ({} if kind == "controller" else {"name": name})


def nothing_left(token: str) -> None:
    """Asserts that neither processes nor interfaces nor sockets of a lab are there."""
    assert with_token(token) == []
    triangle = find("triangle")
    interfaces = {name for switch in triangle.switches for name in triangle.ports(switch.name).values()}
    assert [name for name in interfaces if record.index_of(name)] == []
    assert not paths.record().exists()
    assert not paths.lab_socket().exists()


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Where the tests run in a shell's background, Ctrl-C is ignored, and what they start would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def build_folder() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.fail("the lab's tests need root: sudo make test", pytrace=False)
    before = os.environ.get("SWITCHRAFT_BUILD")
    os.environ["SWITCHRAFT_BUILD"] = str(BUILD)
    paths.make(BUILD)
    yield BUILD
    paths.give_all(BUILD)
    if before is None:
        del os.environ["SWITCHRAFT_BUILD"]
    else:
        os.environ["SWITCHRAFT_BUILD"] = before


@contextmanager
def running(*options: str) -> Iterator[Lab]:
    """A lab, of which nothing is left afterwards."""
    lab = Lab()
    lab.run("stop")
    lab.lab(*options)
    token = lab.live.record.token
    try:
        yield lab
    finally:
        lab.run("stop")
        nothing_left(token)


@pytest.fixture(scope="module")
def module_lab(build_folder: Path) -> Iterator[Lab]:
    with running() as lab:
        yield lab


@pytest.fixture
def lab(module_lab: Lab) -> Iterator[Lab]:
    """The file's lab, whole before each test as the one before it left it so."""
    yield module_lab
    module_lab.mend()


@pytest.fixture
def shell(build_folder: Path) -> Iterator[Shell]:
    """The command where no lab runs; one that a test starts is gone afterwards."""
    shell = Shell()
    shell.run("stop")
    yield shell
    shell.run("stop")


@pytest.fixture
def own_lab(shell: Shell) -> Iterator[Lab]:
    """A lab for one test: nothing has happened in it, and what the test leaves is nobody's."""
    lab = Lab()
    lab.lab()
    token = lab.live.record.token
    yield lab
    lab.run("stop")
    nothing_left(token)


@pytest.fixture(scope="module")
def served(build_folder: Path) -> Iterator[Callable[[], str]]:
    """`switchraft web`; gives addresses."""
    with web_command() as address:
        yield address


@pytest.fixture(scope="module")
def page(served: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePage]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        one = LivePage(driver)
        one.size(1280, 800)
        yield one


@pytest.fixture
def live(lab: Lab, page: LivePage, served: Callable[[], str]) -> LivePage:
    """The page of the file's lab, opened anew."""
    page.enter(served())
    page.until(lambda: page.leader() is not None)
    page.js("switchraft.choose(null)")
    page.driver.get_log("browser")
    return page
