"""Calls: functions and actions are inlined, externs become Call statements, constructors make objects."""

from __future__ import annotations

from abc import abstractmethod

from p4compiler import types as t
from p4compiler.check.facts import CallFact, CallKind
from p4compiler.elaborate.arguments import Argument, Arguments, Copied, Copies
from p4compiler.elaborate.storage import control_plane_name
from p4compiler.ir import effects, fold
from p4compiler.ir import nodes as ir
from p4compiler.source import Fault, Location
from p4compiler.syntax import tree as s

# Extern functions whose arguments may be any expression; for all others the target wants fields and constants.
FREE_ARGUMENTS = frozenset({
    "verify", "assert", "assume", "log_msg", "advance", "extract", "verify_checksum", "update_checksum",
    "verify_checksum_with_payload", "update_checksum_with_payload",
})  # fmt: skip
MAX_INLINE_DEPTH = 100


class Calls(Arguments):
    labels = 0
    inline_depth = 0

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        # Where `return` goes in the bodies being inlined: label, and place of the result.
        self.returns: list[tuple[int, ir.Value | None]] = []
        self.loops: list[tuple[int, int]] = []
        # Copies that the calls being inlined make at their end; `exit` makes them too (P4_16, section 12.4).
        self.pending: list[Copies] = []
        self.externs: list[ir.ExternObject] = []
        # Which block of the package is being instantiated or run, and for which one each object was made.
        self.block_number = 0
        self.extern_blocks: dict[ir.ExternObject, int] = {}

    @abstractmethod
    def block(self, block: s.Block) -> None:
        """Emit the statements of a block."""

    @abstractmethod
    def apply_table(self, table: s.Table, loc: Location) -> ir.Apply:
        """The application of a table."""

    @abstractmethod
    def apply_instance(self, instance: ir.Instantiated, fact: CallFact, call: s.Call) -> None:
        """Emit the application of a parser or control."""

    @abstractmethod
    def instantiate(
        self, declaration: s.Parser | s.Control, fact: CallFact, name: str, annotations: s.Annotations
    ) -> ir.Instantiated:
        """An instance of a parser or control."""

    def new_label(self) -> int:
        self.labels += 1
        return self.labels

    def call(self, call: s.Call) -> ir.Value | None:
        """Carries out a call; its result, None for void."""
        fact = self.facts.calls.get(call)
        if fact is None:
            raise Fault("this call is not understood", call.loc)
        if fact.kind is CallKind.BUILTIN:
            return self._builtin(call, fact)
        if fact.kind is CallKind.TABLE:
            assert isinstance(fact.declaration, s.Table)
            self.emit(self.apply_table(fact.declaration, call.loc))
            return None
        if fact.kind is CallKind.ACTION:
            self._action(call, fact)
            return None
        if fact.kind is CallKind.APPLY:
            self._apply(call, fact)
            return None
        if fact.kind is CallKind.CONSTRUCT:
            return self.construct(fact, "", (), call.loc)
        assert isinstance(fact.declaration, s.Function)
        if fact.kind is CallKind.FUNCTION and fact.declaration.body is not None:
            return self._function(call, fact, fact.declaration)
        return self._extern(call, fact, fact.declaration)

    # Built-in methods

    def _builtin(self, call: s.Call, fact: CallFact) -> ir.Value | None:
        assert isinstance(call.function, s.Member)
        base = self.value(call.function.base)
        name = fact.name
        if name == "isValid":
            return self.validity(base)
        if name in ("setValid", "setInvalid"):
            self.each_static(base, lambda h: self.set_valid(h, name == "setValid"))
            return None
        assert isinstance(base, ir.StackPlace) and fact.arguments[0] is not None
        count = self.scalar(fact.arguments[0])
        if not isinstance(count, ir.Const):
            raise Fault(f"the argument of {name} must be known at compile time", call.loc)
        self.emit(ir.Shift(call.loc, base, count.value if name == "push_front" else -count.value))
        return None

    def apply_for_hit(self, call: s.Call, hit: bool) -> ir.Expr:
        fact = self.facts.calls[call]
        assert isinstance(fact.declaration, s.Table)
        place = self.temporary(f"{fact.declaration.name}.{'hit' if hit else 'miss'}", t.BOOL)
        assert isinstance(place, ir.Scalar)
        apply = self.apply_table(fact.declaration, call.loc)
        apply.hit.append(ir.Assign(call.loc, place, fold.boolean(hit)))
        apply.miss.append(ir.Assign(call.loc, place, fold.boolean(not hit)))
        self.emit(apply)
        return place

    # Functions and actions

    def inline(
        self,
        body: s.Block,
        frame: ir.Frame,
        result: ir.Value | None,
        loc: Location,
        back: Copies,
    ) -> list[ir.Stmt]:
        """The statements of a body in its frame; `return` leaves the Labelled around them.

        `back` is what the caller copies after the body; copies that make no difference are taken out of it.
        """
        self.inline_depth += 1
        if self.inline_depth > MAX_INLINE_DEPTH:
            raise Fault("calls are nested too deeply", loc)
        label = self.new_label()
        outer_loops, self.loops = self.loops, []
        self.returns.append((label, result))
        self.pending.append(back)
        try:
            with self.within(frame), self.collected() as statements:
                self.block(body)
        finally:
            self.returns.pop()
            self.pending.pop()
            self.loops = outer_loops
            self.inline_depth -= 1
        self.forget_unnamed(frame, back, statements)
        return [ir.Labelled(loc, label, statements)]

    def _function(self, call: s.Call, fact: CallFact, declaration: s.Function) -> ir.Value | None:
        assert declaration.body is not None
        frame = ir.Frame(self.globals)
        frame.types.update({p: self.concrete(b) for p, b in fact.bindings.items()})
        given = self.evaluated(fact.parameters, fact.arguments, frame.types, call.arguments, declaration.name)
        back = self.bound(frame, given, declaration.name)
        result_type = t.substitute(self.facts.declared[declaration], frame.types)
        result: ir.Value | None = None
        if result_type != t.VOID:
            single = self._single_return(declaration.body)
            if single is not None:
                with self.within(frame):
                    value = self.typed(single, result_type)
                if not back:
                    return value
                result = self.copy_of(value, result_type, f"{declaration.name}.result")
                self.copy_back(back)
                return result
            result = self.temporary(f"{declaration.name}.result", result_type)
        self.out += self.inline(declaration.body, frame, result, call.loc, back)
        self.copy_back(back)
        return result

    def _single_return(self, body: s.Block) -> s.Expression | None:
        """The expression of a body that is just `return e;`."""
        if len(body.statements) == 1 and isinstance(body.statements[0], s.Return):
            return body.statements[0].value
        return None

    def _action(self, call: s.Call, fact: CallFact) -> None:
        declaration = fact.declaration
        assert isinstance(declaration, s.Action)
        owner = self.action_frame(declaration)
        name = control_plane_name(declaration)
        given = self.evaluated(fact.parameters, fact.arguments, owner.types, call.arguments, declaration.name)
        mark = len(self.out)
        # An action also reaches its control's storage by name, so what it writes through a parameter is copied.
        # What it only reads is bound without copies first; if the body writes it, once more with copies.
        writes = any(argument.is_written for argument in given)
        for by_name in (True,) if writes else (False, True):
            del self.out[mark:]
            frame = ir.Frame(owner)
            back = self.bound(frame, given, declaration.name, by_name)
            with self.action_body():
                body = self.inline(declaration.body, frame, None, call.loc, back)
            if by_name or not self._interferes(frame, declaration, body):
                break
        full = f"{owner.prefix}.{name}" if owner.prefix and not name.startswith(".") else name.lstrip(".")
        if self.in_action or self.in_parser:
            self.out += body
        else:
            self.emit(
                ir.DirectAction(call.loc, ir.ActionObject(full, declaration, (), body, declaration.annotations))
            )
        self.copy_back(back)

    def _interferes(self, frame: ir.Frame, declaration: s.Action, body: list[ir.Stmt]) -> bool:
        """Whether the body writes storage that an argument bound by reference reads."""
        written = effects.writes(body)
        values = [frame.values.get(p) for p in declaration.parameters]
        return any(v is not None and effects.overlap(effects.reads(v), written) for v in values)

    def action_frame(self, declaration: s.Action) -> ir.Frame:
        """The frame in which an action's body runs: that of the control that declares it."""
        frame: ir.Frame | None = self.frame
        while frame is not None:
            if declaration in frame.values or frame.parent is None:
                return frame
            frame = frame.parent
        return self.globals

    # Parsers and controls

    def _apply(self, call: s.Call, fact: CallFact) -> None:
        assert isinstance(call.function, s.Member)
        base = call.function.base
        if isinstance(base, s.TypeExpression):
            declaration = fact.declaration
            assert isinstance(declaration, (s.Parser, s.Control))
            made = CallFact(CallKind.CONSTRUCT, declaration.name, declaration, (), (), fact.bindings, t.VOID)
            name = self.full_name(control_plane_name(declaration))
            instance = self.instantiate(declaration, made, name, ())
        else:
            value = self.value(base)
            assert isinstance(value, ir.Instantiated)
            instance = value
        self.apply_instance(instance, fact, call)

    def full_name(self, name: str) -> str:
        """A control-plane name inside the present instance; one that begins with '.' is absolute."""
        if name.startswith("."):
            return name[1:]
        frame: ir.Frame | None = self.frame
        while frame is not None and not frame.prefix:
            frame = frame.parent
        return f"{frame.prefix}.{name}" if frame is not None else name

    # Constructors

    def construct(self, fact: CallFact, name: str, annotations: s.Annotations, loc: Location) -> ir.Value:
        """A new object; with an empty name it is anonymous."""
        declaration = fact.declaration
        if isinstance(declaration, (s.Parser, s.Control)):
            shown = name or declaration.name
            return self.instantiate(declaration, fact, shown, annotations)
        type_ = self.concrete(fact.result)
        if not isinstance(type_, t.Extern):
            raise Fault("only one package, 'main', can be instantiated", loc)
        arguments: list[ir.Value] = []
        for parameter, argument in zip(fact.parameters, fact.arguments, strict=True):
            if argument is None:
                continue
            wanted = t.substitute(
                self.facts.declared[parameter], t.bind(type_.declaration.type_parameters, type_.arguments)
            )
            value = self.typed(argument, wanted)
            if isinstance(value, ir.Expr) and not isinstance(value, (ir.Const, ir.Text)):
                raise Fault(f"'{parameter.name}' must be known at compile time", argument.loc)
            arguments.append(value)
        made = ir.ExternObject(name, type_.declaration, type_.arguments, tuple(arguments), annotations, loc, not name)
        self.externs.append(made)
        self.extern_blocks[made] = self.block_number
        return made

    # Externs

    def _extern(self, call: s.Call, fact: CallFact, declaration: s.Function) -> ir.Value | None:
        receiver: ir.ExternObject | None = None
        if fact.kind is CallKind.METHOD:
            assert isinstance(call.function, s.Member)
            base = self.value(call.function.base)
            if not isinstance(base, ir.ExternObject):
                raise Fault("this object is not known at compile time", call.loc)
            receiver = base
        bindings = {p: self.concrete(b) for p, b in fact.bindings.items()}
        types = tuple(bindings[p] for p in declaration.type_parameters if p in bindings)
        if receiver is not None and receiver.kind == "packet_in" and fact.name == "lookahead":
            return self._lookahead(types[0])
        if fact.name == "static_assert":
            return self._static_assert(call, fact)
        pairs = zip(fact.parameters, fact.arguments, strict=True)
        parameters = [p for p, a in pairs if a is not None or p.direction in ("out", "inout")]
        values = [fact.arguments[fact.parameters.index(p)] for p in parameters]
        given = self.evaluated(parameters, values, bindings, call.arguments, fact.name)
        back: Copies = []
        passed: dict[s.Parameter, ir.Value] = {}
        for number, argument in enumerate(given):
            self.out += argument.needs
            if argument.is_written:
                passed[argument.parameter] = self._out_argument(argument, fact, back)
            else:
                later = effects.writes(one for other in given[number + 1 :] for one in other.needs)
                passed[argument.parameter] = self._in_argument(argument, fact, later)
        arguments = [passed[p] for p in parameters]
        if fact.name == "extract" and isinstance(arguments[0], ir.Element):
            self._extract_element(call, arguments[0], receiver, tuple(arguments[1:]), types)
        else:
            self.emit(ir.Call(call.loc, fact.name, receiver, tuple(arguments), types))
        self.copy_back(back)
        result = t.substitute(self.facts.declared[declaration], bindings)
        if result != t.VOID:
            raise Fault(f"'{fact.name}' is not supported: it returns a value", call.loc)
        return None

    def _extract_element(
        self,
        call: s.Call,
        element: ir.Element,
        packet: ir.ExternObject | None,
        rest: tuple[ir.Value, ...],
        types: tuple[t.Type, ...],
    ) -> None:
        """extract(stack[i]) with an index that only the packet tells: the target extracts into elements by number."""
        index = element.index
        inside = fold.binary("<", index, ir.Const(index.type, element.stack.type.size))
        error = ir.Const(t.ERROR, self.facts.errors["StackOutOfBounds"], "StackOutOfBounds")
        self.emit(ir.Call(call.loc, "verify", None, (inside, error), ()))
        self.each_static(
            element,
            lambda header: self.emit(ir.Call(call.loc, "extract", packet, (header, *rest), types)),
        )

    def _out_argument(self, argument: Argument, fact: CallFact, back: Copies) -> ir.Value:
        place = argument.value
        if fact.name == "extract" or self.is_fixed(place):
            return place
        copy = self.temporary(f"{fact.name}.{argument.parameter.name}", argument.type)
        if argument.parameter.direction == "inout":
            self.assign(copy, self.read(place))
        back.append(Copied(place, copy))
        return copy

    def _in_argument(self, argument: Argument, fact: CallFact, later: set[effects.Place]) -> ir.Value:
        """The value as the target takes it; copied now if the arguments after it change it."""
        value = argument.value
        if effects.overlap(effects.reads(value), later):
            value = self.copy_of(value, argument.type, "tmp")
        if fact.name in FREE_ARGUMENTS:
            return value
        return self.simple(value, fresh=fact.name == "digest")

    def simple(self, value: ir.Value, fresh: bool = False) -> ir.Value:
        """The value with every part a constant, field or action parameter; with `fresh`, copied now."""
        if isinstance(value, (ir.Aggregate, ir.StructPlace)):
            fields = {n: self.simple(part, fresh) for n, part in value.fields.items()}
            return ir.Aggregate(value.type, fields)
        if fresh and isinstance(value, (ir.Header, ir.Element)):
            struct = t.strip(value.type)
            assert isinstance(struct, t.Struct)
            fields = {n: self.simple(self.header_field(value, n), fresh) for n in self.field_types(struct)}
            return ir.Aggregate(struct, fields)
        if isinstance(value, (ir.Const, ir.Text)) or not isinstance(value, ir.Expr):
            return value
        if not fresh and (isinstance(value, ir.Runtime) or self.is_fixed(value)):
            return value
        return self.pin(value)

    def _lookahead(self, type_: t.Type) -> ir.Value:
        place = self.temporary("lookahead", type_)
        if isinstance(place, ir.Header):
            self.emit(ir.SetValid(self.loc, place, True))
        offset = 0
        for leaf in self.leaves(place):
            assert isinstance(leaf, ir.Scalar)
            width = leaf.type.width if isinstance(leaf.type, t.Bits) else 1
            value = ir.Lookahead(leaf.type, offset)
            self.emit(ir.Assign(self.loc, leaf, value))
            offset += width
        return place

    def _static_assert(self, call: s.Call, fact: CallFact) -> ir.Value:
        assert fact.arguments[0] is not None
        check = self.scalar(fact.arguments[0])
        if not isinstance(check, ir.Const):
            raise Fault("the condition of static_assert must be known at compile time", call.loc)
        if not check.value:
            text = self.scalar(fact.arguments[1]) if len(fact.arguments) > 1 and fact.arguments[1] else None
            detail = f": {text.value}" if isinstance(text, ir.Text) else ""
            raise Fault(f"static_assert failed{detail}", call.loc)
        return fold.TRUE
