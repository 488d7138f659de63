"""Instantiates what `main` names and inlines everything into one middle-layer program."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

from p4compiler import types as t
from p4compiler.check.facts import CallFact, CallKind, Facts
from p4compiler.elaborate.arguments import Copies
from p4compiler.elaborate.storage import STANDARD_METADATA, Storage, control_plane_name
from p4compiler.elaborate.tables import EMPTY_RANGE, Tables
from p4compiler.ir import fold
from p4compiler.ir import nodes as ir
from p4compiler.source import CompileFailed, Diagnostics, Fault, Location
from p4compiler.syntax import tree as s


@dataclass
class Program:
    """A v1model program, ready to be lowered and described."""

    facts: Facts
    storage: Storage
    headers: ir.StructPlace
    user_metadata: ir.StructPlace
    standard_metadata: ir.StructPlace
    parser_start: str = "start"
    parser_states: dict[str, ir.ParserState] = field(default_factory=dict)
    controls: dict[str, list[ir.Stmt]] = field(default_factory=dict)
    control_names: dict[str, str] = field(default_factory=dict)
    control_locs: dict[str, Location] = field(default_factory=dict)
    tables: list[ir.TableObject] = field(default_factory=list)
    externs: list[ir.ExternObject] = field(default_factory=list)
    value_sets: list[ir.ValueSetObject] = field(default_factory=list)
    instances: list[ir.Instantiated] = field(default_factory=list)


# The blocks of V1Switch in the order of its parameters.
PARSER, VERIFY, INGRESS, EGRESS, COMPUTE, DEPARSER = "parser", "verify", "ingress", "egress", "compute", "deparser"
TOP_LEVEL = -1
_CONTROLS = (VERIFY, INGRESS, EGRESS, COMPUTE, DEPARSER)


def elaborate(facts: Facts, diagnostics: Diagnostics) -> Program:
    """The middle-layer program; CompileFailed after errors."""
    elaborator = Elaborator(facts, diagnostics)
    try:
        return elaborator.run()
    except Fault as fault:
        diagnostics.error(str(fault), fault.loc or elaborator.loc)
        raise CompileFailed from None


class Elaborator(Tables):
    def __init__(self, facts: Facts, diagnostics: Diagnostics) -> None:
        super().__init__(facts, diagnostics)
        self.value_sets: list[ir.ValueSetObject] = []
        self.instances: list[ir.Instantiated] = []
        self.shared = _shared(facts)

    def run(self) -> Program:
        main = next((d for d in self.facts.globals.get("main", ()) if isinstance(d, s.Instance)), None)
        if main is None:
            text = "the program has no 'main'; expected V1Switch(...) main;"
            self.diagnostics.error(text, self.facts.program.end)
            raise CompileFailed
        self.loc = main.loc
        fact = self.facts.calls[main]
        if not isinstance(fact.declaration, s.Package) or len(fact.arguments) != 6:
            self.diagnostics.error("'main' is not a V1Switch", main.loc)
            raise CompileFailed
        blocks: list[ir.Instantiated] = []
        for number, argument in enumerate(fact.arguments):
            assert argument is not None
            self.block_number = number
            value = self.value(argument)
            assert isinstance(value, ir.Instantiated)
            blocks.append(value)
        program = self._program(blocks)
        self.diagnostics.stop_if_errors()
        return program

    def _program(self, blocks: list[ir.Instantiated]) -> Program:
        parser = blocks[0]
        types = [self._parameter_type(parser, i) for i in (1, 2, 3)]
        headers_type, metadata_type, standard_type = types
        if not _is_struct(headers_type) or not _is_struct(metadata_type):
            self.diagnostics.error("headers and user metadata are structs", parser.declaration.loc)
            raise CompileFailed
        assert isinstance(standard_type, t.Struct)
        assert isinstance(headers_type, t.Struct) and isinstance(metadata_type, t.Struct)
        headers = self.storage.allocate_struct("", headers_type)
        metadata = self.storage.allocate_struct("userMetadata", metadata_type)
        owner = ir.Header(STANDARD_METADATA, standard_type)
        fields = self.field_types(standard_type)
        standard = ir.StructPlace(standard_type, {n: ir.Scalar(fold.erase(f), owner, n) for n, f in fields.items()})
        program = Program(self.facts, self.storage, headers, metadata, standard)
        self.block_number = 0
        self._run_parser(program, parser)
        for role, control in zip(_CONTROLS, blocks[1:], strict=True):
            self.block_number += 1
            self._run_control(program, role, control)
        program.tables, program.value_sets = self.tables, self.value_sets
        program.externs = sorted(self.externs, key=self._extern_order)
        program.instances = self.instances
        return program

    def _extern_order(self, made: ir.ExternObject) -> tuple[int, int]:
        """Objects of the top level as they are declared, then those of each block as they were made."""
        block = self.extern_blocks[made]
        return block, made.loc.start if block == TOP_LEVEL else 0

    def _parameter_type(self, instance: ir.Instantiated, index: int) -> t.Type:
        parameter = instance.declaration.parameters[index]
        return t.strip(t.substitute(self.facts.declared[parameter], instance.frame.types))

    def _packet(self, instance: ir.Instantiated, index: int) -> ir.ExternObject:
        type_ = self._parameter_type(instance, index)
        assert isinstance(type_, t.Extern)
        return ir.ExternObject("packet", type_.declaration, (), (), (), instance.declaration.loc)

    def _run_parser(self, program: Program, parser: ir.Instantiated) -> None:
        packet = self._packet(parser, 0)
        values: list[ir.Value] = [packet, program.headers, program.user_metadata, program.standard_metadata]
        frame = parser.frame
        for parameter, value in zip(parser.declaration.parameters, values, strict=True):
            frame.values[parameter] = value
        program.parser_start, program.parser_states = self.parser_states(parser, "")

    def _run_control(self, program: Program, role: str, control: ir.Instantiated) -> None:
        frame = control.frame
        values: list[ir.Value] = [program.headers, program.user_metadata, program.standard_metadata]
        if role == DEPARSER:
            values = [self._packet(control, 0), program.headers]
        for parameter, value in zip(control.declaration.parameters, values, strict=False):
            frame.values[parameter] = value
        with self.collected() as program.controls[role]:
            self._control_body(control, control.declaration.loc, [])
        program.control_names[role] = control.name
        program.control_locs[role] = control.declaration.loc

    # Instances

    def global_value(self, declaration: s.Declaration) -> ir.Value | None:
        """A constant or instance declared at the top level."""
        outer_block, self.block_number = self.block_number, TOP_LEVEL
        try:
            with self.within(self.globals):
                value = self._global_value(declaration)
        finally:
            self.block_number = outer_block
        if value is not None:
            self.globals.values[declaration] = value
        return value

    def _global_value(self, declaration: s.Declaration) -> ir.Value | None:
        if isinstance(declaration, s.Constant):
            return self.typed(declaration.value, self.facts.declared[declaration])
        if isinstance(declaration, s.Instance):
            name = control_plane_name(declaration).lstrip(".")
            return self.construct(self.facts.calls[declaration], name, declaration.annotations, declaration.loc)
        return None

    def instance(self, declaration: s.Instance) -> None:
        fact = self.facts.calls[declaration]
        name = self.full_name(control_plane_name(declaration))
        made = self.construct(fact, name, declaration.annotations, declaration.loc)
        if isinstance(made, ir.Instantiated):
            made.shared = frozenset(self.shared.get(declaration, ()))
        self.frame.values[declaration] = made

    def instantiate(
        self, declaration: s.Parser | s.Control, fact: CallFact, name: str, annotations: s.Annotations
    ) -> ir.Instantiated:
        """A parser or control with its constructor's arguments and its own locals."""
        frame = ir.Frame(self.globals, name)
        frame.types.update({p: self.concrete(b) for p, b in fact.bindings.items()})
        if fact.kind is CallKind.CONSTRUCT:
            for parameter, argument in zip(fact.parameters, fact.arguments, strict=True):
                if argument is not None:
                    type_ = t.substitute(self.facts.declared[parameter], frame.types)
                    frame.values[parameter] = self.typed(argument, type_)
        made = ir.Instantiated(name, declaration, frame, annotations)
        self.instances.append(made)
        try:
            with self.within(frame), self.collected():
                for local in declaration.locals:
                    self._local(local, frame)
        except Fault as fault:
            self.diagnostics.error(str(fault), fault.loc or declaration.loc)
        return made

    def _local(self, local: s.Declaration, frame: ir.Frame) -> None:
        """What exists before the first packet: variables' storage, constants, instances, value sets."""
        if isinstance(local, s.Variable):
            type_ = self.concrete(self.facts.declared[local])
            frame.values[local] = self.storage.allocate(f"{frame.prefix}.{local.name}", type_)
        elif isinstance(local, s.Constant):
            frame.values[local] = self.typed(local.value, self.concrete(self.facts.declared[local]))
        elif isinstance(local, s.Instance):
            self.instance(local)
        elif isinstance(local, s.Action):
            # Marks the frame in which the action's body runs; nobody reads the value.
            frame.values[local] = fold.TRUE
        elif isinstance(local, s.ValueSet):
            self._value_set(local, frame)

    def _value_set(self, local: s.ValueSet, frame: ir.Frame) -> None:
        size = self.scalar(local.size)
        element = self.concrete(self.facts.syntax_types[local.type])
        if not isinstance(size, ir.Const):
            raise Fault("the size of a value set must be known at compile time", local.loc)
        name = self.full_name(control_plane_name(local))
        made = ir.ValueSetObject(name, element, size.value, local.annotations, local.loc)
        frame.values[local] = made
        self.value_sets.append(made)

    def _initialize(self, instance: ir.Instantiated) -> None:
        """First values of an instance's variables, each time it is applied."""
        for local in instance.declaration.locals:
            if not isinstance(local, s.Variable):
                continue
            self.loc = local.loc
            place = instance.frame.values[local]
            if local.initializer is not None:
                self.assign(place, self.typed(local.initializer, self.concrete(self.facts.declared[local])))
            else:
                self.invalidate(place)

    # Applying

    def apply_instance(self, instance: ir.Instantiated, fact: CallFact, call: s.Call) -> None:
        frame = instance.frame
        frame.types.update({p: self.concrete(b) for p, b in fact.bindings.items() if b != t.TypeVar(p)})
        short = instance.name.rsplit(".", 1)[-1]
        # The instance may stand for a constructor parameter, whose type has parameters of its own.
        parameters = instance.declaration.parameters
        given = self.evaluated(parameters, fact.arguments, frame.types, call.arguments, short)
        before = [frame.values.get(p) for p in parameters]
        back = self.bound(frame, given, short, instance=instance)
        has_tables = any(isinstance(value, ir.TableObject) for value in frame.values.values())
        if instance.applied and has_tables and before != [frame.values.get(p) for p in parameters]:
            raise Fault(f"'{instance.name}' has tables: apply it with the same arguments everywhere", call.loc)
        instance.applied += 1
        if isinstance(instance.declaration, s.Parser):
            suffix = f"_{instance.applied}" if instance.applied > 1 else ""
            start, states = self.parser_states(instance, f"{instance.name}{suffix}.")
            self.emit(ir.ParserCall(call.loc, start, states))
        else:
            self._control_body(instance, call.loc, back)
        self.copy_back(back)

    def _control_body(self, instance: ir.Instantiated, loc: Location, back: Copies) -> None:
        declaration = instance.declaration
        assert isinstance(declaration, s.Control) and declaration.body is not None
        with self.within(instance.frame):
            self._initialize(instance)
        self.out += self.inline(declaration.body, instance.frame, None, loc, back)

    # Parsers

    def parser_states(self, instance: ir.Instantiated, prefix: str) -> tuple[str, dict[str, ir.ParserState]]:
        """The start state's name and all states of a parser that can be reached from it."""
        declaration = instance.declaration
        assert isinstance(declaration, s.Parser) and declaration.states is not None
        outer_parser, self.in_parser = self.in_parser, True
        try:
            with self.within(instance.frame):
                return self._reached_states(instance, declaration.states, prefix)
        finally:
            self.in_parser = outer_parser

    def _reached_states(
        self, instance: ir.Instantiated, states: tuple[s.State, ...], prefix: str
    ) -> tuple[str, dict[str, ir.ParserState]]:
        by_name = {state.name: state for state in states}
        names = {state.name: prefix + control_plane_name(state).lstrip(".") for state in states}
        names.update({ir.ACCEPT: ir.ACCEPT, ir.REJECT: ir.REJECT})
        with self.collected() as first:
            self._initialize(instance)
        start = names["start"]
        result: dict[str, ir.ParserState] = {}
        waiting = ["start"]
        while waiting:
            name = waiting.pop(0)
            if names[name] in result or name in (ir.ACCEPT, ir.REJECT):
                continue
            state = self._parser_state(by_name[name], names)
            result[state.name] = state
            following = {n for n, shown in names.items() if shown in _targets(state)}
            waiting += [n for n in by_name if n in following]
        if first:
            again = any(start in _targets(state) for state in result.values())
            if again:
                entry = ir.ParserState(f"{start}.initial", first, target=start, loc=instance.declaration.loc)
                result = {entry.name: entry, **result}
                start = entry.name
            else:
                result[start].body[:0] = first
        return start, result

    def _parser_state(self, state: s.State, names: dict[str, str]) -> ir.ParserState:
        with self.collected() as body:
            made = ir.ParserState(names[state.name], body, loc=state.loc)
            for statement in state.statements:
                self.statement(statement)
            self._transition(made, state, names)
        return made

    def _transition(self, made: ir.ParserState, state: s.State, names: dict[str, str]) -> None:
        transition = state.transition
        if transition is None:
            made.target = ir.REJECT
        elif isinstance(transition, s.Name):
            made.target = names[transition.name]
        else:
            self.loc = transition.loc
            try:
                self._select(made, transition, names)
            except Fault as fault:
                self.diagnostics.error(str(fault), fault.loc or transition.loc)

    def _select(self, made: ir.ParserState, select: s.Select, names: dict[str, str]) -> None:
        for value in self.in_order(select.keys):
            for leaf in self.leaves(value):
                if not isinstance(leaf, ir.Expr):
                    raise Fault("a parser cannot select on this", select.loc)
                made.keys.append(leaf)
        for case in select.cases:
            target = names[case.state]
            keyset = case.keyset
            if isinstance(keyset, s.Anything):
                made.cases.append(ir.Case(None, None, target, case.loc))
                continue
            value_set = self._value_set_of(keyset)
            if value_set is not None:
                made.cases.append(ir.Case(None, value_set, target, case.loc))
                continue
            items = self._flat_items(keyset)
            if len(items) != len(made.keys):
                raise Fault("this case does not fit the keys", case.loc)
            choices = [self.key_values(i, k.type) for i, k in zip(items, made.keys, strict=True)]
            for item, choice in zip(items, choices, strict=True):
                if not choice:
                    self.diagnostics.warning(f"{EMPTY_RANGE}; the case never matches", item.loc)
            made.cases += [ir.Case(values, None, target, case.loc) for values in product(*choices)]

    def _flat_items(self, keyset: s.Expression) -> list[s.Expression]:
        if isinstance(keyset, s.ListExpression):
            return [item for part in keyset.items for item in self._flat_items(part)]
        return [keyset]

    def _value_set_of(self, keyset: s.Expression) -> ir.ValueSetObject | None:
        if not isinstance(keyset, s.Name):
            return None
        declaration = self.facts.uses.get(keyset)
        value = self.frame.find(declaration) if isinstance(declaration, s.ValueSet) else None
        return value if isinstance(value, ir.ValueSetObject) else None


