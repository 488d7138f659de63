"""The checksum controls and the deparser, which BMv2 knows as lists and not as statements."""

from __future__ import annotations

from p4compiler import types as t
from p4compiler.bmv2.controls import reachable
from p4compiler.bmv2.expressions import Json, convert, read
from p4compiler.bmv2.externs import Externs
from p4compiler.bmv2.output import Output, source_info
from p4compiler.ir import fold
from p4compiler.ir import nodes as ir
from p4compiler.source import Diagnostics, Fault, Location


class ChecksumWriter:
    def __init__(self, output: Output, externs: Externs, diagnostics: Diagnostics) -> None:
        self.output = output
        self.externs = externs
        self.diagnostics = diagnostics

    def write(self, statements: list[ir.Stmt], verify: bool, condition: ir.Expr = fold.TRUE) -> None:
        """Adds a checksum for each verify_checksum (or update_checksum) call."""
        for statement in reachable(statements):
            try:
                if isinstance(statement, ir.Labelled):
                    self.write(statement.body, verify, condition)
                elif isinstance(statement, ir.If):
                    self.write(statement.then, verify, fold.binary("&&", condition, statement.condition))
                    negated = fold.unary("!", statement.condition)
                    self.write(statement.otherwise, verify, fold.binary("&&", condition, negated))
                elif isinstance(statement, ir.Call):
                    self._checksum(statement, verify, condition)
                elif not isinstance(statement, ir.Leave):
                    raise Fault("a checksum control only calls verify_checksum or update_checksum", statement.loc)
            except Fault as fault:
                self.diagnostics.error(str(fault), fault.loc or statement.loc)

    def _checksum(self, call: ir.Call, verify: bool, condition: ir.Expr) -> None:
        wanted = "verify_checksum" if verify else "update_checksum"
        if call.name not in (wanted, f"{wanted}_with_payload"):
            raise Fault(f"only {wanted} and {wanted}_with_payload can be called here", call.loc)
        own, values, result, algorithm = call.arguments
        if not isinstance(result, ir.Scalar) or not isinstance(result.owner, ir.Header):
            raise Fault("the checksum must be a field of a header or of metadata", call.loc)
        assert isinstance(own, ir.Expr)
        name = self.externs.calculation(algorithm, values, call.name.endswith("_with_payload"), call)
        number = len(self.output.root["checksums"])
        entry: Json = {"name": f"cksum_{number}" if number else "cksum", "id": 0, **source_info(call.loc)}
        entry.update(target=read(result)["value"], type="generic", calculation=name, verify=verify, update=not verify)
        entry["if_cond"] = convert(fold.binary("&&", condition, own))
        self.output.add("checksums", entry)


class DeparserWriter:
    def __init__(self, output: Output, diagnostics: Diagnostics) -> None:
        self.output = output
        self.diagnostics = diagnostics
        self.order: list[str] = []

    def write(self, statements: list[ir.Stmt], loc: Location) -> None:
        self._statements(statements)
        entry: Json = {"name": "deparser", "id": 0, **source_info(loc), "order": self.order, "primitives": []}
        self.output.add("deparsers", entry)

    def _statements(self, statements: list[ir.Stmt]) -> None:
        for statement in reachable(statements):
            if isinstance(statement, ir.Labelled):
                self._statements(statement.body)
            elif isinstance(statement, ir.Call) and statement.name == "emit":
                self._emit(statement.arguments[0], statement.loc)
            elif isinstance(statement, (ir.Leave, ir.SetValid)):
                continue
            else:
                self.diagnostics.error("a deparser can only emit on this target", statement.loc)

    def _emit(self, value: ir.Value, loc: Location) -> None:
        if isinstance(value, ir.Header) and t.is_header(value.type):
            self.order.append(value.name)
        elif isinstance(value, (ir.StructPlace, ir.Aggregate)):
            for part in value.fields.values():
                self._emit(part, loc)
        elif isinstance(value, ir.UnionPlace) and value.name:
            self.order += [f"{value.name}.{n}" for n in self.output.program.storage.field_types(value.type)]
        elif isinstance(value, ir.StackPlace):
            element = t.strip(value.type.element)
            assert isinstance(element, t.Struct)
            for number in range(value.type.size):
                name = f"{value.name}[{number}]"
                union = element.kind == "header_union"
                self._emit(ir.UnionPlace(element, name) if union else ir.Header(name, element), loc)
        elif isinstance(value, ir.Invalid):
            return
        else:
            self.diagnostics.error("only headers, stacks and unions can be emitted", loc)
