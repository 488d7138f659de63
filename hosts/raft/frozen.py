"""Dataclasses that only the type checker keeps frozen: those of which a node makes some for every datagram.

To set a field of a frozen dataclass costs several times as much as one of any other at run time, and that is most of
what a message costs.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

__all__ = ["frozen_dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass as frozen_dataclass
else:

    def frozen_dataclass(*, frozen: bool, eq: bool = True, **options: Any) -> Any:
        """``dataclasses.dataclass`` with the hash of a frozen one, and without what stops changes."""
        assert frozen
        return dataclasses.dataclass(eq=eq, unsafe_hash=eq, **options)
