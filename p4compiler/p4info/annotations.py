"""Annotations in P4Info: ids, documentation, and all that P4Info has no field for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from p4compiler.check.constants import ConstantEvaluator
from p4compiler.check.facts import Facts
from p4compiler.p4info.names import annotation_number
from p4compiler.source import Diagnostics
from p4compiler.syntax import tree as s
from p4compiler.syntax.expressions import ExpressionParser
from p4compiler.syntax.lexer import Kind, Token


def is_hidden(annotations: s.Annotations) -> bool:
    return s.find_annotation(annotations, "hidden") is not None


def field_ids(annotations: Sequence[s.Annotations]) -> list[int]:
    """Ids of fields or parameters: from @id, the others counted from 1."""
    given = [annotation_number(a, "id") for a in annotations]
    taken = {g for g in given if g is not None}
    result: list[int] = []
    index = 1
    for number in given:
        if number is not None:
            result.append(number)
            index += 1
            continue
        while index in taken:
            index += 1
        taken.add(index)
        result.append(index)
    return result


def annotate(message: Any, annotations: s.Annotations, skip: tuple[str, ...] = ()) -> None:
    """Annotations that P4Info has no field for."""
    for annotation in annotations:
        if annotation.structured:
            _structured(message.structured_annotations.add(), annotation)
        elif annotation.name not in ("name", "id", "brief", "description", *skip):
            message.annotations.append(_annotation_text(annotation))


def _annotation_text(annotation: s.Annotation) -> str:
    if annotation.body is None:
        return f"@{annotation.name}"
    text = ""
    for number, token in enumerate(annotation.body):
        if (
            number
            and token.text != ","
            and annotation.body[number - 1].text not in ("(", "[", ".")
            and token.text != "."
        ):
            text += " " if annotation.body[number - 1].text == "," or token.text not in (")", "(", "]", "[") else ""
        text += token.text
    return f"@{annotation.name}({text})" if annotation.body else f"@{annotation.name}"


def _structured(message: Any, annotation: s.Annotation) -> None:
    message.name = annotation.name
    body = list(annotation.body or ())
    parts: list[list[Any]] = [[]]
    for token in body:
        if token.text == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    parts = [p for p in parts if p]
    keyed = any(len(p) > 2 and p[1].text == "=" for p in parts)
    for part in parts:
        if keyed:
            pair = message.kv_pair_list.kv_pairs.add()
            pair.key = part[0].text
            _literal(pair.value, part[2:])
        else:
            _literal(message.expression_list.expressions.add(), part)


def _literal(message: Any, tokens: list[Any]) -> None:
    """A string, number or bool, or a small sum of numbers or strings."""
    texts = [t_.text for t_ in tokens]
    if texts in (["true"], ["false"]):
        message.bool_value = texts == ["true"]
    elif tokens and all(x.startswith('"') or x == "++" for x in texts):
        message.string_value = "".join(s.unquote(x) for x in texts if x != "++")
    else:
        end = Token(Kind.END, "", tokens[-1].loc)
        expression = ExpressionParser([*tokens, end], Diagnostics()).expression()
        facts = Facts(s.Program((), end.loc))
        value = ConstantEvaluator(facts).evaluate(expression)
        if isinstance(value, bool):
            message.bool_value = value
        elif isinstance(value, int):
            message.int64_value = value


def document(message: Any, annotations: s.Annotations) -> None:
    """What @brief and @description say."""
    for name in ("brief", "description"):
        annotation = s.find_annotation(annotations, name)
        text = s.string_body(annotation) if annotation is not None else None
        if text is not None:
            setattr(message.doc, name, text)
