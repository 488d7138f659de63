"""Packet tests without a network: ``python -m p4switch.stf PROG.p4 TEST.stf [PROG.p4 TEST.stf …]``.

Compiles each program with p4compiler (or takes a BMv2 JSON), runs the test's packets through it in process, and says
what differed. As p4c's BMv2 runner has it, ports that the test never names are not looked at.
"""

from __future__ import annotations

import argparse
import operator
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from p4switch.errors import PipelineError
from p4switch.modules import run_module
from p4switch.pipeline.entities import (
    Entry,
    EntryAction,
    Exact,
    Group,
    Lpm,
    Match,
    MeterRates,
    Output,
    Range,
    Replica,
    Ternary,
)
from p4switch.pipeline.pipeline import Pipeline
from p4switch.program import KeyField, Program, Table
from p4switch.stf.script import (
    Add,
    Call,
    CheckCounter,
    Command,
    Expect,
    NoPacket,
    Packet,
    SetDefault,
    Statement,
    StfError,
    natural,
    number,
    port_number,
    read,
)

_T = TypeVar("_T")
_OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
PACKET_INTERVAL_US = 1000
"""Time between two packets, as the program sees it."""
MAX_INSTANCE = (1 << 16) - 1
"""v1model's egress_rid has 16 bits."""
MAX_COUNT = (1 << 64) - 1


class Target(Protocol):
    """What a test needs of a switch: a Pipeline has it, and whatever else can be asked the same."""

    @property
    def program(self) -> Program: ...
    def set_logging(self, on: bool) -> None: ...
    def step(self, port: int, frame: bytes, now_us: int, random: int = 0) -> Output: ...
    def insert(
        self, table: str, match: Sequence[Match], action: EntryAction, params: Sequence[int] = (), priority: int = 0
    ) -> int: ...
    def delete(self, table: str, handle: int) -> None: ...
    def entries(self, table: str) -> list[Entry]: ...
    def add_member(self, profile: str, action: str, params: Sequence[int] = ()) -> int: ...
    def add_group(self, profile: str, members: Sequence[int] = ()) -> int: ...
    def set_default(self, table: str, action: str | None, params: Sequence[int] = ()) -> None: ...
    def counter(self, name: str, index: int) -> tuple[int, int]: ...
    def set_counter(self, name: str, index: int, packets: int, byte_count: int) -> None: ...
    def register(self, name: str, index: int) -> int: ...
    def set_register(self, name: str, index: int, value: int) -> None: ...
    def meter(self, name: str, index: int) -> MeterRates | None: ...
    def set_meter(self, name: str, index: int, rates: MeterRates | None) -> None: ...
    def entry_meter(self, table: str, handle: int | None) -> MeterRates | None: ...
    def set_entry_meter(self, table: str, handle: int | None, rates: MeterRates | None) -> None: ...
    def set_multicast_group(self, group: int, replicas: Sequence[Replica]) -> None: ...
    def multicast_groups(self) -> Mapping[int, tuple[Replica, ...]]: ...
    def set_clone_session(self, session: int, replicas: Sequence[Replica], truncate_bytes: int = 0) -> None: ...
    def delete_clone_session(self, session: int) -> None: ...
    def clone_sessions(self) -> Mapping[int, tuple[tuple[Replica, ...], int]]: ...


