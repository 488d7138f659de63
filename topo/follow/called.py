"""A client's call, followed from the host that asks to the answer that it gets, with all that it leads to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hosts.service.values import to_json
from topo.errors import LabError
from topo.follow import disks, story
from topo.follow.asking import Asking
from topo.follow.disks import Disk
from topo.follow.filters import Sent, sent
from topo.follow.journeys import Follower, Journey
from topo.follow.told import Teller, disk_lines, disk_text, fragments_of
from topo.follow.watch import Shown, Watch
from topo.lab.running_lab import Live
from topo.root import check_root
from topo.topology import Topology
from topo.views import client_requests
from topo.views.client_requests import ClientCall, Route
from topo.views.output import print_json
from topo.views.taps import Frame

SETTLE_BEATS = 3
"""So many heartbeats after the answer members have heard what is committed."""
LEAST_SETTLE_S = 0.2
READS = ("get",)

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What came of the call: a line for people, fields for programs, and the error with which the command ends."""

    text: str
    facts: Json
    error: LabError | None = None


@dataclass(frozen=True)
class Followed:
    """A call with all that is known of it. ``leader``: the host of the member that answered, "" if none did;
    ``stages`` and ``disks``: of its entry, if it has one."""

    call: story.Call
    follower: Follower
    journeys: tuple[Journey, ...]
    leader: str
    stages: dict[str, float]
    disks: tuple[Disk, ...]


def call(route: Route, operation: str, operands: Sequence[str], shown: Shown) -> None:
    """Make a call, and tell the ways of its packets. Raises LabError, also where the call fails, after telling what
    became of its packets."""
    request = client_requests.call_of(operation, operands)
    live = Live.find()
    check_root("following packets")
    asking = Asking(route, request)
    with Watch(live, shown) as watch:
        followed = _follow(watch, asking, operation)
        journeys = followed.journeys
        origin = journeys[0].sent.time_ns if journeys else watch.began_ns
        teller = watch.doubts(watch.teller(followed.follower, origin), journeys)
        answer = _answer(asking, request)
        watch.recording.tell(followed.follower.events)
        if journeys:
            _record(watch, asking, operation, operands, answer, journeys)
        if shown.as_json:
            print_json(_json(teller, followed, asking, [operation, *operands], answer))
        else:
            print("\n".join([*_lines(teller, followed), "", answer.text]), flush=True)
        watch.finish(" ".join((operation, *operands)))
    if answer.error is not None:
        raise answer.error


def _follow(watch: Watch, asking: Asking, operation: str) -> Followed:
    """Make the call, and put together what was seen of it."""
    live = watch.live
    before = disks.status(live)
    watch.recording.members(time.time_ns(), before)
    frames = _until_answered(watch, asking)
    told = _story(watch.topology, asking, operation)
    window = story.window(_leaving(watch.topology, frames), asking.client)
    follower = Follower(watch.topology, watch.shadows, story.Story(told, window).role)
    follower.take(frames)
    watch.reread()  # so that it is known whose entries were others meanwhile
    after = disks.status(live)
    watch.recording.members(time.time_ns(), after)
    leader = _leader(watch.topology, told)
    stages = disks.stages(before.get(leader), after.get(leader), told.group) if told.index else {}
    held = disks.entry(live, told.group, told.index) if told.index else []
    return Followed(told, follower, tuple(follower.journeys.values()), leader, stages, tuple(held))


def _until_answered(watch: Watch, asking: Asking) -> list[Frame]:
    """Let the call begin; all frames until a moment after its answer. Raises KeyboardInterrupt."""
    frames: list[Frame] = []
    ends = 0.0
    settle = max(LEAST_SETTLE_S, SETTLE_BEATS * watch.topology.heartbeat_ms / 1000)
    asking.begin()
    for batch in watch.frames():
        frames += batch
        if asking.done:
            ends = ends or time.monotonic() + settle
            if time.monotonic() > ends:
                return frames
    raise KeyboardInterrupt


