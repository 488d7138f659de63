"""Reading the BMv2 JSON: behavioral-model's docs/JSON_format.md, version 2.x, as p4c writes it for v1model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from p4switch.errors import ProgramError
from p4switch.program import (
    MATCH_KINDS,
    MOST_CELLS,
    MOST_HEADER_BITS,
    Action,
    ActionCall,
    ActionProfile,
    Calculation,
    Checksum,
    Conditional,
    ConstEntry,
    Control,
    Counter,
    Deparser,
    Field,
    FieldList,
    Header,
    HeaderType,
    Json,
    KeyField,
    Meter,
    Param,
    Parser,
    ParseState,
    Program,
    Register,
    Source,
    Stack,
    Table,
    Transition,
    Union,
    UnionStack,
    ValueSet,
)


def load_json(source: str | Path | Json) -> Json:
    """The JSON object of a file, a text that begins with ``{``, or an object already parsed. Raises ProgramError."""
    if isinstance(source, Mapping):
        return source
    if isinstance(source, str) and source.lstrip().startswith("{"):
        text, where = source, "the JSON"
    else:
        where = str(source)
        try:
            text = Path(source).read_text(encoding="utf-8")
        except OSError as error:
            raise ProgramError(f"{where}: cannot be read: {error.strerror}") from None
        except ValueError:
            raise ProgramError(f"{where} is not JSON: it is not UTF-8 text") from None
    try:
        parsed = json.loads(text)
    except RecursionError:
        raise ProgramError(f"{where} is not a BMv2 JSON: nested too deep") from None
    except ValueError as error:
        raise ProgramError(f"{where} is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise ProgramError(f"{where} is not a BMv2 JSON: it holds no object")
    return parsed


def parse_program(source: str | Path | Json) -> Program:
    """Read a BMv2 JSON. Raises ProgramError that names the part at fault."""
    data = load_json(source)
    for key in ("header_types", "headers", "parsers", "pipelines", "actions"):
        if key not in data:
            raise ProgramError(f"not a BMv2 JSON of a program: it has no {key!r}")
    with malformed("__meta__"):
        version = list(data.get("__meta__", {}).get("version", [2, 0]))
        if version[0] != 2:
            raise ProgramError(f"BMv2 JSON version {'.'.join(map(str, version))} is not supported, only 2.x")
    reader = _Reader(data)
    try:
        with malformed():
            return reader.program()
    except ProgramError as error:
        raise ProgramError(f"{reader.where}: {error}" if reader.where else str(error)) from error


@contextmanager
def malformed(part: str = "") -> Iterator[None]:
    """Whatever a JSON of the wrong shape does to code that reads a part of it becomes a ProgramError in words."""
    try:
        yield
    except ProgramError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration, RecursionError) as error:
        raise ProgramError(f"{part + ': ' if part else ''}malformed BMv2 JSON: {in_words(error)}") from error


def in_words(error: Exception) -> str:
    """What is wrong with a JSON that made Python say this."""
    if isinstance(error, KeyError):
        return f"there is no {error.args[0]!r}" if isinstance(error.args[0], str | int) else "something is missing"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, LookupError | StopIteration):
        return "a list is too short"
    if isinstance(error, ValueError):
        return "a number is none, or a list has the wrong length"
    return "an object, list, text, number, true, false or null stands where another of these belongs"


def _by_name(tables: list[Table]) -> dict[str, Table]:
    found: dict[str, Table] = {}
    for table in tables:
        if table.name in found:
            raise ProgramError(f"two tables have the name {table.name}: a control plane could not tell them apart")
        found[table.name] = table
    return found


def source_of(item: Json) -> Source:
    """Where in the P4 program an object of the JSON stands."""
    info = item.get("source_info") or {}
    return Source(info.get("filename", ""), int(info.get("line", 0)), info.get("source_fragment", ""))


def _number(text: object) -> int:
    """A hexstr, with or without 0x and sign."""
    if isinstance(text, bool | int):
        return int(text)
    return int(str(text), 16)


def _width(value: object, least: int = 1) -> int:
    """A width in bits."""
    width = int(str(value))
    if not least <= width <= MOST_HEADER_BITS:
        raise ProgramError(f"a width of {width} bits is not supported")
    return width


def _size(value: object) -> int:
    """A number of cells."""
    size = int(str(value or 0))
    if not 0 <= size <= MOST_CELLS:
        raise ProgramError(f"an array of {size} cells is not supported")
    return size


def _entry(item: Json) -> ConstEntry:
    runtime = item.get("p4runtime") or {}
    priority = runtime.get("priority")
    return ConstEntry(
        tuple(item["match_key"]),
        item["action_entry"]["action_id"],
        tuple(_number(v) for v in item["action_entry"]["action_data"]),
        int(item.get("priority") or 0),
        None if priority is None else int(priority),
        bool(runtime.get("is_const")),
        source_of(item),
    )


class _Reader:
    def __init__(self, data: Json) -> None:
        self.data = data
        self.types: dict[str, HeaderType] = {}
        self.headers: dict[str, Header] = {}
        self.names: dict[int, str] = {}
        self._path: list[str] = []

    @property
    def where(self) -> str:
        """The part that is being read: `pipelines[0] (ingress), tables[2] (t)`."""
        return ", ".join(self._path)

    def _each(self, items: Iterable[Any] | None, what: str) -> Iterator[Any]:
        """The items of a list, each the part that is being read while its reader has it."""
        self._path.append(what)
        for number, item in enumerate(items or ()):
            name = item.get("name") if isinstance(item, Mapping) else None
            self._path[-1] = f"{what}[{number}]" + (f" ({name})" if isinstance(name, str) else "")
            yield item
        self._path.pop()

    def _items(self, key: str) -> Iterator[Any]:
        return self._each(self.data.get(key), key)

    def _read_headers(self) -> None:
        self.types = {t["name"]: self._header_type(t) for t in self._items("header_types")}
        self.headers = {
            h["name"]: Header(h["name"], h["id"], h["header_type"], bool(h.get("metadata")))
            for h in self._items("headers")
        }
        self.names = {h.id: h.name for h in self.headers.values()}
        for header in self.headers.values():
            if header.type not in self.types:
                raise ProgramError(f"header {header.name} is of an unknown type {header.type}")
            if not header.metadata and self.types[header.type].bits % 8:
                raise ProgramError(f"header {header.name} does not fill whole bytes")

    def _header_type(self, item: Json) -> HeaderType:
        fixed = sum(f[1] for f in item["fields"] if f[1] != "*")
        fields = []
        for entry in item["fields"]:
            name, width = entry[0], entry[1]
            signed = bool(entry[2]) if len(entry) > 2 else False
            if width == "*":
                fields.append(Field(name, int(item.get("max_length") or 0) * 8 - fixed, False, True))
            else:
                fields.append(Field(str(name), _width(width, least=0), signed))
        kind = HeaderType(str(item["name"]), tuple(fields))
        if sum(f.width for f in fields) > MOST_HEADER_BITS or any(f.width < 0 for f in fields):
            raise ProgramError(f"header type {kind.name} is wider than {MOST_HEADER_BITS} bits")
        if len({f.name for f in fields}) < len(fields):
            raise ProgramError(f"header type {kind.name} has two fields of one name")
        return kind

    def _width(self, header: str, name: str) -> int:
        if name == "$valid$":
            return 1
        return self.types[self.headers[header].type].field(name).width

    def _field_lists(self, key: str) -> dict[int, FieldList]:
        lists = [FieldList(str(d["name"]), int(d["id"]), tuple(d["elements"])) for d in self._items(key)]
        return {one.id: one for one in lists}

    def program(self) -> Program:
        self._read_headers()
        controls = {p["name"]: self._control(p) for p in self._items("pipelines")}
        empty = Control("", None, (), (), (), ())
        ingress, egress = controls.get("ingress", empty), controls.get("egress", empty)
        parsers = [self._parser(p) for p in self._items("parsers")]
        deparsers = [
            Deparser(d["name"], tuple(d["order"]), tuple(d.get("primitives") or ())) for d in self._items("deparsers")
        ]
        union_types = {u["name"]: u for u in self._items("header_union_types")}
        unions = {
            u["name"]: Union(
                u["name"],
                u["id"],
                u["union_type"],
                tuple(m[0] for m in union_types[u["union_type"]]["headers"]),
                tuple(self.names[i] for i in u["header_ids"]),
            )
            for u in self._items("header_unions")
        }
        union_names = {u.id: u.name for u in unions.values()}
        return Program(
            name=str(self.data.get("program", "")),
            header_types=self.types,
            headers=self.headers,
            stacks={
                s["name"]: Stack(s["name"], s["header_type"], tuple(self.names[i] for i in s["header_ids"]))
                for s in self._items("header_stacks")
            },
            unions=unions,
            union_stacks={
                s["name"]: UnionStack(
                    s["name"], s["union_type"], tuple(union_names[i] for i in s["header_union_ids"])
                )
                for s in self._items("header_union_stacks")
            },
            errors={str(e[0]): int(e[1]) for e in self._items("errors")},
            enums={e["name"]: {str(x[0]): int(x[1]) for x in e["entries"]} for e in self._items("enums")},
            parser=parsers[0] if parsers else Parser("", None, ()),
            value_sets={
                v["name"]: ValueSet(v["name"], _width(v["compressed_bitwidth"]), int(v.get("max_size", 0) or 0))
                for v in self._items("parse_vsets")
            },
            deparser=deparsers[0] if deparsers else Deparser("", (), ()),
            actions={
                int(a["id"]): Action(
                    a["name"],
                    int(a["id"]),
                    tuple(Param(p["name"], _width(p["bitwidth"])) for p in a["runtime_data"]),
                    tuple(a["primitives"]),
                    source_of(a),
                )
                for a in self._items("actions")
            },
            ingress=ingress,
            egress=egress,
            calculations={
                c["name"]: Calculation(c["name"], c["algo"], tuple(c["input"])) for c in self._items("calculations")
            },
            checksums=tuple(
                Checksum(
                    c["name"],
                    (c["target"][0], c["target"][1]),
                    c["calculation"],
                    bool(c.get("verify", True)),
                    bool(c.get("update", True)),
                    c.get("if_cond"),
                )
                for c in self._items("checksums")
            ),
            counters={c["name"]: Counter(c["name"], _size(c.get("size"))) for c in self._items("counter_arrays")},
            meters={
                m["name"]: Meter(
                    m["name"],
                    _size(m.get("size")),
                    m["type"],
                    (m["result_target"][0], m["result_target"][1]) if m.get("result_target") else None,
                )
                for m in self._items("meter_arrays")
            },
            registers={
                r["name"]: Register(r["name"], _size(r["size"]), _width(r["bitwidth"]), bool(r.get("signed")))
                for r in self._items("register_arrays")
            },
            digests=self._field_lists("learn_lists"),
            field_lists=self._field_lists("field_lists"),
            aliases={a[0]: (a[1][0], a[1][1]) for a in self._items("field_aliases")},
            tables=_by_name([t for c in (ingress, egress) for t in c.tables]),
            profiles={p.name: p for c in (ingress, egress) for p in c.profiles},
        )

    def _parser(self, item: Json) -> Parser:
        states = tuple(self._state(s) for s in self._each(item["parse_states"], "parse_states"))
        return Parser(item["name"], item.get("init_state"), states)

    def _state(self, item: Json) -> ParseState:
        transitions = []
        for one in self._each(item["transitions"], "transitions"):
            kind = str(one.get("type") or ("default" if one["value"] == "default" else "hexstr"))
            if kind == "default" or one["value"] == "default":
                transitions.append(Transition("default", 0, None, "", one["next_state"]))
                continue
            mask = None if one.get("mask") is None else _number(one["mask"])
            if kind == "parse_vset":
                transitions.append(Transition(kind, 0, mask, one["value"], one["next_state"]))
            else:
                transitions.append(Transition("value", _number(one["value"]), mask, "", one["next_state"]))
        return ParseState(
            item["name"],
            tuple(item["parser_ops"]),
            tuple(item["transition_key"]),
            tuple(transitions),
            source_of(item),
        )

    def _control(self, item: Json) -> Control:
        return Control(
            item["name"],
            item.get("init_table"),
            tuple(self._table(t) for t in self._each(item["tables"], "tables")),
            tuple(
                Conditional(c["name"], c["expression"], c.get("true_next"), c.get("false_next"), source_of(c))
                for c in self._each(item.get("conditionals"), "conditionals")
            ),
            tuple(
                ActionCall(c["name"], c["action_id"], c.get("next_node"))
                for c in self._each(item.get("action_calls"), "action_calls")
            ),
            tuple(
                ActionProfile(
                    p["name"],
                    int(p.get("max_size") or 0),
                    p["selector"]["algo"] if p.get("selector") else "",
                    tuple(p["selector"]["input"]) if p.get("selector") else (),
                )
                for p in self._each(item.get("action_profiles"), "action_profiles")
            ),
        )

    def _key(self, item: Json) -> KeyField:
        kind, target = item["match_type"], item["target"]
        if kind not in MATCH_KINDS:
            raise ProgramError(f"unknown match kind {kind}")
        path = (target,) if isinstance(target, str) else tuple(target)
        width = 1 if len(path) == 1 else self._width(path[0], path[1])
        mask = None if item.get("mask") is None else _number(item["mask"])
        return KeyField(item.get("name") or ".".join(path), kind, width, path, mask)

    def _table(self, item: Json) -> Table:
        default = item.get("default_entry") or {}
        return Table(
            name=item["name"],
            id=item["id"],
            key=tuple(self._key(k) for k in self._each(item["key"], "key")),
            match_type=item["match_type"],
            kind=item.get("type", "simple"),
            profile=str(item.get("action_profile") or ""),
            max_size=int(item.get("max_size") or 1024),
            with_counters=bool(item.get("with_counters")),
            support_timeout=bool(item.get("support_timeout")),
            direct_meter=item.get("direct_meters") or None,
            actions=tuple(item["actions"]),
            action_ids=tuple(item["action_ids"]) if "action_ids" in item else self._action_ids(item["actions"]),
            next_tables=dict(item["next_tables"]),
            base_default_next=item.get("base_default_next"),
            default_action_id=None if default.get("action_id") is None else int(default["action_id"]),
            default_params=tuple(_number(v) for v in default.get("action_data") or ()),
            default_const=bool(default.get("action_const")),
            entries=tuple(map(_entry, self._each(item.get("entries"), "entries"))),
            source=source_of(item),
        )

    def _action_ids(self, names: Sequence[str]) -> tuple[int, ...]:
        by_name = {a["name"]: a["id"] for a in self.data["actions"]}
        return tuple(by_name[n] for n in names)