class Run:
    """One test on one pipeline. `differences` says in one line each what was not as expected."""

    def __init__(self, pipeline: Target) -> None:
        self.pipeline = pipeline
        self.differences: list[str] = []
        self.received: dict[int, list[bytes]] = {}
        self.log: list[str] = []
        self._expected: dict[int, list[Expect]] = {}
        self._ports: set[int] = set()
        self._nothing = False
        self._now = 0
        self._count = 0
        self._handles: list[tuple[int, list[int]]] = []
        self._groups: dict[int, list[int]] = {}
        self._members: dict[str, list[int]] = {}
        """The members' handles, by profile."""
        self._selections: dict[str, list[list[int]]] = {}
        """The groups' members, by profile. A group is made when an entry leads to it: an empty one helps nobody."""
        pipeline.set_logging(True)

    def run(self, statements: Sequence[Statement]) -> list[str]:
        """Carry out the statements. Raises StfError where one names what the program does not have."""
        for one in statements:
            try:
                self._execute(one)
            except (StfError, PipelineError, ValueError) as error:
                told = str(error)
                raise StfError(told if told.startswith("line ") else f"line {one.line}: {told}") from None
        self._compare()
        return self.differences

    def _execute(self, one: Statement) -> None:
        if isinstance(one, Packet):
            self._packet(one)
        elif isinstance(one, Expect):
            self._ports.add(one.port)
            self._expected.setdefault(one.port, []).append(one)
        elif isinstance(one, NoPacket):
            self._nothing = True
        elif isinstance(one, Add):
            self._add(one)
        elif isinstance(one, SetDefault):
            table = self._table(one.table)
            self.pipeline.set_default(table.name, *self._action(table, one.action))
        elif isinstance(one, CheckCounter):
            self._check_counter(one)
        else:
            self._command(one)

    # Packets -----------------------------------------------------------------------------------

    def _packet(self, packet: Packet) -> None:
        self._ports.add(packet.port)
        self._now += PACKET_INTERVAL_US
        self._count += 1
        output = self.pipeline.step(packet.port, packet.frame, self._now, self._count)
        self.log += output.log
        for port, frame in output.packets:
            self.received.setdefault(port, []).append(frame)

    def _compare(self) -> None:
        for port in sorted(self._ports):
            expected, received = self._expected.get(port, []), self.received.get(port, [])
            if any(e.data is None for e in expected):
                if not received:
                    self.differences.append(f"port {port}: a packet is expected, none came")
                continue
            for at, (want, frame) in enumerate(zip(expected, received, strict=False), 1):
                self._compare_frame(f"port {port}, packet {at} (line {want.line})", want, frame.hex().upper())
            for want in expected[len(received) :]:
                self.differences.append(f"port {port}: line {want.line} expects {want.data}, nothing came")
            for frame in received[len(expected) :]:
                self.differences.append(f"port {port}: {frame.hex().upper()} came, nothing is expected")
        if self._nothing and not self._expected and any(self.received.values()):
            self.differences.append("no packet is expected, but some came")

    def _compare_frame(self, where: str, want: Expect, frame: str) -> None:
        data = want.data or ""
        text = f"\n    expected {data}{'$' if want.exact else ''}\n    received {frame}"
        if len(frame) < len(data) or (want.exact and len(frame) > len(data)):
            self.differences.append(f"{where}: {len(frame) // 2} bytes came, {len(data) // 2} are expected{text}")
        else:
            for i, (a, b) in enumerate(zip(data, frame, strict=False)):
                if a not in ("*", b):
                    self.differences.append(f"{where}: differs at byte {i // 2}{text}")
                    return

    # Tables ------------------------------------------------------------------------------------

    def _table(self, name: str) -> Table:
        return self.pipeline.program.tables[_choose(name, list(self.pipeline.program.tables), "table")]

    def _action(self, table: Table, call: Call) -> tuple[str, list[int]]:
        name = _choose(call.name, list(table.actions), f"action in table {table.name}")
        action = self.pipeline.program.actions[table.action_ids[table.actions.index(name)]]
        given = dict(call.arguments)
        for key in given:
            if key not in {p.name for p in action.params}:
                raise StfError(f"action {name} has no parameter {key}")
        missing = [p.name for p in action.params if p.name not in given]
        if missing:
            raise StfError(f"action {name} needs {', '.join(missing)}")
        return name, [_bits(given[p.name], p.width, f"action {name}, parameter {p.name}") for p in action.params]

    def _add(self, add: Add) -> None:
        table = self._table(add.table)
        values = {_choose_key(name, table).name: value for name, value in add.match}
        match = [_match(key, values.get(key.name)) for key in table.key]
        priority = (add.priority or 0) if table.ordered else 0
        self.pipeline.insert(table.name, match, *self._action(table, add.action), priority=priority)

    def _check_counter(self, check: CheckCounter) -> None:
        name = _choose(check.counter, list(self.pipeline.program.counters), "counter")
        packets, size = self.pipeline.counter(name, number(check.index))
        value = size if check.unit == "bytes" else packets
        if not check.unit:
            print(f"{name}[{check.index}]: {packets} packets, {size} bytes")
        elif not _OPERATORS[check.operator](value, check.number):
            what = f"line {check.line}: {name}({check.index}) {check.unit}"
            self.differences.append(f"{what} is {value}, not {check.operator} {check.number}")

    # Commands ----------------------------------------------------------------------------------

    def _command(self, command: Command) -> None:
        words = command.words
        handler = getattr(self, f"_do_{command.name}", None)
        if handler is None:
            raise StfError(f"line {command.line}: {command.name} is not supported")
        handler(*words)

    def _do_wait(self) -> None:
        self._now += 1_000_000

    def _do_remove(self, what: str) -> None:
        if what.lower() != "all":
            raise StfError("only `remove all` is supported")
        for table in self.pipeline.program.tables:
            for entry in self.pipeline.entries(table):
                if not entry.const:
                    self.pipeline.delete(table, entry.handle)

    def _do_mirroring_add(self, session: str, port: str) -> None:
        self.pipeline.set_clone_session(number(session), [Replica(port_number(port), 0)])

    def _do_mirroring_add_mc(self, session: str, group: str) -> None:
        replicas = self.pipeline.multicast_groups().get(number(group), ())
        self.pipeline.set_clone_session(number(session), replicas)

    def _do_mirroring_delete(self, session: str) -> None:
        self.pipeline.delete_clone_session(number(session))

    def _do_mirroring_get(self, session: str) -> None:
        print(f"clone session {session}: {self.pipeline.clone_sessions().get(number(session))}")

    def _do_mc_mgrp_create(self, group: str) -> None:
        self._groups[number(group)] = []
        self._update_group(number(group))

    def _do_mc_node_create(self, instance: str, *ports: str) -> None:
        self._handles.append((natural(instance, MAX_INSTANCE), [port_number(p) for p in ports]))

    def _do_mc_node_update(self, handle: str, *ports: str) -> None:
        instance, _ = _numbered(self._handles, handle, "multicast node")
        self._handles[number(handle)] = (instance, [port_number(p) for p in ports])
        for group in self._groups:
            self._update_group(group)

    def _do_mc_node_associate(self, group: str, handle: str) -> None:
        if number(group) not in self._groups or natural(handle) >= len(self._handles):
            raise StfError(f"there is no multicast group {group} or node {handle}")
        self._groups[number(group)].append(number(handle))
        self._update_group(number(group))

    def _update_group(self, group: int) -> None:
        nodes = [self._handles[h] for h in self._groups[group]]
        self.pipeline.set_multicast_group(group, [Replica(p, instance) for instance, ports in nodes for p in ports])

    def _do_act_prof_create_member(self, profile: str, action: str, *params: str) -> None:
        """Members and groups are numbered from 0 in each profile, as they are made."""
        name = self._name(profile, "profile")
        known = {one.name: one for one in self.pipeline.program.actions.values()}
        chosen = known[_choose(action, list(known), "action")]
        if len(params) != len(chosen.params):
            raise StfError(
                f"action {chosen.name} needs {', '.join(param.name for param in chosen.params) or 'nothing'}"
            )
        self._members.setdefault(name, []).append(
            self.pipeline.add_member(
                name,
                chosen.name,
                [
                    _bits(text, param.width, f"action {chosen.name}, parameter {param.name}")
                    for text, param in zip(params, chosen.params, strict=True)
                ],
            )
        )

    def _do_act_prof_create_group(self, profile: str) -> None:
        self._selections.setdefault(self._name(profile, "profile"), []).append([])

    def _do_act_prof_add_member_to_group(self, profile: str, member: str, group: str) -> None:
        name = self._name(profile, "profile")
        members = _numbered(self._selections.get(name, []), group, f"group in {name}")
        members.append(_numbered(self._members.get(name, []), member, f"member in {name}"))

    def _do_table_indirect_add_with_group(self, table: str, *words: str) -> None:
        """The keys' values, =>, and the group."""
        found = self._table(table)
        if len(words) != len(found.key) + 2 or words[-2] != "=>" or not found.profile:
            raise StfError(
                f"give {table} a value for each of its {len(found.key)} keys, =>, and a group of its profile"
            )
        match = [_match(key, value) for key, value in zip(found.key, words, strict=False)]
        members = _numbered(self._selections.get(found.profile, []), words[-1], f"group in {found.profile}")
        self.pipeline.insert(found.name, match, Group(self.pipeline.add_group(found.profile, members)))

    def _do_counter_read(self, name: str, index: str) -> None:
        print(f"{name}[{index}]: {self.pipeline.counter(self._name(name, 'counter'), number(index))}")

    def _do_counter_write(self, name: str, index: str, packets: str, size: str) -> None:
        self.pipeline.set_counter(
            self._name(name, "counter"), number(index), natural(packets, MAX_COUNT), natural(size, MAX_COUNT)
        )

    def _do_register_read(self, name: str, index: str) -> None:
        print(f"{name}[{index}]: {self.pipeline.register(self._name(name, 'register'), number(index))}")

    def _do_register_write(self, name: str, index: str, value: str) -> None:
        full = self._name(name, "register")
        width = self.pipeline.program.registers[full].width
        self.pipeline.set_register(full, number(index), _bits(value, width, f"register {full}"))

    def _do_register_reset(self, name: str) -> None:
        full = self._name(name, "register")
        for index in range(self.pipeline.program.registers[full].size):
            self.pipeline.set_register(full, index, 0)

    def _do_meter_get_rates(self, name: str, index: str) -> None:
        full = self._name(name, "meter")
        table = self._metered(full)
        if table is None:
            rates = self.pipeline.meter(full, number(index))
        else:
            rates = self.pipeline.entry_meter(table, self._handle(table, number(index)))
        print(f"{name}[{index}]: {rates}")

    def _do_meter_set_rates(self, name: str, index: str, *rates: str) -> None:
        """Of a direct meter, ``index`` is an entry's number in the order in which entries were added."""
        full = self._name(name, "meter")
        table = self._metered(full)
        if table is None:
            self.pipeline.set_meter(full, number(index), _rates(rates))
        else:
            self.pipeline.set_entry_meter(table, self._handle(table, number(index)), _rates(rates))

    def _do_meter_array_set_rates(self, name: str, *rates: str) -> None:
        full = self._name(name, "meter")
        if self._metered(full) is not None:
            raise StfError(f"{name} is a direct meter: set the rates of its entries by meter_set_rates")
        for index in range(self.pipeline.program.meters[full].size):
            self.pipeline.set_meter(full, index, _rates(rates))

    def _metered(self, meter: str) -> str | None:
        """The table whose entries have this meter; None for an array of meters."""
        tables = self.pipeline.program.tables.values()
        return next((table.name for table in tables if table.direct_meter == meter), None)

    def _handle(self, table: str, index: int) -> int:
        entries = self.pipeline.entries(table)
        if not 0 <= index < len(entries):
            raise StfError(f"table {table} has no entry {index}: it has {len(entries)}, from 0 on")
        return entries[index].handle

    def _name(self, name: str, kind: str) -> str:
        return _choose(name, list(getattr(self.pipeline.program, f"{kind}s")), kind)


