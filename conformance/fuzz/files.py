"""Mutated cluster, topology and network files: each is taken, or refused in one line with the file, line and field.

What is taken must mean the same when it is written out again; and whatever topology is taken, the controller and the
nodes must take the files that the lab makes of it.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from conformance.fuzz.cases import REPOSITORY, Corpus, Fault, Found, run_cases
from controller import network
from hosts import config
from hosts.files import strict_yaml
from topo import topology
from topo.errors import FileError
from topo.lab import configs

KINDS = {"cluster": ".yaml", "topology": ".yaml", "network": ".json", "network in YAML": ".yaml"}
"""What an input is for, and how its file's name ends."""
LONGEST_ERROR = 1000
ABOUT_THE_WHOLE = (
    *("cannot be read", "not YAML", "not JSON", "nested more", "the tag", "a key must be"),
    *("expected fields", "more than", "holds the"),
)
"""How errors begin that have no field to name, or no more than the line that it is in."""
LONG = 50_000
"""Characters of an input of which no other is made."""
WORDS = (
    "0", "1", "01", "0x1", "0b1", "0o1", "1_0", "1.0", "1e3", "-1", "+1", "255", "65536", "9" * 30, "1:30",
    "190:20:30", ".inf", "-.inf", ".nan", "true", "yes", "no", "on", "Off", "y", "~", "null", "", '""', "''",
    "2001-01-01", "2001-12-14t21:59:43.10-05:00", "=", "<<", "*a", "&a x", "&a", "*b", "!!int '1'", "!!str 1",
    "!!binary aGk=", "!!python/name:os.system", "!x", "[]", "{}", "[[", "]]", "{{", "}}", "? a", "- a", "|\n  x",
    ">\n  x", '"\\0"', '"\\UFFFFFFFF"', '"\\ud800"', '"\\x85"', "\t", "\ufeff", "\u2028", "\u0000", "\u0001", "%YAML",
    "---", "...", "#", "0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1", "10.0.1", "10.0.1.01",
    "10.0.1.1:0", "10.0.1.1:01", "10.0.1.1:99999", "::1", "h1", "s1", "lab", "service", "h" * 9, "h" * 10,
    "x" * 300, "../x", ".", "node2", "é", "\U0001f600",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 254, 255, 509, 510, 65535, 65536, 2**63, 2**64, 10**30, 1.0, 1.5, float("nan"),
    float("inf"), "", "1", "01", "x", "h1", "s1", "10.0.1.1", "0.0.0.0", "239.0.0.1", "10.0.1.1:1", "a\0b", "a\nb",
    "\ud800", [], {}, [[]], {"a": 1}, {"1": "10.0.1.1"}, ["h1", "h2"], "x" * 100,
)  # fmt: skip
SETTINGS = """heartbeat_ms: 60
election_timeout_ms: 400
reassembly_mib: 32
snapshot_entries: 1000
snapshot_mib: 16
reads: lease
mtu: 9000
hints: false
acknowledgements: lazy
network: p4
"""
"""Of a cluster file, what need not stand there, each with another value than it has then."""
KEYS = ("x", "", "1", 1, 2, 7, 255, 300, "h1", "h9", "id", "service", "spares", "names", "key_file", "port", "votes")


def sources() -> list[tuple[str, str]]:
    """Valid inputs of all kinds."""
    found: list[tuple[str, str]] = []
    for file in sorted(topology.FOLDER.glob(f"*{topology.SUFFIX}")):
        found.append(("topology", file.read_text(encoding="utf-8")))
        one = topology.read(file)
        told = configs.network(one)
        found.append(("network", json.dumps(told, indent=1)))
        found.append(("network in YAML", yaml.safe_dump(told, sort_keys=False)))
        for number in range(len(one.clusters)):
            found.append(("cluster", yaml.safe_dump(configs.cluster(one, number), sort_keys=False)))
    written = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    least = written.partition("```yaml\n")[2].partition("```")[0]
    found += [("cluster", least), ("cluster", least + SETTINGS)]
    return found


class Mutator:
    """Inputs as one text: the kind in the first line, then the file's bytes as the characters of those numbers."""

    def __init__(self, kept: Corpus) -> None:
        self.kept = kept
        self.seeds = [f"{kind}\n{text.encode().decode('latin-1')}" for kind, text in sources()]

    def make(self, chance: random.Random) -> str:
        seeds = self.kept.texts if self.kept.texts and chance.random() < 0.3 else self.seeds
        given = chance.choice(seeds)
        kind, _, text = (given if len(given) < LONG else chance.choice(self.seeds)).partition("\n")
        how = chance.random()
        if how < 0.01:
            text = _endless(chance)
        elif how < 0.4:
            text = _restructured(kind, text, chance)
        else:
            for _ in range(chance.choice((1, 1, 1, 2, 4))):
                change = chance.choice((_change_bytes, _change_word, _change_word, _change_word, _change_lines))
                text = change(text, chance)
        return f"{kind}\n{text}"


