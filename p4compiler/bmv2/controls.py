"""A control's statements as BMv2's graph of tables and conditions.

Built from the end: each node knows its successors by name. Statements between tables and conditions become the action
of a hidden table without keys, named after their file and line.
"""

from __future__ import annotations

from pathlib import PurePath

from p4compiler.bmv2.expressions import Json, convert
from p4compiler.bmv2.externs import Externs
from p4compiler.bmv2.loops import bodies, is_loop
from p4compiler.bmv2.output import Output, source_info
from p4compiler.bmv2.primitives import action_primitives
from p4compiler.bmv2.tables import TableWriter
from p4compiler.ir import nodes as ir
from p4compiler.ir.unique import UniqueNames
from p4compiler.source import Diagnostics, Fault, Location, at


class ControlWriter:
    def __init__(self, output: Output, externs: Externs, diagnostics: Diagnostics) -> None:
        self.output = output
        self.externs = externs
        self.diagnostics = diagnostics
        self._names = UniqueNames()

    def write(self, block: str, statements: list[ir.Stmt], loc: Location) -> None:
        """Adds the pipeline of one control."""
        self.block = block
        self.tables: list[Json] = []
        self.conditionals: list[Json] = []
        self.profiles: list[Json] = []
        self.after: dict[int, str | None] = {}
        self.placed: dict[ir.TableObject, tuple[Json, Json]] = {}
        self.built: dict[tuple[int, str | None], str | None] = {}
        self._keep: list[list[ir.Stmt]] = []
        start = self.build(statements, None)
        self.output.add(
            "pipelines",
            {
                "name": block,
                "id": 0,
                **source_info(loc),
                "init_table": start,
                # In the order of the program, for people who read it.
                "tables": self.tables[::-1],
                "action_profiles": self.profiles,
                "conditionals": self.conditionals[::-1],
            },
        )

    def build(self, statements: list[ir.Stmt], follow: str | None) -> str | None:
        """The node at which the statements begin, if `follow` comes after them."""
        key = (id(statements), follow)
        if key in self.built:
            return self.built[key]
        self._keep.append(statements)
        node = follow
        group: list[ir.Stmt] = []
        for statement in reversed(reachable(statements)):
            if isinstance(statement, ir.Leave):
                node = self.after[statement.label]
            elif isinstance(statement, ir.Exit):
                group, node = [statement], None
            elif is_simple(statement):
                group.insert(0, statement)
            else:
                node = self._flush(group, node)
                group = []
                node = self._node(statement, node)
        node = self._flush(group, node)
        self.built[key] = node
        return node

    def _node(self, statement: ir.Stmt, follow: str | None) -> str | None:
        if isinstance(statement, ir.If):
            return self._conditional(statement, follow)
        if isinstance(statement, ir.Apply):
            return self._table(statement, follow)
        if isinstance(statement, ir.Labelled):
            self.after[statement.label] = follow
            return self.build(statement.body, follow)
        if isinstance(statement, ir.DirectAction):
            return self._direct(statement, follow)
        if isinstance(statement, ir.Loop):
            raise Fault("a table is applied inside a loop whose length is not known at compile time", statement.loc)
        raise Fault("this statement is not supported in a control", statement.loc)

    def _flush(self, group: list[ir.Stmt], follow: str | None) -> str | None:
        if not group:
            return follow
        loc = group[0].loc
        name = self._names.unique(f"{PurePath(loc.source.path).stem}{loc.line}")
        return self._hidden(name, f"tbl_{name}", group, follow, loc)

    def _direct(self, statement: ir.DirectAction, follow: str | None) -> str | None:
        action = statement.action
        if not action.body:
            return follow
        short = action.name.rsplit(".", 1)[-1]
        return self._hidden(action.name, self._names.unique(f"tbl_{short}"), action.body, follow, statement.loc)

    def _hidden(
        self, action_name: str, table_name: str, body: list[ir.Stmt], follow: str | None, loc: Location
    ) -> str | None:
        primitives = action_primitives(body, self.externs, self.block)
        if not primitives:
            return follow
        action = self.output.add(
            "actions", {"name": action_name, "id": 0, "runtime_data": [], "primitives": primitives}
        )
        entry: Json = {"name": table_name, "id": self.output.number("tables"), **source_info(loc)}
        entry.update(key=[], match_type="exact", type="simple", max_size=1024, with_counters=False)
        entry.update(support_timeout=False, direct_meters=None, action_ids=[action], actions=[action_name])
        entry.update(base_default_next=follow, next_tables={action_name: follow})
        entry["default_entry"] = {
            "action_id": action,
            "action_const": True,
            "action_data": [],
            "action_entry_const": True,
        }
        self.tables.append(entry)
        return table_name

    def _conditional(self, statement: ir.If, follow: str | None) -> str | None:
        no = self.build(statement.otherwise, follow)
        yes = self.build(statement.then, follow)
        if yes == no:
            return yes
        number = self.output.number("conditionals")
        name = self._names.unique(f"node_{number + 2}")
        entry: Json = {"name": name, "id": number, **source_info(statement.loc)}
        with at(statement.loc):
            entry.update(expression=convert(statement.condition), true_next=yes, false_next=no)
        self.conditionals.append(entry)
        return name

    def _table(self, apply: ir.Apply, follow: str | None) -> str | None:
        table = apply.table
        successors: Json
        if apply.by_action is not None:
            default = self.build(apply.by_action[None], follow) if None in apply.by_action else follow
            by_name = {n: self.build(b, follow) for n, b in reversed(apply.by_action.items()) if n is not None}
            successors = {"base_default_next": follow, "next_tables": {}}
            for action in table.actions:
                successors["next_tables"][action.name] = by_name.get(action.declaration.name, default)
        elif apply.hit or apply.miss:
            miss = self.build(apply.miss, follow)
            hit = self.build(apply.hit, follow)
            successors = {"base_default_next": None, "next_tables": {"__HIT__": hit, "__MISS__": miss}}
        else:
            names = {action.name: follow for action in table.actions}
            successors = {"base_default_next": follow, "next_tables": names}
        placed = self.placed.get(table)
        if placed is not None:
            if placed[1] != successors:
                self.diagnostics.error(
                    f"table '{table.name}' is applied at two places with different statements after it; "
                    "simple_switch can follow a table in one way only",
                    apply.loc,
                )
            return table.name
        writer = TableWriter(self.output, self.externs, self.block)
        entry = writer.table(table, successors, self.profiles)
        self._names.take(table.name)
        self.tables.append(entry)
        self.placed[table] = (entry, successors)
        return table.name


def reachable(statements: list[ir.Stmt]) -> list[ir.Stmt]:
    """Statements up to the first that never goes on."""
    for number, statement in enumerate(statements):
        if isinstance(statement, (ir.Leave, ir.Exit)):
            return statements[: number + 1]
    return statements


def is_simple(statement: ir.Stmt) -> bool:
    """Whether a statement may stand in the action of a hidden table."""
    if isinstance(statement, (ir.Assign, ir.Copy, ir.SetValid, ir.Shift, ir.Call)):
        return True
    return isinstance(statement, ir.Labelled) and is_loop(statement) and not _applies_table(statement.body)


def _applies_table(statements: list[ir.Stmt]) -> bool:
    return any(
        isinstance(statement, ir.Apply) or any(_applies_table(body) for body in bodies(statement))
        for statement in statements
    )