def _rates(texts: Sequence[str]) -> MeterRates:
    """simple_switch_CLI's RATE:BURST, per microsecond; one or two, the committed first."""
    try:
        pairs = [(round(float(a) * 1_000_000), natural(b)) for a, b in (t.split(":") for t in texts)]
    except (ValueError, OverflowError):
        raise StfError(f"a rate is RATE:BURST, packets or bytes a microsecond, not {' '.join(texts)}") from None
    committed, peak = pairs[0], pairs[-1]
    return MeterRates(*committed, *peak)


def _numbered(made: Sequence[_T], text: str, what: str) -> _T:
    at = natural(text)
    if at >= len(made):
        raise StfError(f"there is no {what} of number {at}: {len(made)} were made")
    return made[at]


def _choose(name: str, known: Sequence[str], what: str) -> str:
    """A full name, or the one that ends so."""
    if name in known:
        return name
    found = sorted({k for k in known if k.endswith(name)})
    if len(found) == 1:
        return found[0]
    nearer = [k for k in found if k.endswith(f".{name}")]
    if len(nearer) == 1:
        return nearer[0]
    raise StfError(f"no {what} {name}" if not found else f"{what} {name} may be {' or '.join(found)}")


def _choose_key(name: str, table: Table) -> KeyField:
    name = re.sub(r"\$(\d+)", r"[\1]", name)
    names = {k.name: k for k in table.key}
    for candidate in (name, f"{name}$", f"{name}.$valid$", re.sub(r"\.valid$", ".$valid$", name)):
        if candidate in names:
            return names[candidate]
    for key in table.key:
        if key.name.endswith((f".{name}", f".{name}$")) or (name == "valid" and key.name.endswith("$valid$")):
            return key
    raise StfError(f"table {table.name} has no key {name}: it has {', '.join(names)}")