def _latin(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def _endless(chance: random.Random) -> str:
    """Much work or memory for a reader that does not look ahead."""
    count = chance.choice((20, 2000, 100_000))
    return chance.choice((
        "[" * count, "{" * count, "- " * count, "? " * count, "a: " * count, "{a: " * count, '{"a":' * count,
        "&a " * count, "'" * count,
        "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 9)}]\n" for n in range(12)),
        "groups: &g [*g]", "groups: &g {a: *g}", "x" * count, '"' + "x" * count, "#" * count, "\n" * count,
        "a: " + "9" * count, "a: |\n" + " x\n" * count, "- x\n" * count,
        "".join(f"k{n}: {n}\n" for n in range(count)),
        " " * count + "a: b", "%TAG " + "!" * count, "a: 0." + "9" * count, "\t" * count, "\\" * count,
        '"' + "\\0" * count + '"',
        "[" + "0," * count + "0]", json.dumps({"groups": [{"id": n} for n in range(count)]}),
    ))  # fmt: skip


def _change_bytes(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text) + 1)
    piece = text[chance.randrange(len(text) + 1) :][: chance.randrange(20)]
    noise = "".join(chr(chance.randrange(256)) for _ in range(chance.randrange(1, 5)))
    to = at + chance.choice((0, 1, 1, chance.randrange(60)))
    return text[:at] + chance.choice(("", noise, piece, "\x00", "\xff", "\xef\xbb\xbf", "\r")) + text[to:]


def _change_word(text: str, chance: random.Random) -> str:
    """One scalar for another: of this file, or of WORDS."""
    words = list(re.finditer(r"[^\s\[\]{},:]+(?:[.:][^\s\[\]{},:]+)*", text))
    if not words:
        return _latin(chance.choice(WORDS))
    old = chance.choice(words)
    new = chance.choice(words)[0] if chance.random() < 0.3 else _latin(chance.choice(WORDS))
    return text[: old.start()] + new + text[old.end() :]


