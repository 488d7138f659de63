"""What a soak's history proves. Nothing here needs the lab."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from controller.network import FEATURES
from linearizability import linear
from topo.soak.history import END, Call, Fault, History

HEALED_S = 3.0
"""After a heal a write is acknowledged within that."""

LEAST_OVERLAP = 0.6
"""The part of all operations that overlap a fault, at least: or the soak has not tried hard enough. A soak of kills
has their number instead: the sooner a node is back, the less overlaps."""

LEAST_READS = 0.3
STALL_S = 1.0
"""While nothing is broken a write is acknowledged at least once in that time, whatever features come and go."""
SHOWN = 20


@dataclass
class Verdict:
    """``facts``: what was measured. ``problems``: what is wrong; empty if all is well."""

    facts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def judge(history: History, *, timed: bool = True) -> Verdict:
    """All that must hold; without ``timed`` only what holds on a machine of any speed: shares and times are facts."""
    verdict = Verdict()
    _count(history, verdict, timed)
    _linearizable(history, verdict)
    _nothing_lost(history, verdict)
    _end_was_read(history, verdict)
    _heals(history, verdict, timed)
    _sizes(history, verdict, timed)
    _features(history, verdict, timed)
    return verdict


def _count(history: History, verdict: Verdict, timed: bool) -> None:
    answered = [call for call in history.calls if call.ended is not None]
    reads = [call for call in answered if not call.writes]
    least = int(history.about.get("least_answered", 1))
    if len(answered) < max(1, least):
        verdict.problems.append(f"only {len(answered)} operations were answered, {least} are wanted")
        return
    overlapping = sum(_overlaps(call, history.faults) for call in history.calls) / len(history.calls)
    open_ended = len(history.calls) - len(answered)
    verdict.facts.append(
        f"{len(answered)} operations answered, {open_ended} not; {overlapping:.0%} overlap one of"
        f" {len(history.faults)} faults"
    )
    through = Counter(call.through for call in reads if call.through)
    served = Counter(call.served_by for call in reads)
    asked = ", ".join(f"{count} through {name}" for name, count in sorted(through.items()))
    by = ", ".join(f"{count} by member {member}" for member, count in sorted(served.items()))
    verdict.facts.append(f"{len(reads) / len(answered):.0%} reads: asked {asked}; answered {by}")
    if timed and len(reads) < LEAST_READS * len(answered):
        verdict.problems.append(f"only {len(reads)} of {len(answered)} operations were reads")
    if timed and not history.about.get("kills") and overlapping < LEAST_OVERLAP:
        verdict.problems.append(f"only {overlapping:.0%} of the operations overlap a fault")
    refused = [call for call in history.calls if "refused" in call.error]
    verdict.problems += [f"refused: {_shown(call)}: {call.error}" for call in refused[:SHOWN]]


def _overlaps(call: Call, faults: list[Fault]) -> bool:
    return any(call.began <= fault.whole and call.over >= fault.began for fault in faults)


def _linearizable(history: History, verdict: Verdict) -> None:
    anomalies = linear.check(operations(history))
    verdict.problems += [f"not linearizable: {anomaly}" for anomaly in anomalies]
    if not anomalies:
        keys = {call.key for call in history.calls if call.key is not None}
        verdict.facts.append(f"linearizable: {len(keys)} keys and the list")


def operations(history: History) -> list[linear.Operation]:
    """The calls as the checker wants them. Of two moments that are the same, a beginning counts as the earlier."""
    moments = [(call.began, 0, number) for number, call in enumerate(history.calls)]
    moments += [(call.ended, 1, number) for number, call in enumerate(history.calls) if call.ended is not None]
    place = {(kind, number): at for at, (_, kind, number) in enumerate(sorted(moments))}
    made = []
    for number, call in enumerate(history.calls):
        argument = tuple(call.argument) if isinstance(call.argument, list) else call.argument
        result = tuple(call.result) if isinstance(call.result, list) else call.result
        ended = place.get((1, number))
        made.append(
            linear.Operation(call.kind, call.key, argument, place[0, number], ended, result, client=call.client)
        )
    return made


def _nothing_lost(history: History, verdict: Verdict) -> None:
    """What was acknowledged stands on every node, where it was said to, and once."""
    lists = list(history.lists.items())
    if not lists:
        verdict.problems.append("the history does not say what the nodes have applied in the end")
        return
    (first, values), *others = lists
    verdict.problems += [
        f"{name} and {first} have not applied the same list" for name, one in others if one != values
    ]
    appends = [call for call in history.calls if call.kind == "append"]
    acknowledged = [call for call in appends if call.ended is not None]
    lost = [call for call in acknowledged if call.result >= len(values) or values[call.result] != call.argument]
    verdict.problems += [f"acknowledged and lost: {_shown(call)}" for call in lost[:SHOWN]]
    twice = [value for value, count in Counter(values).items() if count > 1]
    verdict.problems += [f"{value!r} stands in the list more than once" for value in twice[:SHOWN]]
    strange = set(values) - {call.argument for call in appends}
    verdict.problems += [f"{value!r} is in the list, and nobody appended it" for value in sorted(strange)[:SHOWN]]
    if not lost:
        verdict.facts.append(
            f"{len(acknowledged)} appends were acknowledged, all of them are on {', '.join(history.lists)}"
        )


def _heals(history: History, verdict: Verdict, timed: bool) -> None:
    """Soon after each heal a write is acknowledged, and a read is answered: each can hang for itself."""
    answered = [call for call in history.calls if call.ended is not None and call.client != END]
    _heals_for("write was acknowledged", [call for call in answered if call.writes], history.faults, verdict, timed)
    _heals_for("read was answered", [call for call in answered if not call.writes], history.faults, verdict, timed)


def _heals_for(what: str, calls: list[Call], faults: list[Fault], verdict: Verdict, timed: bool) -> None:
    calls = sorted(calls, key=lambda call: call.began)
    began = [call.began for call in calls]
    took = []
    for fault in faults:
        later = calls[bisect_left(began, fault.whole) :]
        soon = min((call.over for call in later[:1_000]), default=None)
        seconds = None if soon is None else (soon - fault.whole) / 1e9
        if timed and (seconds is None or seconds > HEALED_S):
            told = "none was" if seconds is None else f"the first was after {seconds:.1f} s"
            verdict.problems.append(f"{fault.what}: no {what} within {HEALED_S:.0f} s; {told}")
        if seconds is not None:
            took.append((seconds, fault.what))
    if took:
        took.sort()
        seconds, worst = took[-1]
        verdict.facts.append(
            f"after each of {len(took)} heals a {what}: median {took[len(took) // 2][0]:.2f} s,"
            f" longest {seconds:.2f} s ({worst})"
        )


def _sizes(history: History, verdict: Verdict, timed: bool) -> None:
    """The group has had each size that was wanted."""
    wanted = history.about.get("sizes", [])
    if not wanted:
        return
    had = Counter(size.size for size in history.sizes)
    times = ", ".join(f"{size} {count} times" for size, count in sorted(had.items())) or "none"
    verdict.facts.append(f"the group was brought to {len(history.sizes)} sizes, one after the other: {times}")
    missing = sorted(set(wanted) - set(had))
    if not had or (timed and missing):
        verdict.problems.append(f"the group never had a size of {', '.join(map(str, missing))}")


def _features(history: History, verdict: Verdict, timed: bool) -> None:
    """Each feature has come and gone as often as was wanted, and nobody noticed."""
    wanted = history.about.get("features", 0)
    if not wanted:
        return
    back = Counter(one.feature for one in history.features if one.on)
    verdict.facts.append(
        f"{len(back)} features were taken away and put back, each {min(back.values(), default=0)} times"
    )
    fewer = sorted(name for name in FEATURES if back[name] < wanted)
    if fewer:
        verdict.problems.append(f"fewer than {wanted} times taken away and put back: {', '.join(fewer)}")
    stall = longest_stall(history) / 1e9
    verdict.facts.append(f"the longest time without an acknowledged write while nothing was broken: {stall:.2f} s")
    if timed and stall > STALL_S:
        verdict.problems.append(f"no write was acknowledged for {stall:.1f} s while nothing was broken")


def longest_stall(history: History) -> int:
    """Nanoseconds without an acknowledged write, at most, in times when nothing is broken. Each begins with the first
    write that was acknowledged after a fault was mended, or at all."""
    over = sorted(
        call.over for call in history.calls if call.writes and call.ended is not None and call.client != END
    )
    begins = [0, *(fault.whole for fault in history.faults)]
    ends = [*(fault.began for fault in history.faults), over[-1] if over else 0]
    longest = 0
    for begin, end in zip(begins, ends, strict=True):
        calm = over[bisect_left(over, begin) : bisect_left(over, end)]
        if calm:
            longest = max(longest, *(later - one for one, later in pairwise([*calm, end])))
    return longest


def _end_was_read(history: History, verdict: Verdict) -> None:
    unread = [call for call in history.calls if call.client == END and call.ended is None]
    verdict.problems += [f"not answered in the end: {call.kind} {call.key or ''}: {call.error}" for call in unread]


def _shown(call: Call) -> str:
    argument = "" if call.argument is None else f" {call.argument!r}"
    return f"{call.client}: {call.kind} {call.key or ''}{argument} -> {call.result!r}"
