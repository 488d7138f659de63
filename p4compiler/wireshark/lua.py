"""Values as Lua text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Json = Mapping[str, Any]


def quoted(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{plain}"'


def table(values: Iterable[str]) -> str:
    """A list."""
    return "{ " + ", ".join(values) + " }" if (values := list(values)) else "{}"
