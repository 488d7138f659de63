"""Many seeds, in several processes, with progress, a summary, and the way back to a seed that failed."""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from controller.names import AckFate, DropReason, EndFate
from hosts.group import READS_SERVED
from sim.node import ACKNOWLEDGEMENTS, GATHERING, QUESTIONS
from sim.plan import Kind
from sim.recorder import Recorder
from sim.world import Options, Record, Result, World, run
from topo import paths
from topo.lab import program
from web.recording import RecordingError, Writer

SHOWN_LINES = 60
AHEAD = 16
"""Seeds that each process may be ahead of the first one that is not done."""
EXPECTED_FROM_SEEDS = 300
"""With fewer seeds a count may well be zero."""

_UNSEEN = (DropReason.NONE, DropReason.WRONG_PORT)
"""Copies come to a wrong port only while switches disagree about the tree and a copy is under way, which is rare."""
EXPECTED = (
    "elections",
    "depositions",
    "truncations",
    "torn writes",
    "writes cut short",
    "power losses",
    "kills",
    "disk errors",
    "writes without room",
    "node restarts",
    "transfers",
    "configurations",
    "joint configurations",
    "shrunk to one voter",
    "grown from one voter",
    "absent learners",
    "refused for silence",
    "configurations of the same voters",
    "members wiped",
    "wiped members named",
    "wiped members mended",
    "snapshots taken",
    "snapshots installed",
    "members followed",
    "quorum reads",
    "reads alone",
    "acknowledgements healed",
    "members shown what agrees",
    "lost",
    "duplicated",
    "late",
    "misdelivered",
    "replayed",
    "lost for clients",
    "doubled for clients",
    "cut off",
    "port unreachable",
    "port unreachable untold",
    "forged refusals",
    "campaigns on a hint",
    "votes on a hint",
    "seeds without hints",
    "seeds with leader_gone",
    "seeds with hints of the network alone",
    "hints given: gone",
    "hints given: cut_off",
    "hints taken: gone",
    "hints taken: cut_off",
    "hints lost",
    "forged hints",
    "doubts of the network's",
    "doubts at once",
    "echo requests",
    "echo requests unanswered",
    "echo answers",
    *(f"ends: {fate.name.lower()}" for fate in EndFate),
    "large requests",
    "requests together",
    "answers together",
    "busy groups",
    "candidates",
    "forged requests",
    "bytes to victims",
    "challenges",
    "retries",
    "unanswered",
    "sessions expired",
    "answers: not_leader",
    "answers: lost_leadership",
    "answers: busy",
    "answers: unknown_session",
    "answers: session_expired",
    "switch restarts",
    "controller restarts",
    "digests",
    "lost digests",
    "inquiries",
    "routes moved",
    "routes taken out",
    "redirects",
    "stand-ins",
    "updates cut in half",
    "updates left half done",
    "late digests",
    *(f"seeds with {size} members" for size in (3, 5, 7)),
    "seeds with two groups",
    "seeds with a group of one",
    "seeds with switches",
    "seeds without switches",
    "seeds with clocks that differ",
    "seeds with leases",
    "seeds with leases at some members",
    "seeds after a wiped cluster",
    "seeds with a cluster key",
    "seeds with a hoarder of answers",
    "calls refused for the answers that are kept",
    "seeds with jumbo frames",
    "seeds with links that take less than members were told",
    "datagrams too large for their path",
    "paths proved larger",
    "values of a MiB",
    "seeds that ask for copies",
    "seeds that ask for copies in vain",
    "seeds with append_fanout",
    "rounds by fan-out",
    "entries sent by fan-out",
    "commits by fan-out alone",
    "trials of fan-out in vain",
    "fallbacks from fan-out",
    "laggards served beside a fan-out",
    "copies rejected",
    "seeds with lazy acknowledgements",
    *ACKNOWLEDGEMENTS.values(),
    "seeds with read_route",
    "seeds whose clients rove",
    "reads spread",
    "reads by followers",
    *QUESTIONS.values(),
    *(f"reads served: {kind}" for kind in READS_SERVED),
    "stale reads",
    "stale reads of what was not current any more",
    "writes that say they read",
    "ends of members that were waited for",
    "seeds with a limit",
    "requests over a limit",
    "requests paced",
    "falls of the pace",
    "limits wished again",
    "seeds with gathered acknowledgements",
    "seeds with acknowledgements gathered in vain",
    "seeds with ack_gather",
    *GATHERING.values(),
    *(f"acknowledgements at switches: {fate.name.lower()}" for fate in AckFate),
    *(f"gathered: {fate}" for fate in ("packets", "taken", "known", "refused")),
    "forged gatherings",
    "gatherings altered",
    "refused: gathered_unwanted",
    "refused: path_shrunk",
    "refused: bad_mac",
    "refused: replayed",
    "refused: misdelivered",
    *(f"fault: {kind.value}" for kind in Kind),
    *(f"dropped: {reason.name.lower()}" for reason in DropReason if reason not in _UNSEEN),
)
"""What must happen somewhere among many seeds; if not, the simulator has gone blind there."""