def _story(topology: Topology, asking: Asking, operation: str) -> story.Call:
    told = story.Call(asking.client, asking.way.group, topology.cluster)
    result = asking.asked.result
    if result is None:
        return told
    if operation in READS and topology.reads != "log":
        return replace(told, leader=result.served_by)
    return replace(told, leader=result.served_by, index=result.index, term=result.term)


def _leaving(topology: Topology, frames: Sequence[Frame]) -> Iterator[Sent]:
    """What hosts have sent."""
    edges = {host.switch_interface: host.name for host in topology.hosts}
    for frame in frames:
        if not frame.outgoing and frame.interface in edges:
            yield sent(frame.time_ns, edges[frame.interface], frame.data, topology.port)


def _leader(topology: Topology, told: story.Call) -> str:
    group = next((one for one in topology.groups if one.id == told.group), topology.groups[0])
    return topology.hosts_of(group).get(told.leader, "")


def _answer(asking: Asking, request: ClientCall) -> Answer:
    result, error = asking.asked.result, asking.asked.error
    if result is None:
        error = error or LabError("the call was not made")
        return Answer(f"no answer: {error}", {"error": str(error)}, error)
    facts: Json = {"index": result.index, "term": result.term, "served_by": asking.way.name(result.address[0])}
    facts |= {"ms": round(result.elapsed_s * 1000, 3)}
    try:
        answer = request.tell(result)
    except LabError as problem:
        return Answer(
            f"{problem}; {client_requests.how(asking.way, result)}", {"error": str(problem), **facts}, problem
        )
    text = client_requests.text_of(asking.way, result, answer)
    return Answer(text, {"value": to_json(answer.value), **answer.facts, **facts})


def _lines(teller: Teller, followed: Followed) -> list[str]:
    """Ways, between them what the leader's disk did, in the order of time; then what members say of the entry now."""
    trains: dict[object, list[Journey]] = {}
    for journey in followed.journeys:
        trains.setdefault(fragments_of(journey), []).append(journey)
    pieces = [(train[0].sent.time_ns, list(teller.train(train))) for train in trains.values()]
    left = [one.sent.time_ns for one in followed.journeys if one.role == story.APPEND]
    if left:
        index, leader = followed.call.index, followed.leader
        pieces += [(at, [text]) for at, text in disk_lines(teller, index, leader, left[0], followed.stages)]
    lines = [line for _, piece in sorted(pieces, key=lambda piece: piece[0]) for line in piece]
    if followed.disks:
        lines += ["", f"entry {followed.call.index}, as members say now"]
        lines += [f"  {disk_text(one)}" for one in followed.disks]
    return lines


def _json(teller: Teller, followed: Followed, asking: Asking, words: list[str], answer: Answer) -> Json:
    told = followed.call
    entry = {
        "index": told.index,
        "term": told.term,
        "stages_ms": {name: round(seconds * 1000, 3) for name, seconds in followed.stages.items()},
        "members": [vars(one) for one in followed.disks],
    }
    return {
        "call": words,
        "client": f"{asking.client[0]}:{asking.client[1]}",
        "answer": answer.facts,
        "entry": entry if told.index else None,
        "packets": [teller.json(journey) for journey in followed.journeys],
    }


def _record(
    watch: Watch,
    asking: Asking,
    operation: str,
    operands: Sequence[str],
    answer: Answer,
    journeys: Sequence[Journey],
) -> None:
    """The call as a recording tells it."""
    began, host = journeys[0].sent.time_ns - 1000, journeys[0].sent.host
    key = "" if operation == "send" else operands[0]
    value = "" if operation in ("get", "delete") else operands[-1]
    asked: Json = {"k": "call", "who": host, "call": 1, "host": host, "port": asking.client[1]}
    asked |= {"group": asking.way.group, "operation": operation, "key": key, "value": value}
    outcome = "ok" if asking.asked.result is not None else answer.text
    ended: Json = {"k": "answer", "who": host, "call": 1, "outcome": outcome, "value": answer.text}
    header = journeys[0].sent.header
    if header is not None and header.log_term:
        ended |= {"session": header.log_term, "sequence": header.index}
    own = [journey.last_ns for journey in journeys if journey.role in (story.REQUEST, story.ANSWER)]
    watch.recording.tell([(began, asked), (max(own, default=began), ended)])
