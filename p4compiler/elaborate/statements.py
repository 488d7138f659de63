"""Statements of the tree to statements of the middle layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from p4compiler.check.facts import CallKind
from p4compiler.elaborate.calls import Calls
from p4compiler.ir import effects, fold
from p4compiler.ir import nodes as ir
from p4compiler.ir.parts import element
from p4compiler.source import Fault
from p4compiler.syntax import tree as s

MAX_UNROLL = 4096


class Statements(Calls):
    def block(self, block: s.Block) -> None:
        for statement in block.statements:
            self.statement(statement)

    def statement(self, statement: s.Statement | s.Declaration) -> None:
        """One statement; a Fault in it is reported and the next one is tried."""
        outer = self.loc
        self.loc = statement.loc
        try:
            self._statement(statement)
        except Fault as fault:
            self.diagnostics.error(str(fault), fault.loc or statement.loc)
        self.loc = outer

    def _statement(self, statement: s.Statement | s.Declaration) -> None:
        handler = _HANDLERS.get(type(statement))
        if handler is not None:
            handler(self, statement)

    def _call_statement(self, statement: s.CallStatement) -> None:
        self.call(statement.call)

    def _constant(self, statement: s.Constant) -> None:
        type_ = self.concrete(self.facts.declared[statement])
        self.frame.values[statement] = self.typed(statement.value, type_)

    def _instance(self, statement: s.Instance) -> None:
        self.instance(statement)

    def _exit(self, statement: s.Exit) -> None:
        for back in reversed(self.pending):
            self.copy_back(back)
        self.emit(ir.Exit(statement.loc))

    def _break(self, statement: s.Break) -> None:
        self.emit(ir.Leave(statement.loc, self.loops[-1][0]))

    def _continue(self, statement: s.Continue) -> None:
        self.emit(ir.Leave(statement.loc, self.loops[-1][1]))

    @abstractmethod
    def instance(self, declaration: s.Instance) -> None:
        """An instance among the statements."""

    def nested(self, *statements: s.Statement | s.Declaration) -> list[ir.Stmt]:
        """The statements as a list of their own."""
        with self.collected() as result:
            for statement in statements:
                self.statement(statement)
        return result

    def variable(self, declaration: s.Variable) -> None:
        """Allocates a local variable and gives it its first value."""
        type_ = self.concrete(self.facts.declared[declaration])
        place = self.storage.allocate(self.local_name(declaration.name), type_)
        if declaration.initializer is not None:
            self.assign(place, self.typed(declaration.initializer, type_))
        else:
            self.invalidate(place)
        self.frame.values[declaration] = place

    def local_name(self, name: str) -> str:
        frame = self.frame
        while not frame.prefix and frame.parent is not None:
            frame = frame.parent
        return f"{frame.prefix}.{name}" if frame.prefix else name

    def _assignment(self, statement: s.Assignment) -> None:
        """The left side is evaluated first, to a place (and the value there); then the right side."""
        place = self.place(statement.target)
        with self.collected() as needs:
            right = self.typed(
                statement.value, self.type_of(statement.target if not statement.operator else statement.value)
            )
        written = effects.writes(needs)
        if any(effects.overlap(effects.reads(index), written) for index in effects.indexes(place)):
            place = self.saved(place)
        operator = statement.operator
        if operator is None:
            self.out += needs
            self.assign(place, right)
            return
        old = self.read(place)
        assert isinstance(old, ir.Expr) and isinstance(right, ir.Expr)
        if effects.overlap(effects.reads(old), written):
            old = self.pin(old)
        self.out += needs
        self.assign(place, self.folded(lambda: fold.binary(operator, old, right), statement.loc))

    def _if(self, statement: s.If) -> None:
        direct = self._apply_condition(statement.condition)
        if direct is not None:
            call, wants_hit = direct
            declaration = self.facts.calls[call].declaration
            assert isinstance(declaration, s.Table)
            apply = self.apply_table(declaration, call.loc)
            then = self.nested(statement.then)
            otherwise = self.nested(statement.otherwise) if statement.otherwise is not None else []
            apply.hit.extend(then if wants_hit else otherwise)
            apply.miss.extend(otherwise if wants_hit else then)
            self.emit(apply)
            return
        condition = self.scalar(statement.condition)
        if isinstance(condition, ir.Const):
            chosen = statement.then if condition.value else statement.otherwise
            if chosen is not None:
                self.statement(chosen)
            return
        then = self.nested(statement.then)
        otherwise = self.nested(statement.otherwise) if statement.otherwise is not None else []
        if then or otherwise:
            self.emit(ir.If(statement.condition.loc, condition, then, otherwise))

    def _apply_condition(self, condition: s.Expression) -> tuple[s.Call, bool] | None:
        """(t.apply(), True) for `t.apply().hit` and its negations and opposites."""
        if isinstance(condition, s.Unary) and condition.operator == "!":
            inner = self._apply_condition(condition.operand)
            return (inner[0], not inner[1]) if inner is not None else None
        if isinstance(condition, s.Member) and isinstance(condition.base, s.Call):
            fact = self.facts.calls.get(condition.base)
            if fact is not None and fact.kind is CallKind.TABLE:
                return condition.base, condition.name == "hit"
        return None

    # Switch

    def _switch(self, statement: s.Switch) -> None:
        value = statement.value
        if isinstance(value, s.Member) and value.name == "action_run" and isinstance(value.base, s.Call):
            self._switch_action(statement, value.base)
            return
        selector = self.scalar(value)
        groups: list[tuple[list[s.Expression], s.Block]] = []
        labels: list[s.Expression] = []
        for case in statement.cases:
            labels.append(case.label)
            if case.body is not None:
                groups.append((labels, case.body))
                labels = []
        if isinstance(selector, ir.Const):
            self._switch_constant(selector, groups)
            return
        # The first body may change the selector; only one body runs, so reading it again is safe.
        if not isinstance(selector, ir.Scalar):
            selector = self.pin(selector, "switch")
        chain: list[ir.Stmt] = []
        for labels, body in reversed(groups):
            then = self.nested(body)
            if any(isinstance(label, s.Anything) for label in labels):
                chain = then
                continue
            condition: ir.Expr = fold.FALSE
            for label in labels:
                constant = fold.adapt(self.scalar(label), selector.type)
                condition = fold.binary("||", condition, fold.binary("==", selector, constant))
            chain = [ir.If(statement.value.loc, condition, then, chain)]
        self.out += chain

    def _switch_constant(self, selector: ir.Const, groups: list[tuple[list[s.Expression], s.Block]]) -> None:
        for labels, body in groups:
            for label in labels:
                if isinstance(label, s.Anything):
                    self.block(body)
                    return
                constant = fold.adapt(self.scalar(label), selector.type)
                if isinstance(constant, ir.Const) and constant.value == selector.value:
                    self.block(body)
                    return

    def _switch_action(self, statement: s.Switch, call: s.Call) -> None:
        declaration = self.facts.calls[call].declaration
        assert isinstance(declaration, s.Table)
        apply = self.apply_table(declaration, call.loc)
        by_action: dict[str | None, list[ir.Stmt]] = {}
        waiting: list[str | None] = []
        for case in statement.cases:
            if isinstance(case.label, s.Name):
                waiting.append(case.label.name)
            else:
                waiting.append(None)
            if case.body is not None:
                body = self.nested(case.body)
                by_action.update(dict.fromkeys(waiting, body))
                waiting = []
        for name in waiting:
            by_action[name] = []
        self.emit(ir.Apply(statement.loc, apply.table, [], [], by_action))

    # Leaving and looping

    def _return(self, statement: s.Return) -> None:
        label, place = self.returns[-1]
        if statement.value is not None and place is not None:
            type_ = place.type  # type: ignore[union-attr]
            self.assign(place, self.typed(statement.value, type_))
        self.emit(ir.Leave(statement.loc, label))

    def _for(self, statement: s.For) -> None:
        for first in statement.init:
            self.statement(first)
        after, again = self.new_label(), self.new_label()
        with self.collected() as inside:
            condition = self.scalar(statement.condition)
            if condition != fold.TRUE:
                self.emit(ir.If(statement.loc, fold.unary("!", condition), [ir.Leave(statement.loc, after)], []))
            self.emit(ir.Labelled(statement.loc, again, self._loop_body(statement.body, after, again)))
            for update in statement.updates:
                self.statement(update)
        self.emit(ir.Labelled(statement.loc, after, [ir.Loop(statement.loc, inside)]))

    def _for_in(self, statement: s.ForIn) -> None:
        """Over values known at compile time the body is repeated for each; a range of others becomes a loop."""
        if statement.variable is not None:
            self.statement(statement.variable)
            target = self.frame.values[statement.variable]
        else:
            assert statement.target is not None
            target = self.place(statement.target)
        if isinstance(statement.collection, s.Range):
            self._for_range(statement, statement.collection, target)
            return
        collection = self.value(statement.collection)
        if isinstance(collection, ir.StackPlace):
            parts: list[ir.Value] = [element(collection, i) for i in range(collection.type.size)]
        elif isinstance(collection, (ir.Aggregate, ir.StructPlace)):
            parts = list(collection.fields.values())
        else:
            raise Fault("a loop cannot go over this", statement.collection.loc)
        body = self._each(statement, target, parts)
        if any(effects.overlap(effects.reads(part), effects.writes([body])) for part in parts):
            # The collection is evaluated once, before the loop.
            copies = [self.copy_of(part, part.type, "each") for part in parts]  # type: ignore[union-attr]
            body = self._each(statement, target, copies)
        self.emit(body)

    def _each(self, statement: s.ForIn, target: ir.Value, parts: list[ir.Value]) -> ir.Labelled:
        """The body once for each part."""
        after = self.new_label()
        with self.collected() as body:
            for part in parts:
                self._repeat(statement, target, part, after)
        return ir.Labelled(statement.loc, after, body)

    def _repeat(self, statement: s.ForIn, target: ir.Value, part: ir.Value, after: int) -> None:
        self.assign(target, part)
        again = self.new_label()
        self.emit(ir.Labelled(statement.loc, again, self._loop_body(statement.body, after, again)))

    def _loop_body(self, body: s.Statement, after: int, again: int) -> list[ir.Stmt]:
        """The body, in which `break` goes to one label and `continue` to the other."""
        self.loops.append((after, again))
        try:
            return self.nested(body)
        finally:
            self.loops.pop()

    def _for_range(self, statement: s.ForIn, range_: s.Range, target: ir.Value) -> None:
        low, high = self.in_order([range_.low, range_.high])
        assert isinstance(target, ir.Scalar) and isinstance(low, ir.Expr) and isinstance(high, ir.Expr)
        low, high = fold.adapt(low, target.type), fold.adapt(high, target.type)
        after = self.new_label()
        with self.collected() as body:
            if isinstance(low, ir.Const) and isinstance(high, ir.Const):
                if high.value - low.value >= MAX_UNROLL:
                    raise Fault(f"a loop over more than {MAX_UNROLL} values", range_.loc)
                for number in range(low.value, high.value + 1):
                    self._repeat(statement, target, ir.Const(target.type, number), after)
            else:
                self._count(statement, target, low, high, after)
        self.emit(ir.Labelled(statement.loc, after, body))

    def _count(self, statement: s.ForIn, target: ir.Scalar, low: ir.Expr, high: ir.Expr, after: int) -> None:
        """A loop that counts from one value to the other."""
        last = self.pin(high, "last")
        counter = self.pin(low, "counter")
        leave: list[ir.Stmt] = [ir.Leave(statement.loc, after)]
        with self.collected() as inside:
            self.emit(ir.If(statement.loc, fold.binary(">", counter, last), leave, []))
            self._repeat(statement, target, counter, after)
            # Compared before it is increased: the last value may be the greatest that the type holds.
            self.emit(ir.If(statement.loc, fold.binary("==", counter, last), [*leave], []))
            self.emit(ir.Assign(self.loc, counter, fold.binary("+", counter, ir.Const(counter.type, 1))))
        self.emit(ir.Loop(statement.loc, inside))


_HANDLERS: dict[type, Callable[..., None]] = {
    s.Block: Statements.block,
    s.Assignment: Statements._assignment,
    s.CallStatement: Statements._call_statement,
    s.If: Statements._if,
    s.Switch: Statements._switch,
    s.Variable: Statements.variable,
    s.Constant: Statements._constant,
    s.Instance: Statements._instance,
    s.Return: Statements._return,
    s.Exit: Statements._exit,
    s.For: Statements._for,
    s.ForIn: Statements._for_in,
    s.Break: Statements._break,
    s.Continue: Statements._continue,
}
