"""Statements as the primitives of an action, with jumps for what is conditional inside it."""

from __future__ import annotations

from p4compiler import types as t
from p4compiler.bmv2.expressions import Json, convert, data, hexstr, inner, operation, place_name, read, wrapped
from p4compiler.bmv2.externs import Externs
from p4compiler.bmv2.output import source_info
from p4compiler.ir import nodes as ir
from p4compiler.source import Fault, at


def copy_operation(place: object) -> tuple[str, str]:
    """Primitive and JSON type for copying a header, stack or union."""
    if isinstance(place, ir.UnionPlace):
        return "assign_union", "header_union"
    if isinstance(place, ir.StackPlace):
        element = t.strip(place.type.element)
        if isinstance(element, t.Struct) and element.kind == "header_union":
            return "assign_union_stack", "header_union_stack"
        return "assign_header_stack", "header_stack"
    return "assign_header", "header"


def simple_primitive(statement: ir.Stmt, externs: Externs, block: str) -> list[Json]:
    """The primitives of a statement without inner statements."""
    if isinstance(statement, ir.Assign):
        op = "assign_VL" if isinstance(statement.target.type, t.Varbit) else "assign"
        parameters = [wrapped(read(statement.target)), data(statement.value)]
    elif isinstance(statement, ir.Copy):
        op, kind = copy_operation(statement.target)
        parameters = [{"type": kind, "value": place_name(p)} for p in (statement.target, statement.source)]
    elif isinstance(statement, ir.SetValid):
        op = "add_header" if statement.valid else "remove_header"
        parameters = [{"type": "header", "value": place_name(statement.header)}]
    elif isinstance(statement, ir.Shift):
        op = "push" if statement.count > 0 else "pop"
        _, kind = copy_operation(statement.stack)
        parameters = [{"type": kind, "value": statement.stack.name}, hexstr(abs(statement.count), 8)]
    elif isinstance(statement, ir.Exit):
        op, parameters = "exit", []
    elif isinstance(statement, ir.Call):
        return externs.primitives(statement, block)
    else:
        raise Fault("this statement is not supported here", statement.loc)
    return [{"op": op, "parameters": parameters, **source_info(statement.loc)}]


class Body:
    """Builds the primitives of one action."""

    def __init__(self, externs: Externs, block: str) -> None:
        self.externs = externs
        self.block = block
        self.primitives: list[Json] = []
        # Jumps whose target is not known yet, by label.
        self.waiting: dict[int, list[Json]] = {}

    def statements(self, statements: list[ir.Stmt]) -> None:
        for statement in statements:
            with at(statement.loc):
                self.statement(statement)
            if isinstance(statement, (ir.Leave, ir.Exit)):
                break

    def statement(self, statement: ir.Stmt) -> None:
        if isinstance(statement, ir.If):
            self._if(statement)
        elif isinstance(statement, ir.Labelled):
            self.statements(statement.body)
            self._land(statement.label)
        elif isinstance(statement, ir.Leave):
            self._jump(statement.label, statement)
        elif isinstance(statement, ir.Loop):
            start = len(self.primitives)
            self.statements(statement.body)
            self.primitives.append({"op": "_jump", "parameters": [hexstr(start)], **source_info(statement.loc)})
        elif isinstance(statement, ir.DirectAction):
            self.statements(statement.action.body)
        elif isinstance(statement, ir.Exit):
            self.primitives += simple_primitive(statement, self.externs, self.block)
            self._jump(END, statement)
        else:
            self.primitives += simple_primitive(statement, self.externs, self.block)

    def _jump(self, label: int, statement: ir.Stmt) -> None:
        jump: Json = {"op": "_jump", "parameters": [], **source_info(statement.loc)}
        self.primitives.append(jump)
        self.waiting.setdefault(label, []).append(jump)

    def _land(self, label: int) -> None:
        """Here is where jumps to the label go."""
        here = len(self.primitives)
        for jump in self.waiting.pop(label, ()):
            jump["parameters"].append(hexstr(here))

    def _if(self, statement: ir.If) -> None:
        condition = wrapped(operation("b2d", None, inner(convert(statement.condition))))
        skip: Json = {"op": "_jump_if_zero", "parameters": [condition], **source_info(statement.loc)}
        self.primitives.append(skip)
        self.statements(statement.then)
        if statement.otherwise:
            over: Json = {"op": "_jump", "parameters": [], **source_info(statement.loc)}
            self.primitives.append(over)
            skip["parameters"].append(hexstr(len(self.primitives)))
            self.statements(statement.otherwise)
            over["parameters"].append(hexstr(len(self.primitives)))
        else:
            skip["parameters"].append(hexstr(len(self.primitives)))

    def finish(self) -> list[Json]:
        self._land(END)
        if self.waiting:
            raise Fault("a jump leaves its action", None)
        # The exit at the very end needs no jump behind it.
        last = self.primitives[-1] if self.primitives else None
        if last is not None and last["op"] == "_jump" and last["parameters"] == [hexstr(len(self.primitives))]:
            used = {p["parameters"][-1]["value"] for p in self.primitives[:-1] if p["op"].startswith("_jump")}
            if (
                hexstr(len(self.primitives))["value"] not in used
                and hexstr(len(self.primitives) - 1)["value"] not in used
            ):
                self.primitives.pop()
        return self.primitives


END = 0


def action_primitives(statements: list[ir.Stmt], externs: Externs, block: str) -> list[Json]:
    """The primitives of a whole action body."""
    if not statements:
        return []
    body = Body(externs, block)
    body.statements(statements)
    with at(statements[0].loc):
        return body.finish()
