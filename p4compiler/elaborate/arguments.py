"""The calling convention: copy in, copy out, from left to right (P4_16 specification, section "Calling convention").

Its six steps hold for functions, actions, controls and parsers alike:

  evaluated   1 to 3: arguments are evaluated as they stand in the call; the l-value of one that the callee writes is
              saved, with its run-time index as it is then
  bound       4 and 5: each argument's value is saved in a temporary, which the parameter means in the callee
  copy_back   6: the temporaries of `out` and `inout` arguments go back into the saved l-values, the last one last

`_is_direct` says where a temporary would make no difference: there the parameter means the argument itself.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from p4compiler import types as t
from p4compiler.elaborate.expressions import Expressions
from p4compiler.ir import effects, fold
from p4compiler.ir import nodes as ir
from p4compiler.syntax import tree as s


class Copied(NamedTuple):
    """An argument that is copied back: its l-value and its temporary; and what later arguments write when they are
    evaluated."""

    place: ir.Value
    copy: ir.Value
    rewritten: frozenset[effects.Place] = frozenset()


Copies = list[Copied]
"""In the order of the call."""


@dataclass(frozen=True, eq=False)
class Argument:
    """An argument's l-value or value, and the statements that its evaluation takes."""

    parameter: s.Parameter
    type: t.Type
    value: ir.Value
    needs: list[ir.Stmt]

    @property
    def is_written(self) -> bool:
        return self.parameter.direction in ("out", "inout")

    def written(self) -> set[effects.Place]:
        return effects.places(self.value) if self.is_written else set()


class Arguments(Expressions, ABC):
    def evaluated(
        self,
        parameters: Sequence[s.Parameter],
        arguments: Sequence[s.Expression | None],
        types: dict[s.TypeParameter, t.Type],
        call: Sequence[s.Argument],
        name: str,
    ) -> list[Argument]:
        """The arguments, which are given by parameter, in the order in which they stand in the call of `name`."""
        found: list[Argument] = []
        standing = {argument.value: number for number, argument in enumerate(call)}
        pairs = list(zip(parameters, arguments, strict=True))
        for parameter, argument in sorted(pairs, key=lambda pair: standing.get(pair[1], -1)):
            type_ = t.substitute(self.facts.declared[parameter], types)
            with self.collected() as needs:
                if argument is None:
                    value = self.temporary(f"{name}.{parameter.name}", type_)
                elif parameter.direction in ("out", "inout"):
                    value = self.saved(self.place(argument))
                else:
                    value = self.typed(argument, type_)
            found.append(Argument(parameter, type_, value, needs))
        return found

    def bound(
        self,
        frame: ir.Frame,
        given: list[Argument],
        name: str,
        by_name: bool = False,
        instance: ir.Instantiated | None = None,
    ) -> Copies:
        """Binds parameters in the callee's frame, and gives what is to be copied back after the call.

        `by_name`: the callee may reach places by name, not only by its parameters. `instance`: what is applied.
        """
        back: Copies = []
        kept = instance.kept if instance is not None else {}
        shared = instance.shared if instance is not None else frozenset()
        for number, argument in enumerate(given):
            parameter, type_, value = argument.parameter, argument.type, argument.value
            self.out += argument.needs
            if isinstance(value, _OBJECTS) or (parameter not in shared and self._is_direct(given, number, by_name)):
                frame.values[parameter] = value
                continue
            if parameter not in kept:
                kept[parameter] = self.temporary(f"{name}.{parameter.name}", type_)
            copy = kept[parameter]
            if parameter.direction != "out":
                self.assign(copy, self.read(value))
            if argument.is_written:
                back.append(Copied(value, copy, frozenset(_written_later(given, number))))
            frame.values[parameter] = copy
        for argument in given:
            if argument.parameter.direction == "out":
                self.invalidate(frame.values[argument.parameter])
        return back

    def _is_direct(self, given: list[Argument], number: int, by_name: bool) -> bool:
        """Whether the callee may use the argument itself: a constant, or a fixed place that nothing else writes.

        Else is what the callee writes through another argument, or by name, and what an argument that is evaluated
        later writes.
        """
        argument = given[number]
        if by_name or not self.is_fixed(argument.value):
            return not argument.is_written and is_constant(argument.value)
        if argument.is_written and argument.value in self.storage.siblings:
            # Copied back invalid, it makes the other members of its union invalid.
            return False
        written = _written_later(given, number).union(*(other.written() for other in given if other is not argument))
        return not effects.overlap(effects.reads(argument.value), written)

    def copy_back(self, back: Copies) -> None:
        for one in back:
            self.assign(one.place, one.copy)

    def forget_unnamed(self, frame: ir.Frame, back: Copies, body: list[ir.Stmt]) -> None:
        """Drops the copies, in and out, of an inout parameter that the body never names.

        They would write back what is there already, and look at a stack's element that there may not be. They do
        make a difference where the body, another copy, or the evaluation of a later argument writes the same place.
        """
        for number in reversed(range(len(back))):
            place, copy, rewritten = back[number]
            parameter = next((d for d, value in frame.values.items() if value is copy), None)
            if not isinstance(parameter, s.Parameter) or parameter.direction != "inout" or parameter in self.named:
                continue
            others = back[:number] + back[number + 1 :]
            written = effects.writes(body).union(rewritten, *(effects.places(other.place) for other in others))
            if effects.overlap(effects.reads(place), written):
                continue
            del back[number]
            indexes = [effects.places(index) for index in effects.indexes(place)]
            self._forget_writes(effects.places(copy).union(*indexes))

    def _forget_writes(self, places: set[effects.Place]) -> None:
        """Drops the statements so far that write nothing but these places."""
        written = [(one, effects.writes([one])) for one in self.out]
        self.out[:] = [one for one, targets in written if not targets or not targets <= places]

    def read(self, place: ir.Value) -> ir.Value:
        """The value in a place."""
        if isinstance(place, ir.Bitfield):
            return fold.bit_slice(place.scalar, place.high, place.low)
        return place

    def is_fixed(self, value: ir.Value) -> bool:
        """Whether a place means the same storage whenever it is looked at."""
        if isinstance(value, ir.Scalar):
            return isinstance(value.owner, ir.Header)
        if isinstance(value, ir.StructPlace):
            return all(self.is_fixed(part) for part in value.fields.values())
        if isinstance(value, ir.UnionPlace):
            return bool(value.name)
        return isinstance(value, (ir.Header, ir.StackPlace, ir.Runtime))


def _written_later(given: Sequence[Argument], number: int) -> set[effects.Place]:
    """What the evaluation of the arguments behind this one writes."""
    return effects.writes(one for later in given[number + 1 :] for one in later.needs)


def is_constant(value: ir.Value) -> bool:
    if isinstance(value, ir.Aggregate):
        return all(is_constant(part) for part in value.fields.values())
    return isinstance(value, (ir.Const, ir.Text, ir.Invalid))


_OBJECTS = (ir.ExternObject, ir.Instantiated, ir.ValueSetObject, ir.TableObject)