def _shared(facts: Facts) -> dict[s.Declaration, set[s.Parameter]]:
    """Instances of controls with tables, and the parameters for which their applications have different arguments."""
    applied: dict[s.Declaration, CallFact] = {}
    found: dict[s.Declaration, set[s.Parameter]] = {}
    for call, fact in facts.calls.items():
        if fact.kind is CallKind.APPLY and _has_tables(fact.declaration, facts):
            assert isinstance(call, s.Call) and isinstance(call.function, s.Member)
            declaration = facts.uses.get(call.function.base)
            if isinstance(declaration, s.Instance):
                first = applied.setdefault(declaration, fact)
                pairs = zip(fact.parameters, first.arguments, fact.arguments, strict=True)
                differ = {p for p, a, b in pairs if a is not b and not _same_place(a, b, facts)}
                found.setdefault(declaration, set()).update(differ)
    return found


def _has_tables(declaration: s.Declaration | None, facts: Facts) -> bool:
    """Whether it is a control with tables of its own or in the controls that it instantiates."""
    if not isinstance(declaration, s.Control):
        return False
    calls = [facts.calls.get(local) for local in declaration.locals if isinstance(local, s.Instance)]
    return any(isinstance(local, s.Table) for local in declaration.locals) or any(
        _has_tables(call.declaration, facts) for call in calls if call is not None
    )


def _same_place(first: s.Expression | None, second: s.Expression | None, facts: Facts) -> bool:
    """Whether two arguments are the same variable, or the same field of one."""
    if isinstance(first, s.Name) and isinstance(second, s.Name):
        return facts.uses.get(first) is facts.uses.get(second)
    if isinstance(first, s.Member) and isinstance(second, s.Member) and first.name == second.name:
        return _same_place(first.base, second.base, facts)
    return False


def _is_struct(type_: t.Type) -> bool:
    """A struct, or a header without fields, of which there is as little to be seen as of an empty struct."""
    return isinstance(type_, t.Struct) and (type_.kind == "struct" or not type_.declaration.fields)


def _targets(state: ir.ParserState) -> set[str]:
    targets = {case.target for case in state.cases}
    if state.target is not None:
        targets.add(state.target)
    return targets
