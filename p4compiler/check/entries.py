"""Entries of tables: keys and priorities (P4_16 specification, section "Entries")."""

from __future__ import annotations

from p4compiler import types as t
from p4compiler.check.compile_time import runtime_part
from p4compiler.check.priorities import MAX_PRIORITY, entry_priorities, runtime_priorities
from p4compiler.check.statements import StatementChecks
from p4compiler.syntax import tree as s

# With one of these, several entries may match, so that entries have priorities.
_RANKED = frozenset({"ternary", "range", "optional"})


class EntryChecks(StatementChecks):
    def entry(self, entry: s.Entry, key_types: list[t.Type], table: s.Table) -> None:
        """Checks the keys and the priority of an entry."""
        items = entry.keyset.items if isinstance(entry.keyset, s.ListExpression) else (entry.keyset,)
        if len(items) != len(key_types) and not (len(items) == 1 and isinstance(items[0], s.Anything)):
            self.error(f"table '{table.name}' has {len(key_types)} keys, this entry {len(items)}", entry)
        for item, type_, key in zip(items, key_types, table.keys or (), strict=False):
            self.keyset_item(item, type_)
            match = key.match_kind.name
            if isinstance(item, s.Masked) and match == "optional":
                self.error(f"a key that matches '{match}' takes a value, not a mask", item)
            varies = runtime_part(item, self.facts)
            if varies is not None:
                self.error("the values of an entry must be known at compile time", varies)
        if entry.priority is not None:
            self.constant_int(entry.priority, "a priority")

    def priorities(self, table: s.Table) -> None:
        """Section "Entry priorities": given for all from the first on, or for none; never out of range."""
        entries = table.entries or ()
        given = [e for e in entries if e.priority is not None]
        if table.entries_const:
            if given:
                self.error(
                    "const entries have no priority: the first that matches wins; leave it out, or 'const' before "
                    "'entries'",
                    given[0],
                )
            return
        if not any(key.match_kind.name in _RANKED for key in table.keys or ()):
            if given:
                self.error("entries of a table without ternary, range or optional keys have no priority", given[0])
            return
        if given and entries[0].priority is None:
            self.error("the first entry needs a priority, because a later one has one", entries[0])
            return
        values = [self.constant_or_none(e.priority) if e.priority is not None else None for e in entries]
        if any(e.priority is not None and not isinstance(v, int) for e, v in zip(entries, values, strict=True)):
            return  # It was reported with the entry.
        largest_wins, delta = self._convention(table)
        numbers = entry_priorities([v if isinstance(v, int) else None for v in values], largest_wins, delta)
        least, most = (1, MAX_PRIORITY) if largest_wins else (0, MAX_PRIORITY - 1)
        for entry, number in zip(entries, numbers, strict=True):
            if not least <= number <= most:
                self.error(f"this entry's priority would be {number}; it is {least} to {most}", entry)
                return
        runtime = runtime_priorities(numbers, largest_wins)
        self.facts.priorities.update(zip(entries, runtime, strict=True))
        self._priority_warnings(table, numbers, largest_wins)

    def _convention(self, table: s.Table) -> tuple[bool, int]:
        """The values of largest_priority_wins and priority_delta."""
        largest_wins, delta = True, 1
        for property_ in table.properties:
            value = self.constant_or_none(property_.value) if property_.value is not None else None
            if property_.name == "largest_priority_wins" and isinstance(value, bool):
                largest_wins = value
            elif property_.name == "priority_delta" and isinstance(value, int):
                delta = value
        return largest_wins, delta

    def _priority_warnings(self, table: s.Table, numbers: list[int], largest_wins: bool) -> None:
        """The two warnings of the section; @noWarn before 'entries' turns them off."""
        entries = table.entries or ()
        seen: dict[int, s.Entry] = {}
        told, quiet = set[int](), s.is_quiet(table.entries_annotations, "duplicate_priorities")
        for entry, number in zip(entries, numbers, strict=True):
            if number in seen and number not in told and not quiet:
                here = ("here", seen[number].loc)
                self.diagnostics.warning(f"another entry has the same priority {number}", entry.loc, here)
                told.add(number)
            seen.setdefault(number, entry)
        if s.is_quiet(table.entries_annotations, "entries_out_of_priority_order"):
            return
        for entry, number, before in zip(entries[1:], numbers[1:], numbers, strict=False):
            if (number > before) if largest_wins else (number < before):
                self.diagnostics.warning(
                    f"this entry (priority {number}) wins over the one before it (priority {before})", entry.loc
                )
                return

    def same_keys(self, table: s.Table) -> None:
        """Two entries with the same exact values: the second could never match."""
        if any(key.match_kind.name != "exact" for key in table.keys or ()):
            return
        seen: dict[tuple[object, ...], s.Entry] = {}
        for entry in table.entries or ():
            items = entry.keyset.items if isinstance(entry.keyset, s.ListExpression) else (entry.keyset,)
            values = tuple(None if isinstance(i, s.Anything) else self.constant_or_none(i) for i in items)
            if None in values:
                continue
            if values in seen:
                self.error("an entry with these values is there already", entry, ("here", seen[values].loc))
            seen[values] = entry

    def keyset_item(self, item: s.Expression, wanted: t.Type) -> None:
        """Checks one value of a select case or table entry against its key's type."""
        actual = self.value(item)
        if isinstance(actual, t.Set):
            actual = actual.element
        if isinstance(wanted, t.Enum) and wanted.underlying is not None and isinstance(item, (s.Masked, s.Range)):
            wanted = wanted.underlying
        if not self.fits(actual, wanted):
            self.error(f"a value of type {actual} cannot be compared with a key of type {wanted}", item)
        else:
            self.warn_of_overflow(item, wanted)
