"""controls.c: ingress and egress, each one function: its tables and conditions as labels, joined by goto."""

from __future__ import annotations

from p4switch.codegen.actions import Actions
from p4switch.codegen.expressions import Translator
from p4switch.codegen.layout import Layout, Names, limbs
from p4switch.codegen.nodes import words_literal
from p4switch.codegen.tables import Tables
from p4switch.codegen.text import comment, opposite, plain
from p4switch.errors import ProgramError
from p4switch.program import ActionCall, Conditional, Control, Table
from p4switch.program_json import malformed


class Controls:
    def __init__(self, layout: Layout, actions: Actions, tables: Tables) -> None:
        self.layout = layout
        self.actions = actions
        self.tables = tables

    def generate(self) -> str:
        program = self.layout.program
        return "\n".join(
            [
                _Function(self, "ingress", program.ingress).generate(),
                _Function(self, "egress", program.egress).generate(),
            ]
        )


class _Function:
    def __init__(self, parts: Controls, name: str, control: Control) -> None:
        self.parts = parts
        self.name = name
        self.control = control
        self.nodes: dict[str, Table | Conditional | ActionCall] = {t.name: t for t in control.tables}
        self.nodes.update({c.name: c for c in control.conditionals})
        self.nodes.update({c.name: c for c in control.action_calls})
        names = Names({"done"})
        self.labels = {n: names[n] for n in self.nodes}

    def generate(self) -> str:
        lines = [
            f"static void {self.name}(struct p4 *sw, struct packet *p) {{",
            "    bool hit = false;",
            "    uint32_t action = 0;",
            "    (void)sw, (void)hit, (void)action;",
        ]
        order = self._order()
        if not order:
            lines.append("    (void)p;")
        for i, name in enumerate(order):
            following = order[i + 1] if i + 1 < len(order) else None
            with malformed(f"{self.name}, {name}"):
                node = self._node(self.nodes[name], following)
            lines += ["", f"{self.labels[name]}:;", *(f"    {x}" for x in node)]
        return "\n".join([*lines, "", "done:;", "}", ""])

    def _order(self) -> list[str]:
        """Nodes as they are reached, so that most jumps go to the next line and vanish."""
        order: list[str] = []
        pending = [self.control.init]
        seen = set[str]()
        while pending:
            name = pending.pop()
            if name is None or name in seen:
                continue
            if name not in self.nodes:
                raise ProgramError(f"{self.name} goes to {name}, which does not exist")
            seen.add(name)
            order.append(name)
            pending += reversed(self._successors(self.nodes[name]))
        return order

    @staticmethod
    def _successors(node: Table | Conditional | ActionCall) -> list[str | None]:
        if isinstance(node, Conditional):
            return [node.true_next, node.false_next]
        if isinstance(node, ActionCall):
            return [node.next_node]
        return [*node.next_tables.values(), node.base_default_next]

    def _goto(self, target: str | None, following: str | None) -> list[str]:
        if target == following and target is not None:
            return []
        return [f"goto {self.labels[target] if target else 'done'};"]

    def _node(self, node: Table | Conditional | ActionCall, following: str | None) -> list[str]:
        if isinstance(node, Conditional):
            return self._conditional(node, following)
        if isinstance(node, ActionCall):
            function = self.parts.actions.functions[node.action_id]
            lines = [f"TRACE(ACTION, {node.action_id});", f"{function}(sw, p, NULL);"]
            return lines + self._exit((node.action_id,)) + self._goto(node.next_node, following)
        return self._table(node, following)

    def _conditional(self, node: Conditional, following: str | None) -> list[str]:
        translator = Translator(self.parts.layout)
        condition = translator.condition(node.expression)
        text = comment(node.source, "").strip()
        lines = [text] if text else []
        statements = [*translator.take(), f"TRACE(CONDITION, {self._number(node)}, {condition});"]
        if node.true_next == following and following is not None:
            jump = [f"if ({opposite(condition)}) {self._goto(node.false_next, None)[0]}"]
        else:
            jump = [
                f"if ({condition}) {self._goto(node.true_next, None)[0]}",
                *self._goto(node.false_next, following),
            ]
        if len(statements) > 1:
            return [*lines, "{", *(f"    {s}" for s in (*statements, *jump)), "}"]
        return [*lines, *statements, *jump]

    def _number(self, node: Conditional) -> int:
        """Its position among the program's conditionals, ingress' first."""
        program = self.parts.layout.program
        return (*program.ingress.conditionals, *program.egress.conditionals).index(node)

    def _exit(self, actions: tuple[int, ...]) -> list[str]:
        return ["if (p->base.exit) goto done;"] if any(a in self.parts.actions.exits for a in actions) else []

    def _table(self, table: Table, following: str | None) -> list[str]:
        tables = self.parts.tables
        if tables.direct(table):
            return self._direct(table, following)
        lines = [f"action = {tables.functions[table.name]}(sw, p, &hit);", *self._exit(table.action_ids)]
        nexts = table.next_tables
        if "__HIT__" in nexts or "__MISS__" in nexts:
            on_hit = nexts.get("__HIT__", table.base_default_next)
            on_miss = nexts.get("__MISS__", table.base_default_next)
            if on_hit == on_miss:
                return lines + self._goto(on_hit, following)
            return [*lines, f"if (hit) {self._goto(on_hit, None)[0]}", *self._goto(on_miss, following)]
        by_action = {
            action_id: nexts.get(name, table.base_default_next)
            for name, action_id in zip(table.actions, table.action_ids, strict=True)
        }
        targets = set(by_action.values())
        if len(targets) == 1:
            return lines + self._goto(targets.pop(), following)
        lines.append("switch (action) {")
        lines += [
            f"case {tables.action_numbers[action_id]}: {self._goto(target, None)[0]}"
            f" /* {plain(self.parts.layout.program.actions[action_id].name)} */"
            for action_id, target in by_action.items()
        ]
        return [*lines, "}", *self._goto(table.base_default_next, following)]

    def _direct(self, table: Table, following: str | None) -> list[str]:
        action = self.parts.layout.program.actions[table.default_action_id or 0]
        words = [
            words_literal(value, limbs(param.width))[1:-1]
            for value, param in zip(table.default_params, action.params, strict=True)
        ]
        params = f"(const uint64_t[]){{{', '.join(words)}}}" if words else "NULL"
        lines = [f"TRACE(ACTION, {action.id});"]
        lines += [f"{self.parts.actions.functions[action.id]}(sw, p, {params});"] if action.primitives else []
        lines += self._exit((action.id,))
        nexts = table.next_tables
        if "__MISS__" in nexts or "__HIT__" in nexts:
            target = nexts.get("__MISS__", table.base_default_next)
        else:
            target = nexts.get(action.name, table.base_default_next)
        return lines + self._goto(target, following)
