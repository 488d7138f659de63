"""Places and values of the middle layer: members, elements, defaults, conversions, comparison, assignment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from p4compiler import types as t
from p4compiler.arithmetic import ConstantFault
from p4compiler.check.facts import Facts
from p4compiler.elaborate.storage import Storage
from p4compiler.ir import effects, fold, parts
from p4compiler.ir import nodes as ir
from p4compiler.source import Diagnostics, Fault, Location
from p4compiler.syntax import tree as s


class Values:
    def __init__(self, facts: Facts, diagnostics: Diagnostics) -> None:
        self.facts = facts
        self.diagnostics = diagnostics
        self.named = frozenset(facts.uses.values())
        self.storage = Storage(self.field_types)
        self.globals = ir.Frame()
        self.frame = self.globals
        self.out: list[ir.Stmt] = []
        # The statement or declaration at hand.
        self.loc = facts.program.end
        # Whether statements may be put before an expression (not in checksum controls).
        self.in_action = False
        self.in_parser = False

    # Types

    def field_types(self, type_: t.Struct) -> dict[str, t.Type]:
        fields = self.facts.fields[type_.declaration]
        if not type_.arguments:
            return fields
        bindings = t.bind(type_.declaration.type_parameters, type_.arguments)
        return {name: t.substitute(field, bindings) for name, field in fields.items()}

    def concrete(self, type_: t.Type) -> t.Type:
        """With the type parameters of the present instance in place."""
        return t.substitute(type_, self.frame.types)

    def type_of(self, expression: s.Expression) -> t.Type:
        return self.concrete(self.facts.types.get(expression, t.UNKNOWN))

    # Temporaries

    def emit(self, statement: ir.Stmt) -> None:
        self.out.append(statement)

    @contextmanager
    def collected(self, into: list[ir.Stmt] | None = None) -> Iterator[list[ir.Stmt]]:
        """What is emitted inside goes to a list of its own, or to the one that is given."""
        outer, self.out = self.out, [] if into is None else into
        try:
            yield self.out
        finally:
            self.out = outer

    @contextmanager
    def within(self, frame: ir.Frame) -> Iterator[None]:
        """Inside, names mean what they mean in this frame."""
        outer, self.frame = self.frame, frame
        try:
            yield
        finally:
            self.frame = outer

    @contextmanager
    def action_body(self) -> Iterator[None]:
        """Inside, statements are those of an action, where calls of actions are inlined."""
        outer, self.in_action = self.in_action, True
        try:
            yield
        finally:
            self.in_action = outer

    def temporary(self, name: str, type_: t.Type) -> ir.Value:
        return self.storage.allocate(name, type_)

    def pin(self, value: ir.Expr, name: str = "tmp") -> ir.Scalar:
        """A fresh variable that holds the value from now on."""
        place = self.temporary(name, t.Bits(32) if value.type is t.INT else value.type)
        assert isinstance(place, ir.Scalar)
        self.emit(ir.Assign(self.loc, place, fold.adapt(value, place.type)))
        return place

    def copy_of(self, value: ir.Value, type_: t.Type, name: str) -> ir.Value:
        """A fresh place that holds the value from now on."""
        place = self.temporary(name, type_)
        self.assign(place, value)
        return place

    def saved(self, place: ir.Value) -> ir.Value:
        """The place with its run-time index as it is now."""
        indexes = [index for index in effects.indexes(place) if not isinstance(index, ir.Runtime)]
        return self._with_index(place, self.pin(indexes[0], "index")) if indexes else place

    def _with_index(self, place: ir.Value, index: ir.Expr) -> ir.Value:
        if isinstance(place, ir.Element):
            return ir.Element(place.stack, index, place.type)
        if isinstance(place, ir.Scalar):
            return ir.Scalar(place.type, self._with_index(place.owner, index), place.field)  # type: ignore[arg-type]
        if isinstance(place, ir.Bitfield):
            return ir.Bitfield(self._with_index(place.scalar, index), place.high, place.low)  # type: ignore[arg-type]
        if isinstance(place, ir.UnionPlace) and isinstance(place.of, ir.Element):
            return ir.UnionPlace(place.type, of=self._with_index(place.of, index))  # type: ignore[arg-type]
        if isinstance(place, ir.Member):
            return ir.Member(self._with_index(place.union, index), place.name, place.type)  # type: ignore[arg-type]
        if isinstance(place, ir.StructPlace):
            return ir.StructPlace(place.type, {n: self._with_index(p, index) for n, p in place.fields.items()})
        return place

    # Parts

    def member(self, base: ir.Value, name: str, loc: Location | None) -> ir.Value:
        """base.name for everything that has named parts."""
        if isinstance(base, (ir.StructPlace, ir.Aggregate)):
            if name in base.fields:
                return base.fields[name]
            return list(base.fields.values())[self._position(base.type, name)]
        if isinstance(base, (ir.Header, ir.Element, ir.Edge, ir.Member)):
            return self.header_field(base, name)
        if isinstance(base, ir.UnionPlace):
            return self.union_member(base, name)
        if isinstance(base, ir.StackPlace):
            return self._stack_member(base, name)
        if isinstance(base, ir.Invalid):
            struct = t.strip(base.type)
            assert isinstance(struct, t.Struct)
            return self.default(self.field_types(struct)[name])
        raise Fault(f"'.{name}' is not supported here", loc)

    def _position(self, type_: t.Type, name: str) -> int:
        plain = t.strip(type_)
        assert isinstance(plain, t.Struct)
        return list(self.field_types(plain)).index(name)

    def header_field(self, header: ir.HeaderPlace, name: str) -> ir.Value:
        return parts.header_field(header, name, self.field_types)

    def union_member(self, union: ir.UnionPlace, name: str) -> ir.Value:
        type_ = t.strip(self.field_types(union.type)[name])
        if union.name:
            return ir.Header(f"{union.name}.{name}", type_)
        return ir.Member(union, name, type_)

    def _stack_member(self, stack: ir.StackPlace, name: str) -> ir.Value:
        if name == "size":
            return ir.Const(t.Bits(32), stack.type.size)
        if name == "lastIndex":
            return ir.LastIndex(t.Bits(32), stack)
        element = t.strip(stack.type.element)
        assert isinstance(element, t.Struct)
        if name == "last":
            self._require_last(stack)
        edge = ir.Edge(stack, name, element)
        return ir.UnionPlace(element, of=edge) if element.kind == "header_union" else edge

    def _require_last(self, stack: ir.StackPlace) -> None:
        """Without a last element the parser ends here (P4_16 specification, section "Operations on header stacks").

        The target would read the element that is not there. What this list of statements has extracted is there.
        """
        there = ir.HasLast(t.BOOL, stack)
        for statement in reversed(self.out):
            if isinstance(statement, ir.Call) and statement.arguments:
                first = statement.arguments[0]
                if first == there or (statement.name == "extract" and _edge(first) == (stack, "next")):
                    return
            elif not isinstance(statement, (ir.Assign, ir.SetValid)) and effects.overlap(
                effects.places(stack), effects.writes([statement])
            ):
                break
        error = ir.Const(t.ERROR, self.facts.errors["StackOutOfBounds"], "StackOutOfBounds")
        self.emit(ir.Call(self.loc, "verify", None, (there, error)))

    def element(self, base: ir.Value, index: ir.Expr, loc: Location | None) -> ir.Value:
        """base[index]."""
        if isinstance(base, (ir.Aggregate, ir.StructPlace)):
            items = list(base.fields.values())
            if not isinstance(index, ir.Const):
                return self._chosen(items, index, loc)
            if not 0 <= index.value < len(items):
                raise Fault(f"index {index.value} is out of range", loc)
            return items[index.value]
        if not isinstance(base, ir.StackPlace):
            raise Fault("this cannot be indexed", loc)
        element = t.strip(base.type.element)
        assert isinstance(element, t.Struct)
        if isinstance(index, ir.Const):
            if not 0 <= index.value < base.type.size:
                raise Fault(f"index {index.value} is outside of the stack, which has {base.type.size} elements", loc)
            return parts.element(base, index.value)
        dynamic = ir.Element(base, index, element)
        return ir.UnionPlace(element, of=dynamic) if element.kind == "header_union" else dynamic

    def _chosen(self, parts: list[ir.Value], index: ir.Expr, loc: Location | None) -> ir.Value:
        """parts[index], to be read: the target has no arrays of fields, so each index is compared with."""
        if not parts or not all(isinstance(part, ir.Expr) for part in parts):
            raise Fault("the index must be known at compile time", loc)
        choice = parts[-1]
        for number in reversed(range(len(parts) - 1)):
            part = parts[number]
            assert isinstance(part, ir.Expr) and isinstance(choice, ir.Expr)
            choice = fold.mux(fold.binary("==", index, ir.Const(index.type, number)), part, choice)
        return choice

    def leaves(self, value: ir.Value) -> list[ir.Value]:
        """The scalars of a value, depth first; headers give their fields."""
        return parts.leaves(value, self.field_types)

    # Conversions

    def default(self, type_: t.Type) -> ir.Value:
        """The value of `...`: zeroes, false, invalid headers (P4_16 specification, section 7.3)."""
        plain = t.value_type(type_)
        if isinstance(plain, t.Struct):
            if plain.kind != "struct":
                return ir.Invalid(plain)
            return ir.Aggregate(plain, {n: self.default(f) for n, f in self.field_types(plain).items()})
        if isinstance(plain, t.Tuple):
            return ir.Aggregate(plain, {str(i): self.default(f) for i, f in enumerate(plain.items)})
        if t.is_array(plain):
            return ir.Aggregate(plain, {i: self.default(f) for i, f in t.array_items(plain).items()})
        if isinstance(plain, t.Stack):
            return ir.Aggregate(plain, {str(i): ir.Invalid(t.strip(plain.element)) for i in range(plain.size)})
        return ir.Const(fold.erase(plain), 0)

    def coerce(self, value: ir.Value, type_: t.Type) -> ir.Value:
        """The value as one of the type: implicit casts, and lists and records as structs."""
        plain = t.value_type(type_)
        if isinstance(value, ir.Expr):
            return fold.adapt(value, fold.erase(plain))
        if isinstance(value, ir.Aggregate):
            if value.type is t.DEFAULT:
                return self.default(type_)
            wanted: dict[str, t.Type]
            if isinstance(plain, t.Struct):
                wanted = self.field_types(plain)
            elif isinstance(plain, t.Tuple):
                wanted = {str(i): item for i, item in enumerate(plain.items)}
            elif isinstance(plain, t.Stack):
                wanted = {str(i): plain.element for i in range(plain.size)}
            elif isinstance(plain, t.List):
                wanted = {str(i): plain.item for i in range(len(value.fields))}
            else:
                return value
            by_name = isinstance(value.type, (t.Record, t.Struct))
            parts = list(value.fields.values())
            fields: dict[str, ir.Value] = {}
            for number, (name, field) in enumerate(wanted.items()):
                part = value.fields.get(name) if by_name else parts[number] if number < len(parts) else None
                fields[name] = self.default(field) if part is None else self.coerce(part, field)
            return ir.Aggregate(plain, fields)
        if isinstance(value, ir.Invalid):
            return ir.Invalid(plain)
        return value

    # Comparison

    def equal(self, left: ir.Value, right: ir.Value, loc: Location | None) -> ir.Expr:
        """left == right, for scalars and everything made of them."""
        if isinstance(left, ir.Expr) and isinstance(right, ir.Expr):
            return fold.binary("==", left, right)
        if isinstance(left, ir.UnionPlace) and isinstance(right, ir.UnionPlace):
            names = self.field_types(left.type)
            return fold.conjunction(
                [self.equal(self.union_member(left, n), self.union_member(right, n), loc) for n in names]
            )
        if isinstance(left, ir.StackPlace) or isinstance(right, ir.StackPlace):
            stack = left if isinstance(left, ir.StackPlace) else right
            assert isinstance(stack, ir.StackPlace)
            indexes = [ir.Const(t.Bits(32), i) for i in range(stack.type.size)]
            pairs = [(self.element(left, i, loc), self.element(right, i, loc)) for i in indexes]
            return fold.conjunction([self.equal(a, b, loc) for a, b in pairs])
        if self._is_header_value(left) or self._is_header_value(right):
            return self._equal_headers(left, right, loc)
        if not self._has_parts(left) and not self._has_parts(right):
            raise Fault("these cannot be compared", loc)
        shape = left if isinstance(left, ir.StructPlace) else right
        assert isinstance(shape, (ir.StructPlace, ir.Aggregate))
        left, right = self.coerce(left, shape.type), self.coerce(right, shape.type)
        assert isinstance(left, (ir.StructPlace, ir.Aggregate)) and isinstance(right, (ir.StructPlace, ir.Aggregate))
        pairs = list(zip(left.fields.values(), right.fields.values(), strict=True))
        return fold.conjunction([self.equal(a, b, loc) for a, b in pairs])

    def _has_parts(self, value: ir.Value) -> bool:
        return isinstance(value, (ir.StructPlace, ir.Aggregate))

    def _is_header_value(self, value: ir.Value) -> bool:
        if isinstance(value, (ir.Header, ir.Element, ir.Edge, ir.Member, ir.Invalid)):
            return True
        return isinstance(value, ir.Aggregate) and t.is_header(t.strip(value.type))

    def _equal_headers(self, left: ir.Value, right: ir.Value, loc: Location | None) -> ir.Expr:
        typed = left if isinstance(left, (ir.Header, ir.Element, ir.Edge, ir.Member)) else right
        struct = t.strip(typed.type)  # type: ignore[union-attr]
        left, right = self.coerce(left, struct), self.coerce(right, struct)
        left_valid, right_valid = self.validity(left), self.validity(right)
        neither = fold.binary("&&", fold.unary("!", left_valid), fold.unary("!", right_valid))
        assert isinstance(struct, t.Struct)
        parts = [
            self.equal(self.member(left, n, loc), self.member(right, n, loc), loc) for n in self.field_types(struct)
        ]
        both = fold.conjunction([left_valid, right_valid, *parts])
        return fold.binary("||", neither, both)

    def validity(self, value: ir.Value) -> ir.Expr:
        """Whether a header or union is valid."""
        if isinstance(value, ir.Aggregate):
            return fold.TRUE
        if isinstance(value, ir.Invalid):
            return fold.FALSE
        if isinstance(value, ir.UnionPlace):
            members = [self.union_member(value, n) for n in self.field_types(value.type)]
            result: ir.Expr = fold.FALSE
            for member in members:
                result = fold.binary("||", result, self.validity(member))
            return result
        if isinstance(value, (ir.Header, ir.Edge)):
            return ir.Valid(t.BOOL, value)
        if isinstance(value, (ir.Element, ir.Member)):
            # The target has no expression for the validity of an element chosen at run time.
            place = self.temporary("valid", t.BOOL)
            assert isinstance(place, ir.Scalar)
            self.emit(ir.Assign(self.loc, place, fold.FALSE))
            self.each_static(value, lambda h: self.emit(ir.Assign(self.loc, place, ir.Valid(t.BOOL, h))))
            return place
        raise Fault("this has no validity", self.loc)

    def each_static(self, place: ir.Value, action: Callable[[ir.Header], None]) -> None:
        """Carries out the action on the header that a place means; for an index known at run time, under an if."""
        if isinstance(place, ir.Header):
            action(place)
            return
        member = place.name if isinstance(place, ir.Member) else None
        inner: object = place.union.of if isinstance(place, ir.Member) else place
        if not isinstance(inner, (ir.Element, ir.Edge)):
            raise Fault("this is not supported for an element of a stack", self.loc)
        if isinstance(inner, ir.Edge):
            if inner.which == "next":
                raise Fault("'next' can only be extracted to", self.loc)
            index: ir.Expr = ir.LastIndex(t.Bits(32), inner.stack)
        else:
            index = inner.index
        bodies: list[list[ir.Stmt]] = []
        for number in range(inner.stack.type.size):
            element = parts.element(inner.stack, number)
            header = self.union_member(element, member) if isinstance(element, ir.UnionPlace) and member else element
            assert isinstance(header, ir.Header)
            with self.collected() as body:
                action(header)
            bodies.append(body)
        changed = effects.overlap(effects.reads(index), effects.writes(one for body in bodies for one in body))
        if changed or not isinstance(index, (ir.Scalar, ir.LastIndex)):
            index = self.pin(index, "index")
        for number, body in enumerate(bodies):
            condition = fold.binary("==", index, ir.Const(index.type, number))
            self.emit(ir.If(self.loc, condition, body, []))

    # Assignment

    def assign(self, target: ir.Value, value: ir.Value) -> None:
        """target = value, part by part where it has parts."""
        if isinstance(target, ir.Scalar):
            if not isinstance(value, ir.Expr):
                raise Fault("this value cannot be assigned", self.loc)
            value = fold.adapt(value, target.type)
            if value != target:
                self.emit(ir.Assign(self.loc, target, value))
        elif isinstance(target, ir.Bitfield):
            assert isinstance(value, ir.Expr)
            self._assign_bits(target, value)
        elif isinstance(target, (ir.Header, ir.Element, ir.Edge, ir.Member)):
            self._assign_header(target, self.coerce(value, target.type))
        elif isinstance(target, ir.StructPlace):
            self._assign_parts(target, self.coerce(value, target.type))
        elif isinstance(target, ir.UnionPlace):
            self._assign_union(target, value)
        elif isinstance(target, ir.StackPlace):
            self._assign_stack(target, self.coerce(value, target.type))
        else:
            raise Fault("this cannot be assigned to", self.loc)

    def _assign_bits(self, target: ir.Bitfield, value: ir.Expr) -> None:
        scalar, type_ = target.scalar, target.scalar.type
        assert isinstance(type_, t.Bits)
        width = target.high - target.low + 1
        part = fold.cast(fold.adapt(value, t.Bits(width)), t.Bits(type_.width))
        if type_.signed:
            part = fold.cast(part, type_)
        mask = ((1 << width) - 1) << target.low
        shifted = fold.binary("<<", part, ir.Const(t.INT, target.low))
        keep = (1 << type_.width) - 1 - mask
        if type_.signed and keep >> (type_.width - 1):
            keep -= 1 << type_.width
        kept = fold.binary("&", scalar, ir.Const(type_, keep))
        self.emit(ir.Assign(self.loc, scalar, fold.binary("|", kept, shifted)))

    def _assign_header(self, target: ir.HeaderPlace, value: ir.Value) -> None:
        if isinstance(value, ir.Invalid):
            self.each_static(target, lambda h: self.set_valid(h, False))
            return
        if isinstance(value, ir.Aggregate):
            parts = self._detached(target, value)
            self.each_static(target, lambda h: self._fill_header(h, parts))
            return
        if isinstance(value, (ir.Header, ir.Element, ir.Edge, ir.Member)):
            if value != target or target in self.storage.siblings:
                self._copy_each(target, value, self._copy_header)
            return
        raise Fault("this value cannot be assigned to a header", self.loc)

    def set_valid(self, header: ir.Header, valid: bool) -> None:
        """Make a header valid or invalid. Of a union one member is valid at most, none once one is made invalid."""
        self.emit(ir.SetValid(self.loc, header, valid))
        if not valid:
            for other in self.storage.siblings.get(header, ()):
                self.emit(ir.SetValid(self.loc, other, False))

    def _copy_header(self, target: ir.Header, source: ir.Header) -> None:
        self.emit(ir.Copy(self.loc, target, source))
        if target in self.storage.siblings:
            with self.collected() as invalid:
                self.set_valid(target, False)
            self.emit(ir.If(self.loc, fold.unary("!", ir.Valid(t.BOOL, target)), invalid, []))

    def _fill_header(self, header: ir.Header, parts: ir.Aggregate) -> None:
        self.emit(ir.SetValid(self.loc, header, True))
        for name, part in parts.fields.items():
            self.assign(self.header_field(header, name), part)

    def _detached(self, target: ir.Value, value: ir.Aggregate) -> ir.Aggregate:
        """The value with parts that read the target copied first, so that writing one part spoils no other."""
        written = effects.places(target)
        fields: dict[str, ir.Value] = {}
        for name, part in value.fields.items():
            if isinstance(part, ir.Aggregate):
                part = self._detached(target, part)
            elif effects.overlap(effects.reads(part), written):
                part = self.copy_of(part, part.type, "tmp")  # type: ignore[union-attr]
            fields[name] = part
        return ir.Aggregate(value.type, fields)

    def _assign_parts(self, target: ir.StructPlace, value: ir.Value) -> None:
        if isinstance(value, ir.Aggregate):
            value = self._detached(target, value)
        if not isinstance(value, (ir.StructPlace, ir.Aggregate)):
            raise Fault("this value cannot be assigned to a struct", self.loc)
        if value is target:
            return
        for place, part in zip(target.fields.values(), value.fields.values(), strict=True):
            self.assign(place, part)

    def _assign_union(self, target: ir.UnionPlace, value: ir.Value) -> None:
        if value == target:
            return
        if isinstance(value, ir.UnionPlace) and target.name and value.name:
            self.emit(ir.Copy(self.loc, target, value))
            return
        into = self.saved(target)
        source = self.saved(value) if isinstance(value, ir.UnionPlace) else None
        for name in self.field_types(target.type):
            member = self.member(into, name, self.loc)
            if source is None:
                self.each_static(member, lambda h: self.emit(ir.SetValid(self.loc, h, False)))
            else:
                self._copy_each(member, self.member(source, name, self.loc), self._copy_member)

    def _copy_each(self, target: ir.Value, source: ir.Value, copy: Callable[[ir.Header, ir.Header], None]) -> None:
        """Carries out the copy between the headers that two places mean."""
        self.each_static(target, lambda h: self.each_static(source, lambda v: copy(h, v)))

    def _copy_member(self, target: ir.Header, source: ir.Header) -> None:
        """Copy a member of a union that is copied as a whole: its other members are copied, too."""
        self.emit(ir.Copy(self.loc, target, source))

    def _assign_stack(self, target: ir.StackPlace, value: ir.Value) -> None:
        if isinstance(value, ir.StackPlace):
            if value != target:
                self.emit(ir.Copy(self.loc, target, value))
            return
        assert isinstance(value, ir.Aggregate)
        value = self._detached(target, value)
        for number, part in enumerate(value.fields.values()):
            self.assign(parts.element(target, number), part)

    def invalidate(self, place: ir.Value) -> None:
        """Headers of a fresh variable begin invalid (P4_16 specification, section 8.20)."""
        if isinstance(place, ir.Header):
            if t.is_header(t.strip(place.type)):
                self.emit(ir.SetValid(self.loc, place, False))
        elif isinstance(place, ir.UnionPlace):
            for name in self.field_types(place.type):
                self.invalidate(self.union_member(place, name))
        elif isinstance(place, ir.StackPlace):
            for number in range(place.type.size):
                self.invalidate(parts.element(place, number))
        elif isinstance(place, ir.StructPlace):
            for part in place.fields.values():
                self.invalidate(part)

    def folded(self, make: Callable[[], ir.Expr], loc: Location | None) -> ir.Expr:
        """Runs a folding operation; a constant without value is the user's error."""
        try:
            return make()
        except ConstantFault as fault:
            raise Fault(str(fault), loc) from None


def _edge(place: object) -> tuple[ir.StackPlace, str] | None:
    """The stack of which a place is `next` or `last`, or a member of a union there."""
    if isinstance(place, ir.Member):
        place = place.union
    if isinstance(place, ir.UnionPlace):
        place = place.of
    return (place.stack, place.which) if isinstance(place, ir.Edge) else None
