"""What the simulator says when it has found something."""

from __future__ import annotations


class Violation(AssertionError):
    """A promise was broken; ``rule`` is its short name."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule
        self.text = text