def _bits(text: str, width: int, what: str) -> int:
    """A value of so many bits; of a negative number its two's complement."""
    value = number(text)
    if not -(1 << width) <= 2 * value < 2 << width:
        raise StfError(f"{what}: {text[:50]} does not fit {width} bits")
    return value & ((1 << width) - 1)


def _match(key: KeyField, text: str | None) -> Match:
    """A value as p4c's runner reads it: of a ternary value only the digits that are written count."""
    full = (1 << key.width) - 1
    if text is None:
        any_value: dict[str, Match] = {
            "exact": Exact(0),
            "valid": Exact(0),
            "lpm": Lpm(0, 0),
            "range": Range(0, full),
        }
        return any_value.get(key.kind, Ternary(0, 0))
    bits = {"0x": 4, "0b": 1, "0o": 3}.get(text[:2].lower(), 0)
    if key.kind in ("exact", "valid"):
        return Exact(_bits(text.replace("*", "0"), key.width, f"key {key.name}"))
    if key.kind == "range":
        low, _, high = text.replace("->", "..").partition("..")
        return Range(number(low), number(high or low))
    if key.kind == "lpm":
        value, slash, length = text.partition("/")
        plain = number(value.replace("*", "0"))
        if slash:
            return Lpm(plain, number(length))
        digits = len(value) - 2 - value.count("*")
        return Lpm(plain, min(digits * bits, key.width) if bits else key.width)
    if "&&&" in text:
        value, _, mask_text = text.partition("&&&")
        return Ternary(number(value), number(mask_text))
    if key.kind == "optional" or not bits:
        return Ternary(_bits(text, key.width, f"key {key.name}"), full)
    mask = 0
    for digit in text[2:]:
        mask = mask << bits | (0 if digit == "*" else (1 << bits) - 1)
    return Ternary(_bits(text.replace("*", "0"), key.width, f"key {key.name}"), mask & full)


