"""Small BMv2 JSON programs, put together in Python, so that the switch's tests need no compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

STANDARD = {
    "ingress_port": 9,
    "egress_spec": 9,
    "egress_port": 9,
    "instance_type": 32,
    "packet_length": 32,
    "enq_timestamp": 32,
    "enq_qdepth": 19,
    "deq_timedelta": 32,
    "deq_qdepth": 19,
    "ingress_global_timestamp": 48,
    "egress_global_timestamp": 48,
    "mcast_grp": 16,
    "egress_rid": 16,
    "checksum_error": 1,
    "parser_error": 32,
    "priority": 3,
    "_padding": 3,
}
ERRORS = (
    "NoError",
    "PacketTooShort",
    "NoMatch",
    "StackOutOfBounds",
    "HeaderTooShort",
    "ParserTimeout",
    "ParserInvalidArgument",
)
EGRESS_SPEC = ("standard_metadata", "egress_spec")


def hexstr(value: int) -> Json:
    return {"type": "hexstr", "value": f"-{hex(-value)}" if value < 0 else hex(value)}


def fld(header: str, name: str) -> Json:
    return {"type": "field", "value": [header, name]}


def param(index: int) -> Json:
    return {"type": "runtime_data", "value": index}


def header(name: str) -> Json:
    return {"type": "header", "value": name}


def op(operator: str, left: Json | int | None, right: Json | int | None, **more: Json) -> Json:
    """An expression; ints become constants, except where the format wants them bare."""

    def side(x: Json | int | None) -> Json | int | None:
        return hexstr(x) if isinstance(x, int) and operator not in ("access_field", "access_union_header") else x

    return {
        "type": "expression",
        "value": {"op": operator, "left": side(left), "right": side(right), **more},
    }


def call(primitive: str, *parameters: Json) -> Json:
    return {"op": primitive, "parameters": list(parameters)}


def assign(target: Json | tuple[str, str], value: Json | int) -> Json:
    place = fld(*target) if isinstance(target, tuple) else target
    return call("assign", place, hexstr(value) if isinstance(value, int) else value)


def send_to(port: int | Json) -> Json:
    return assign(EGRESS_SPEC, port)


def drop() -> Json:
    return call("mark_to_drop", header("standard_metadata"))


@dataclass
class Programs:
    """A program under construction. Ids are positions; `json()` gives the result.

    Without parser states, the parser extracts the headers in `parse` in order.
    """

    types: dict[str, list[list[Any]]] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    headers: list[tuple[str, str, bool]] = field(default_factory=list)
    stacks: list[tuple[str, str, list[str]]] = field(default_factory=list)
    union_types: dict[str, list[list[str]]] = field(default_factory=dict)
    unions: list[tuple[str, str, list[str]]] = field(default_factory=list)
    union_stacks: list[tuple[str, str, list[str]]] = field(default_factory=list)
    states: list[Json] = field(default_factory=list)
    value_sets: list[Json] = field(default_factory=list)
    parse: list[str] = field(default_factory=list)
    emit: list[str] | None = None
    actions: list[Json] = field(default_factory=list)
    ingress: list[Json] = field(default_factory=list)
    egress: list[Json] = field(default_factory=list)
    profiles: list[Json] = field(default_factory=list)
    counters: list[Json] = field(default_factory=list)
    meters: list[Json] = field(default_factory=list)
    registers: list[Json] = field(default_factory=list)
    calculations: list[Json] = field(default_factory=list)
    checksums: list[Json] = field(default_factory=list)
    digests: list[Json] = field(default_factory=list)
    field_lists: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.header("standard_metadata", STANDARD, metadata=True)

    # Headers -----------------------------------------------------------------------------------

    def type(self, name: str, fields: Mapping[str, int | str], max_length: int = 0) -> None:
        """Widths; negative for signed, ``*`` for varbit (max_length: the header's greatest length in bytes)."""
        self.types[name] = [[f, w if w == "*" else abs(int(w)), w != "*" and int(w) < 0] for f, w in fields.items()]
        if max_length:
            self.lengths[name] = max_length

    def header(
        self, name: str, fields: Mapping[str, int | str] | str, *, metadata: bool = False, max_length: int = 0
    ) -> str:
        """A header of its own type, or (fields a str) of one declared before. Returns the name."""
        kind = fields if isinstance(fields, str) else f"{name}_t" if not metadata else name
        if not isinstance(fields, str):
            self.type(kind, fields, max_length)
        self.headers.append((name, kind, metadata))
        return name

    def meta(self, **fields: int) -> None:
        self.header("meta", fields, metadata=True)

    def stack(self, name: str, kind: str, size: int) -> None:
        names = [self.header(f"{name}[{i}]", kind) for i in range(size)]
        self.stacks.append((name, kind, names))

    def union(self, name: str, kind: str, members: Mapping[str, str]) -> None:
        self.union_types[kind] = [[m, t] for m, t in members.items()]
        self.unions.append((name, kind, [self.header(f"{name}.{m}", t) for m, t in members.items()]))

    def union_stack(self, name: str, kind: str, members: Mapping[str, str], size: int) -> None:
        for i in range(size):
            self.union(f"{name}[{i}]", kind, members)
        self.union_stacks.append((name, kind, [f"{name}[{i}]" for i in range(size)]))

    # Parser ------------------------------------------------------------------------------------

    def state(
        self,
        name: str,
        ops: Sequence[Json] = (),
        key: Sequence[Json] = (),
        cases: Sequence[tuple[Any, ...]] = (),
        default: str | None = None,
    ) -> None:
        """`cases`: (value, next), (value, mask, next) or (value set's name, next)."""
        transitions: list[Json] = []
        for case in cases:
            if isinstance(case[0], str):
                transitions.append({"type": "parse_vset", "value": case[0], "mask": None, "next_state": case[1]})
            else:
                mask = hex(case[1]) if len(case) == 3 else None
                transitions.append({"type": "hexstr", "value": hex(case[0]), "mask": mask, "next_state": case[-1]})
        transitions.append({"type": "default", "value": None, "mask": None, "next_state": default})
        self.states.append(
            {
                "name": name,
                "id": len(self.states),
                "parser_ops": list(ops),
                "transition_key": list(key),
                "transitions": transitions,
            }
        )

    @staticmethod
    def extract(name: str, kind: str = "regular") -> Json:
        return {"op": "extract", "parameters": [{"type": kind, "value": name}]}

    # Actions and tables ------------------------------------------------------------------------

    def action(self, name: str, *primitives: Json, params: Mapping[str, int] | None = None) -> str:
        """Returns the name."""
        self.actions.append(
            {
                "name": name,
                "id": len(self.actions),
                "runtime_data": [{"name": n, "bitwidth": w} for n, w in (params or {}).items()],
                "primitives": list(primitives),
            }
        )
        return name

    def _action_id(self, name: str) -> int:
        return next(a["id"] for a in self.actions if a["name"] == name)

    def table(
        self,
        name: str,
        key: Sequence[tuple[str, str, str]],
        actions: Sequence[str],
        *,
        default: str | None = None,
        data: Sequence[int] = (),
        const: bool = False,
        control: str = "ingress",
        next_tables: Mapping[str, str | None] | None = None,
        entries: Sequence[Json] = (),
        **more: Any,
    ) -> None:
        """A table after those before it. `key`: (match kind, header, field). `next_tables`: all to the next one."""
        kinds = [k[0] for k in key]
        match_type = next((k for k in ("range", "ternary", "optional", "lpm") if k in kinds), "exact")
        table: Json = {
            "name": name,
            "id": len(self.ingress) + len(self.egress),
            "key": [
                {
                    "match_type": kind,
                    "name": f"{h}.{f}" if f else h,
                    "target": [h, f] if f else h,
                    "mask": None,
                }
                for kind, h, f in key
            ],
            "match_type": "ternary" if match_type == "optional" else match_type,
            "type": "simple",
            "max_size": 1024,
            "with_counters": False,
            "support_timeout": False,
            "direct_meters": None,
            "action_ids": [self._action_id(a) for a in actions],
            "actions": list(actions),
            "next_tables": next_tables,
            "base_default_next": None,
            **more,
        }
        if entries:
            table["entries"] = [
                {**e, "action_entry": {"action_id": self._action_id(e["action"]), "action_data": e.get("data", [])}}
                for e in entries
            ]
        if default:
            table["default_entry"] = {
                "action_id": self._action_id(default),
                "action_const": const,
                "action_data": [hex(d) for d in data],
                "action_entry_const": const,
            }
        (self.ingress if control == "ingress" else self.egress).append(table)

    def run(self, *primitives: Json, control: str = "ingress", **more: Any) -> None:
        """Primitives in place, as the compiler puts code that stands outside tables."""
        name = self.action(f"act_{len(self.actions)}", *primitives)
        self.table(f"tbl_{name}", [], [name], default=name, const=True, control=control, **more)

    def condition(
        self, name: str, expression: Json, true: str | None, false: str | None, control: str = "ingress"
    ) -> None:
        node = {"name": name, "id": 0, "expression": expression, "true_next": true, "false_next": false}
        (self.ingress if control == "ingress" else self.egress).append(node)

    # The whole ---------------------------------------------------------------------------------

    def _pipeline(self, name: str, nodes: list[Json]) -> Json:
        nodes = [dict(node) for node in nodes]
        for at, node in enumerate(nodes):
            following = nodes[at + 1]["name"] if at + 1 < len(nodes) else None
            if "expression" not in node and node["next_tables"] is None:
                node["next_tables"] = dict.fromkeys(node["actions"], following)
                node["base_default_next"] = following
        return {
            "name": name,
            "id": 0 if name == "ingress" else 1,
            "init_table": nodes[0]["name"] if nodes else None,
            "tables": [n for n in nodes if "expression" not in n],
            "action_profiles": self.profiles if name == "ingress" else [],
            "conditionals": [n for n in nodes if "expression" in n],
        }

    def json(self) -> Json:
        if not self.states:
            self.state("start", [self.extract(h) for h in self.parse])
        ids = {name: i for i, (name, _, _) in enumerate(self.headers)}
        union_ids = {name: i for i, (name, _, _) in enumerate(self.unions)}
        order = self.emit if self.emit is not None else [n for n, _, metadata in self.headers if not metadata]
        return {
            "__meta__": {"version": [2, 23]},
            "program": "test.p4",
            "header_types": [
                {"name": n, "id": i, "fields": f, "max_length": self.lengths.get(n)}
                for i, (n, f) in enumerate(self.types.items())
            ],
            "headers": [
                {"name": n, "id": ids[n], "header_type": t, "metadata": m, "pi_omit": True}
                for n, t, m in self.headers
            ],
            "header_stacks": [
                {"name": n, "id": i, "header_type": t, "size": len(h), "header_ids": [ids[x] for x in h]}
                for i, (n, t, h) in enumerate(self.stacks)
            ],
            "header_union_types": [
                {"name": n, "id": i, "headers": m} for i, (n, m) in enumerate(self.union_types.items())
            ],
            "header_unions": [
                {"name": n, "id": i, "union_type": t, "header_ids": [ids[x] for x in h]}
                for i, (n, t, h) in enumerate(self.unions)
            ],
            "header_union_stacks": [
                {"name": n, "id": i, "union_type": t, "header_union_ids": [union_ids[x] for x in u]}
                for i, (n, t, u) in enumerate(self.union_stacks)
            ],
            "field_lists": self.field_lists,
            "errors": [[name, i] for i, name in enumerate(ERRORS)],
            "enums": [],
            "parsers": [{"name": "parser", "id": 0, "init_state": "start", "parse_states": self.states}],
            "parse_vsets": self.value_sets,
            "deparsers": [{"name": "deparser", "id": 0, "order": order, "primitives": []}],
            "meter_arrays": self.meters,
            "counter_arrays": self.counters,
            "register_arrays": self.registers,
            "calculations": self.calculations,
            "learn_lists": self.digests,
            "actions": self.actions,
            "pipelines": [self._pipeline("ingress", self.ingress), self._pipeline("egress", self.egress)],
            "checksums": self.checksums,
            "extern_instances": [],
            "field_aliases": [
                [f"{group}.{name}", ["standard_metadata", name]]
                for group, names in (
                    ("queueing_metadata", ("enq_timestamp", "enq_qdepth", "deq_timedelta", "deq_qdepth")),
                    (
                        "intrinsic_metadata",
                        ("ingress_global_timestamp", "egress_global_timestamp", "mcast_grp", "egress_rid"),
                    ),
                )
                for name in names
            ],
        }
