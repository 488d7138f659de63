"""Names that the control plane uses are unique (P4_16 specification, section "Fully qualified names")."""

from __future__ import annotations

from p4compiler.elaborate.program import Program
from p4compiler.ir import nodes as ir
from p4compiler.source import Diagnostics


def check_names(program: Program, diagnostics: Diagnostics) -> None:
    """Reports two tables, or two actions, that @name gives one name."""
    tables: dict[str, ir.TableObject] = {}
    actions: dict[str, ir.ActionObject] = {}
    for table in program.tables:
        if table.name in tables:
            diagnostics.error(
                f"two tables are named '{table.name}' for the control plane; change the @name of one",
                table.declaration.loc,
                ("the other is here", tables[table.name].declaration.loc),
            )
        tables.setdefault(table.name, table)
        for action in table.actions:
            other = actions.setdefault(action.name, action)
            if other.declaration is not action.declaration:
                diagnostics.error(
                    f"two actions are named '{action.name}' for the control plane; change the @name of one",
                    action.declaration.loc,
                    ("the other is here", other.declaration.loc),
                )
