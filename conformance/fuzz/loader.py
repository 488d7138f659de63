"""Mutated BMv2 JSONs: each is refused in words, or becomes C that compiles and runs."""

from __future__ import annotations

import copy
import json
import random
import re
import tempfile
from pathlib import Path
from typing import Any

from conformance.fuzz.cases import REPOSITORY, Corpus, Fault, Found, run_cases
from p4compiler.compile import compile_file
from p4compiler.source import Diagnostics
from p4switch.codegen import generate
from p4switch.errors import BuildError, PipelineError
from p4switch.pipeline.native import QUICK
from p4switch.pipeline.pipeline import Pipeline
from p4switch.program_json import parse_program

PYTHON = re.compile(
    r"[A-Z]\w+Error|Iteration|NoneType|hashable|subscript|iterable|literal|\(\) argument|'(int|str|dict)'"
)
"""What only Python says, and no user of the switch knows."""
BUILT_SHARE = 30
"""One accepted JSON of so many is built and run: the C compiler takes most of a second."""
VALUES: tuple[Any, ...] = (
    None, -1, 0, 1, 2, 7, 8, 9, 64, 65, 512, 65536, 1 << 31, 1 << 40, 1 << 64, 3.5, True, "", "x", "0x", "0xzz",
    "0x01", "-0x5", "0x" + "f" * 40, "ingress", "egress", "scalars", "standard_metadata", "$valid$", "%s%n",
    'a"*/\\\n', [], {}, ["scalars"], ["standard_metadata", "egress_spec"], {"type": "field", "value": ["a", "b"]},
)  # fmt: skip


def value_of(chance: random.Random) -> Any:
    """One of them, and its own: what is put in may be changed later."""
    return copy.deepcopy(chance.choice(VALUES))


def sources() -> list[Any]:
    programs = sorted((REPOSITORY / "tests" / "stf").glob("*.stf"))
    files = [one.with_suffix(".p4") for one in programs] + [REPOSITORY / "tests" / "p4switch" / "entities.p4"]
    return [without_places(compile_file(file, Diagnostics()).json) for file in files]


def without_places(data: Any) -> Any:
    """Half of a JSON says where in the source things stand: nothing to mutate."""
    if isinstance(data, dict):
        return {key: without_places(value) for key, value in data.items() if key != "source_info"}
    return [without_places(one) for one in data] if isinstance(data, list) else data


class Mutator:
    def __init__(self, kept: Corpus) -> None:
        self.kept = kept
        self.seeds = sources()

    def make(self, chance: random.Random) -> str:
        if self.kept.texts and chance.random() < 0.3:
            data = json.loads(chance.choice(self.kept.texts))
        else:
            data = json.loads(json.dumps(chance.choice(self.seeds)))
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            self._mutate(data, chance)
        return json.dumps(data)

    def _mutate(self, data: Any, chance: random.Random) -> None:
        """Change one place: go down at random, stop more and more often."""
        owner, key = data, chance.choice(list(data)) if isinstance(data, dict) and data else None
        while key is not None:
            value = owner[key]
            if not isinstance(value, (dict, list)) or not value or chance.random() < 0.12:
                break
            owner, key = (
                value,
                chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value)),
            )
        if key is None:
            return
        kind = chance.randrange(6)
        if kind == 0:
            del owner[key]
        elif kind == 1:
            owner[key] = value_of(chance)
        elif kind == 2 and isinstance(owner, list):
            owner.insert(key, json.loads(json.dumps(owner[chance.randrange(len(owner))])))
        elif kind == 3 and isinstance(owner[key], int):
            owner[key] = owner[key] + chance.choice((-1, 1, 100, -owner[key], owner[key]))
        elif kind == 4:
            other = chance.choice(list(owner)) if isinstance(owner, dict) else chance.randrange(len(owner))
            owner[key], owner[other] = owner[other], owner[key]
        else:
            owner[key] = [owner[key]] if chance.random() < 0.3 else value_of(chance)


def refusal(error: PipelineError) -> str:
    """The text of a refusal without names and numbers."""
    if PYTHON.search(str(error)):
        raise Fault(f"a user is told what Python says: {error}") from None
    return re.sub(r"\d+|'[^']*'", "", str(error))[:100]


def load_case(text: str, cache: Path, build: bool) -> str:
    """What it showed: the refusal without names and numbers."""
    try:
        program = parse_program(json.loads(text))
        generated = generate(program)
    except PipelineError as error:
        return refusal(error)
    if build and sum(len(body) for body in generated.files.values()) < 3_000_000:
        try:
            with Pipeline.load(json.loads(text), cache=cache, flags=QUICK) as pipeline:
                for size in (0, 1, 20, 200):
                    pipeline.step(1, bytes(range(size)), 1000)
        except BuildError as error:
            raise Fault(re.sub(r"[0-9]+", "N", str(error))) from None
        except PipelineError as error:
            return f"late: {refusal(error)}"
        return "built"
    return "accepted"


def fuzz(seed: int, seconds: float, folder: Path) -> Found:
    corpus = Corpus(folder, ".json")
    builds = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="p4-fuzz-cache-") as cache:

        def case(text: str) -> str:
            return load_case(text, Path(cache), builds.randrange(BUILT_SHARE) == 0)

        return run_cases(seed, seconds, corpus, Mutator(corpus).make, case)