def compile_p4(program: Path, folder: Path, options: Sequence[str]) -> Path:
    """Run p4compiler. Raises StfError with its first error."""
    command = [*run_module("p4compiler"), str(program), "-o", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    result = folder / f"{program.stem}.json"
    if done.returncode or not result.exists():
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise StfError(f"{program} does not compile: {lines[0] if lines else 'the compiler wrote no JSON'}")
    return result


def run_pair(
    program: Path, test: Path, json_file: Path | None, options: Sequence[str], cache: Path | None
) -> list[str]:
    """The differences of one test; raises StfError, PipelineError, OSError."""
    with tempfile.TemporaryDirectory(prefix="p4switch-stf-") as folder:
        source = json_file or (program if program.suffix == ".json" else compile_p4(program, Path(folder), options))
        statements = read(test)
        with Pipeline.load(source, cache=cache) as pipeline:
            return Run(pipeline).run(statements)


def main(arguments: Sequence[str] | None = None, prog: str = "python -m p4switch.stf") -> int:
    parser = argparse.ArgumentParser(prog=prog, description="Run STF packet tests in process.")
    parser.add_argument("files", nargs="+", type=Path, metavar="PROG.p4 TEST.stf", help="one or more pairs")
    parser.add_argument("--json", type=Path, help="the compiled program, for one pair")
    parser.add_argument("--cache", type=Path, help="folder of built programs")
    parser.add_argument("-I", dest="include", action="append", default=[], help="include folder for the compiler")
    parser.add_argument("-D", dest="define", action="append", default=[], help="NAME=VALUE for the compiler")
    given = parser.parse_args(arguments)
    if len(given.files) % 2:
        parser.error("programs and tests come in pairs: PROG.p4 TEST.stf")
    pairs = list(zip(given.files[::2], given.files[1::2], strict=True))
    if given.json and len(pairs) > 1:
        parser.error("--json goes with one pair only; name the JSON in place of PROG.p4")
    options = [x for i in given.include for x in ("-I", i)] + [x for d in given.define for x in ("-D", d)]
    passed = 0
    for program, test in pairs:
        try:
            differences = run_pair(program, test, given.json, options, given.cache)
        except (StfError, PipelineError) as error:
            differences = [str(error)]
        except OSError as error:
            differences = [f"{error.filename or program}: {error.strerror}"]
        passed += not differences
        if len(pairs) == 1 and len("\n".join(differences).splitlines()) > 1:
            # What follows tells the first line alone.
            for line in differences:
                print(f"{test}: {line}", file=sys.stderr)
        print(f"ok   {test}" if not differences else f"FAIL {test}: {differences[0].splitlines()[0]}")
    if len(pairs) > 1:
        print(f"{passed} of {len(pairs)} passed")
    return 0 if passed == len(pairs) else 1


def p4stf() -> int:
    """The installed command."""
    return main(prog="p4stf")


if __name__ == "__main__":
    sys.exit(main())