def _change_lines(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    kind = chance.randrange(5)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(at, lines[other])
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == 3:
        lines[at] = chance.choice(("  ", " ", "\t", "- ")) + lines[at]
    else:
        lines[at] = lines[at].lstrip(" ")
    return "\n".join(lines)


def _restructured(kind: str, text: str, chance: random.Random) -> str:
    """Another structure in sound YAML or JSON; the text as it is where it was none."""
    try:
        data = json.loads(text) if KINDS[kind] == ".json" else strict_yaml.read(text)[0]
    except (ValueError, RecursionError):
        return text
    for _ in range(chance.choice((1, 1, 2, 4))):
        _change_data(data, chance)
    try:
        if KINDS[kind] == ".json" or chance.random() < 0.2:
            return json.dumps(data)
        flow = chance.choice((True, False, None))
        return _latin(
            yaml.safe_dump(data, sort_keys=False, default_flow_style=flow, allow_unicode=chance.random() < 0.5)
        )
    except (TypeError, ValueError, RecursionError, yaml.YAMLError):
        return text


def _change_data(data: Any, chance: random.Random) -> None:
    """Change one place: go down at random, stop more and more often."""
    ways: list[tuple[Any, Any]] = []
    value = data
    while isinstance(value, (dict, list)) and value and (not ways or chance.random() < 0.8):
        ways.append((value, chance.choice(list(value) if isinstance(value, dict) else range(len(value)))))
        value = ways[-1][0][ways[-1][1]]
    if not ways:
        return
    owner, key = ways[-1]
    kind = chance.randrange(7)
    other = chance.choice(list(owner) if isinstance(owner, dict) else range(len(owner)))
    if kind == 0:
        del owner[key]
    elif kind == 1 and isinstance(owner, list):
        owner.insert(key, owner[other])  # the same object: an alias, where it is written as YAML
    elif kind == 1 and isinstance(value, int):
        owner[key] = value + chance.choice((-1, 1, 250, -value))
    elif kind == 2:
        owner[key], owner[other] = owner[other], owner[key]
    elif kind == 3 and isinstance(owner, dict):
        owner[chance.choice(KEYS)] = owner.pop(key)
    elif kind == 4 and isinstance(owner, dict):
        owner[chance.choice(KEYS)] = value
    else:
        owner[key] = [value] if chance.random() < 0.2 else copy.deepcopy(chance.choice(VALUES))


# -- what becomes of one ---------------------------------------------------------------------------------------------


def read_case(text: str, folder: Path) -> str:
    """What it showed: the refusal without names and numbers. Raises Fault."""
    kind, _, content = text.partition("\n")
    path = folder / f"given{KINDS[kind]}"
    path.write_bytes(content.encode("latin-1"))
    loaders: dict[str, tuple[type[Exception], Callable[[Path], object]]] = {
        "cluster": (config.ConfigError, _cluster),
        "topology": (FileError, _topology),
    }
    expected, load = loaders.get(kind, (network.NetworkError, _network))
    try:
        load(path)
    except expected as error:
        return f"{kind}: {_refusal(str(error), str(path), content)}"
    return f"{kind} taken"


def _refusal(told: str, path: str, content: str) -> str:
    """The text without what is this file's own. Raises Fault if it is no clear one."""
    begun = re.match(rf"{re.escape(path)}(?::(\d+))?: (.+)", told)
    if begun is None or not told.isprintable():
        raise Fault(f"not one line that begins with the file: {told[:200]!r}")
    if len(told) > LONGEST_ERROR:
        raise Fault(f"an error of {len(told)} characters: {told[:200]!r}")
    lines = len(re.findall(r"\r\n|[\r\n\x85]|\xc2\x85|\xe2\x80[\xa8\xa9]", content)) + 1
    if begun[1] is not None and not 1 <= int(begun[1]) <= lines:
        raise Fault(f"there is no such line: {told[:200]!r}")
    sentence = begun[2]
    if not sentence.startswith(ABOUT_THE_WHOLE) and not re.match(r"\S.*?: \S", sentence):
        raise Fault(f"names no field: {told[:200]!r}")
    return re.sub(r"\d+|'[^']*'|\"[^\"]*\"|\(it is .*", "", re.sub(r"^[^:]*: (?=\S)", "", sentence))[:80]


def _cluster(path: Path) -> None:
    cluster = config.load(path)
    addresses = [cluster.address_of(node) for node in cluster.node_ids]
    folders = {cluster.folder_of(node) for node in cluster.node_ids}
    if not len(set(addresses)) == len(folders) == len(cluster.node_ids):
        raise Fault("two members share an address or a folder")
    again = {
        "cluster": cluster.id, "port": cluster.port, "mtu": cluster.mtu,
        "data": str(cluster.data), "names": dict(cluster.names),
        "heartbeat_ms": cluster.heartbeat_ms, "election_timeout_ms": cluster.election_timeout_ms,
        "reassembly_mib": cluster.reassembly_mib, "snapshot_entries": cluster.snapshot_entries,
        "snapshot_mib": cluster.snapshot_mib, "reads": cluster.reads.value, "hints": cluster.hints.value,
        "network": cluster.network.value, "acknowledgements": cluster.acknowledgements.value,
        "key_file": None if cluster.key_file is None else str(cluster.key_file),
        "groups": [
            {"id": group.id, "service": group.service,
             "members": _places(group.members), "spares": _places(group.spares)} for group in cluster.groups
        ],
    }  # fmt: skip
    _same("cluster", cluster, config.parse(json.dumps(again), str(path)).cluster)


def _places(members: Any) -> dict[int, str]:
    return {member: f"{address}:{port}" for member, (address, port) in members.items()}


def _topology(path: Path) -> None:
    found = topology.read(path)
    try:
        network.parse(json.loads(json.dumps(configs.network(found))))
        for number in range(len(found.clusters)):
            config.parse(yaml.safe_dump(configs.cluster(found, number), sort_keys=False))
    except (network.NetworkError, config.ConfigError) as error:
        raise Fault(f"a topology was taken of which the lab makes a file that is not: {error}") from error
    for switch in found.switches:
        ports = found.ports(switch.name)
        if list(ports) != list(range(1, len(ports) + 1)) or any(len(name) > 15 for name in ports.values()):
            raise Fault(f"ports that no switch has: {ports}")


def _network(path: Path) -> None:
    found = network.load(path)
    _same("network", found, network.parse(json.loads(json.dumps(dataclasses.asdict(found)))))


def _same(what: str, one: object, other: object) -> None:
    if one != other:
        raise Fault(f"a {what} that is another one when it is written out again: {one} and {other}")


def fuzz(seed: int, seconds: float, folder: Path) -> Found:
    corpus = Corpus(folder, ".txt")
    with tempfile.TemporaryDirectory(prefix="files-fuzz-") as scratch:
        return run_cases(seed, seconds, corpus, Mutator(corpus).make, lambda text: read_case(text, Path(scratch)))
