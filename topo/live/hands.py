"""What may be done from the page: commands of `switchraft`, by their words, parsed by the commands' own parser.

So the words that the page shows are the command that does the same in a shell. What carries them out is what carries
the command out: the lab behind its socket, and the functions of topo/lab and topo/views. Options that name files, or
that let a request last, are not for the page.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from topo.errors import UsageError
from topo.lab import membership
from topo.lab.links import sides_of
from topo.lab.running_lab import Live
from topo.views import features

Params = dict[str, Any]
Do = Callable[[Params], str]

MOST_WORDS, LONGEST_WORD = 64, 16 * 1024


def _change(**request: Any) -> str:
    return Live.find().change(request)


def _node(action: str) -> Do:
    return lambda given: "; ".join(_change(cmd="node", action=action, name=name) for name in given["names"])


def _link(given: Params) -> str:
    if given["action"] not in ("down", "up"):
        raise UsageError(f"unknown action {given['action']!r}: choose down or up")
    up = given["action"] == "up"
    return _change(cmd="link", a=given["a"], b=given["b"], up=up, one_way=given["one_way"])


def _partition(given: Params) -> str:
    return _change(cmd="partition", sides=sides_of(given["sides"]))


def _client(operation: str, *operands: str) -> Do:
    def ask(given: Params) -> str:
        if any(given[name] is None for name in operands):
            raise UsageError(f"{operation} needs {' and '.join(operands)}")
        return Live.find().change(
            {
                "cmd": "client",
                "operation": operation,
                "operands": [given[name] for name in operands],
                "origin": given["origin"],
                "target": given["target"],
                "group": given["group"],
            }
        )

    return ask


def _feature(on: bool) -> Do:
    return lambda given: features.changed(given["name"], on, given["switch"])


COMMANDS: Mapping[str, Do] = {
    **{f"node {action}": _node(action) for action in ("kill", "start", "pause", "resume")},
    "switch": lambda given: _change(cmd="switch", action=given["action"], name=given["name"]),
    "controller": lambda given: _change(cmd="controller", action=given["action"]),
    "link": _link,
    "partition": _partition,
    "heal": lambda _: _change(cmd="heal"),
    "send": _client("send", "value"),
    "put": _client("put", "key", "value"),
    "get": _client("get", "key"),
    "delete": _client("delete", "key"),
    "transfer": lambda given: membership.transferred(membership.of(Live.find(), given["group"]), given["host"]),
    "member add": lambda given: membership.added(membership.of(Live.find(), given["group"]), given["host"]),
    "member remove": lambda given: membership.removed(membership.of(Live.find(), given["group"]), given["host"]),
    "feature on": _feature(True),
    "feature off": _feature(False),
}
TAKEN = {"action", "name", "names", "a", "b", "one_way", "sides", "value", "key", "origin", "target", "group"}
TAKEN |= {"host", "switch"}
"""Parameters that the page may set; all others stay as they are by default."""


@dataclass(frozen=True)
class Command:
    """A command that may be carried out."""

    name: str
    words: tuple[str, ...]
    params: Params

    @property
    def text(self) -> str:
        """As a person would type it."""
        return f"switchraft {shlex.join(self.words)}"

    @property
    def is_request(self) -> bool:
        """Whether a client asks the cluster by it."""
        return self.name in ("send", "put", "get", "delete")

    @property
    def is_told_by_lab(self) -> bool:
        """Whether the lab itself tells those who watch it."""
        return not self.name.startswith(("member", "transfer", "feature"))

    def run(self) -> str:
        """Carry it out; may take a minute. Returns what was done. Raises LabError."""
        return COMMANDS[self.name](self.params)


def parse(root: Any, words: Sequence[Any]) -> Command:
    """A command of the page. ``root``: the parser of `switchraft`, as typer makes it. Raises UsageError for what is
    no command, or is not the page's to do."""
    if not 0 < len(words) <= MOST_WORDS or not all(isinstance(word, str) for word in words):
        raise UsageError("a command is a list of words")
    if any(len(word) > LONGEST_WORD or "\0" in word for word in words):
        raise UsageError(f"a word has at most {LONGEST_WORD} characters here; a shell takes longer ones")
    name = next((name for name in COMMANDS if list(words[: name.count(" ") + 1]) == name.split()), None)
    if name is None:
        raise UsageError(f"the page cannot do {shlex.join(words[:2])!r}")
    if "--help" in words[: words.index("--") if "--" in words else None]:
        raise UsageError("help is for shells")
    parser = root
    for word in name.split():
        parser = parser.commands[word]
    try:
        parsed = parser.make_context(name, list(words[name.count(" ") + 1 :]))
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise UsageError(error.format_message()) from None
    for param in parser.params:
        source = parsed.get_parameter_source(param.name)
        if source is not None and source.name == "COMMANDLINE" and param.name not in TAKEN:
            raise UsageError(f"{param.opts[0]} is not for the page")
    return Command(name, tuple(words), dict(parsed.params))