def compile_program() -> Path:
    """The compiled raft.p4, made anew if its source has changed. Raises topo.errors.LabError."""
    from hosts.wire import DEFAULT_PORT

    program.compile_if_changed("p4compiler", DEFAULT_PORT)
    return paths.build() / program.OUTPUTS[0]


def run_many(seeds: range, jobs: int, options: Options) -> Generator[Result, None, None]:
    """Results in the order of the seeds."""
    if jobs == 1:
        for seed in seeds:
            yield run(seed, options)
        return
    with ProcessPoolExecutor(jobs, initializer=gc.freeze) as pool:
        running: deque[Future[Result]] = deque()
        try:
            for seed in seeds:
                running.append(pool.submit(_run_tidily, seed, options))
                if len(running) >= AHEAD * jobs:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def _run_tidily(seed: int, options: Options) -> Result:
    """Garbage is collected after the seed: looking for it meanwhile takes a tenth of the time."""
    gc.disable()
    try:
        return run(seed, options)
    finally:
        gc.collect()


def simulate(first: int, count: int, jobs: int, optimize: str, *, show_counts: bool = True) -> int:
    """``switchraft sim``; the exit code."""
    options = Options(compile_program(), optimize)
    began, told = time.monotonic(), 0.0
    counts: Counter[str] = Counter()
    results = run_many(range(first, first + count), jobs, options)
    for done, result in enumerate(results, start=1):
        if result.failure:
            results.close()
            _clear()
            report_failure(result.seed, options)
            return 1
        counts.update(result.counts)
        if time.monotonic() - told > 0.5:
            told = time.monotonic()
            _progress(done, count, told - began)
    _clear()
    took = time.monotonic() - began
    print(
        f"{count} seeds from {first} passed in {took:.1f} s ({count / took * 60:.0f} a minute, "
        f"{jobs} process{'es' if jobs > 1 else ''})"
    )
    if show_counts:
        show(counts)
    missing = [name for name in EXPECTED if not counts[name]]
    if missing and count >= EXPECTED_FROM_SEEDS:
        print(f"error: never seen: {', '.join(missing)}", file=sys.stderr)
        return 1
    return 0


def show(counts: Counter[str]) -> None:
    """The summary, in two columns."""
    lines = [f"{name:.<36} {number:>12,}" for name, number in sorted(counts.items())]
    half = -(-len(lines) // 2)
    for left, right in zip(lines[:half], [*lines[half:], ""], strict=False):
        print(f"  {left}   {right}".rstrip())


def replay(seed: int, optimize: str, *, trace: bool, record: Path | None = None) -> int:
    """``switchraft sim --replay SEED``; the exit code. ``record``: the file of a recording. Raises RecordingError."""
    options = Options(compile_program(), optimize)
    if record is None:
        result = run(seed, options, trace=trace)
    else:
        with recording(record) as begin:
            result = run(seed, options, trace=trace, record=begin)
    if trace:
        for line in result.lines:
            print(line)
    print(f"seed {seed}: {result.plan}")
    show(result.counts)
    print(f"trace hash {result.digest}")
    if result.failure:
        print(f"FAILED: {result.failure}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def recording(file: Path) -> Iterator[Record]:
    """What makes a run's recorder, which writes a file. Raises RecordingError."""
    with ExitStack() as stack:

        def begin(world: World, options: Options) -> Recorder:
            recorder = Recorder(world, options)
            try:
                writer = Writer(file, recorder.header())
            except OSError as error:
                raise RecordingError(f"{file}: {error.strerror}") from None
            recorder.attach(stack.enter_context(writer))
            return recorder

        yield begin


def report_failure(seed: int, options: Options) -> None:
    """Run a failed seed once more with its trace, and tell what a person needs to go on."""
    result = run(seed, options, trace=True)
    for line in result.lines[-SHOWN_LINES:]:
        print(line[:240])
    print(f"\nseed {seed} FAILED: {result.failure or 'not when it was run again: it is not deterministic'}")
    print(f"  {result.plan}")
    print(f"  replay: switchraft sim --replay {seed} --trace", flush=True)
    file = paths.build() / "sim" / f"seed-{seed}.trace"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(result.lines) + "\n", encoding="utf-8")
    print(f"  whole trace: {paths.shown(file)}")


def _progress(done: int, count: int, took: float) -> None:
    if sys.stderr.isatty():
        left = took / done * (count - done)
        print(f"\r{done}/{count} seeds, {done / took * 60:.0f} a minute, {left:.0f} s left ", end="", file=sys.stderr)
    elif done % 100 == 0:
        print(f"{done}/{count} seeds", file=sys.stderr)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
