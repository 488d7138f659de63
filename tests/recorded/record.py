"""Records what a version of the project writes: data folders, and datagrams of every type.

    python tests/recorded/record.py CHECKOUT NAME

runs the code in CHECKOUT and writes, beside this file,

    NAME-folders.tar.xz   data folders of two members, each as its process left it
    NAME-folders.json     what these hold, as that version showed it
    NAME-datagrams.json   datagrams, and what they mean

Later versions must read all of it: tests/recorded/test_recorded.py. What was recorded once is never recorded again
under its name.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = Any

KINDS: list[Any] = [
    None,
    True,
    False,
    0,
    -5,
    2**63 - 1,
    -(2**63),
    2**64,
    -(2**200),
    0.1,
    float("inf"),
    "",
    "Zürich \N{SNOWMAN}",
    b"",
    bytes(range(256)),
    [],
    [1, [2, [3, None]]],
    {},
    {"a": {"b": [1.5, b"\x00"]}, "$key": 1},
    {1: "an int", None: "nothing", b"\xff": "bytes", 2.5: "a float", False: "a bool"},
]
"""One value of each kind, and those at the ends."""

LARGE = [b"\x07" * 100_000, b"\x08" * 1_500_000, "x" * 300_000]
"""Values that are stored and dumped otherwise than small ones are."""

KEY_FILE = "a key of this recording only\n"
SEALED_CLUSTER = 9


# -- data folders -------------------------------------------------------------------------------------------------


def brief(shown: Json) -> Json:
    """What a node shows of a value; of a long one a digest."""
    text = json.dumps(shown, sort_keys=True)
    return shown if len(text) < 300 else {"sha256": hashlib.sha256(text.encode()).hexdigest()}


def until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 120
    while not (found := condition()):
        if time.monotonic() > end:
            raise SystemExit(f"not within 120 s: {what}")
        time.sleep(0.05)
    return found


def change(cluster: Any, wanted: Callable[[Json], bool], **request: Any) -> None:
    """Have the leader change the members until ``wanted`` likes them."""

    def attempt() -> bool:
        try:
            leader = until(cluster.find_leader, "a leader")
            shown = cluster.ask(leader, cmd="members")[0]
            if wanted(shown["members"]) and not shown["changing"]:
                return True
            cluster.ask(leader, **request)
        except (OSError, IndexError):
            pass
        time.sleep(0.2)
        return False

    until(attempt, str(request))


class Exchange:
    """A client whose last write is asked again, word for word, so that the answer can only come from its session."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def write(self, group: int = 1) -> Json:
        from hosts.raft.message import MessageType
        from hosts.service.requests import Operation, Request
        from hosts.service.values import encode
        from hosts.wire import Header

        client = self.client
        result = client.append("asked twice")
        request = Request(client._nonce, Operation.APPEND, value=encode("asked twice"))
        sequence = client._next_sequence - 1
        header = Header(
            MessageType.CLIENT_REQUEST, group=group, index=sequence, log_term=client._session, commit=sequence
        )
        datagram = header.pack() + request.pack()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(10)
            asking.sendto(datagram, result.address)
            answer = asking.recv(2048)
        return {"session": client._session, "request": datagram.hex(), "answer": answer.hex(), "index": result.index}


def fill(first: Any, second: Any) -> None:
    """Two clients append, store, replace and delete."""
    for value in KINDS + LARGE:
        first.append(value)
    for value in KINDS:
        if not isinstance(value, (list, dict)):
            second.put(value, [value, "first"])
    for value in KINDS[:6]:
        second.put(value, "replaced")
    for value in KINDS[3:9]:
        assert second.delete(value).value is True
    second.put("large", LARGE[2])
    assert second.delete("never there").value is False


def add_a_little(first: Any, second: Any) -> None:
    """What stays in the log behind the last snapshot."""
    for number in range(5):
        first.append(["behind", number])
    second.put("behind", 1)
    assert second.delete("large").value is True


def describe(cluster: Any, member: int, sessions: list[Json]) -> Json:
    def lines(command: str) -> list[Json]:
        *items, last = cluster.ask(member, cmd=command)
        assert last["ok"]
        return items

    status = cluster.group_status(member)
    members = cluster.ask(member, cmd="members")[0]["members"]
    return {
        "member": member,
        "list": [[item["index"], item["term"], brief(item["value"])] for item in lines("log")],
        "pairs": [[brief(item["key"]), brief(item["value"])] for item in lines("kv")],
        "members": {one: {"votes": shown["votes"]} for one, shown in members.items()},
        "sessions": status["sessions"],
        "asked_again": sessions,
        "term": status["term"],
    }


def compacted(folder: Path) -> tuple[Path, Json]:
    """A member that came by a snapshot, has taken more since, and is the only one left."""
    from bench.consensus.loopback import NodeProcesses

    folder.mkdir()
    (folder / "cluster.key").write_text(KEY_FILE)
    cluster = NodeProcesses(folder, 3, spares=1, extra="cluster: 77\nsnapshot_entries: 20\nkey_file: cluster.key")
    everyone = [*cluster.addresses, cluster.address(4)]
    cluster.start()
    from hosts.client.blocking import Client

    with (
        Client(everyone, timeout_s=60) as first,
        Client(everyone, timeout_s=60) as second,
        Client(everyone, timeout_s=60) as third,
    ):
        fill(first, second)
        asked = [Exchange(third).write()]  # whose session is known from the snapshot alone
        for number in range(30):
            second.put("counted", number)
        for member in (1, 2, 3):
            until(lambda member=member: cluster.group_status(member)["first_index"] > 1, "a compacted log")
        cluster.start(4)
        change(cluster, lambda members: members.get("4", {}).get("votes", False), cmd="member_add", member=4)
        until(lambda: cluster.ask(cluster.find_leader() or 1, cmd="transfer", member=4)[0]["ok"], "a transfer")
        until(lambda: cluster.find_leader() == 4, "member 4 leads")
        for leaver in (1, 2, 3):
            change(
                cluster,
                lambda members, leaver=leaver: str(leaver) not in members,
                cmd="member_remove",
                member=leaver,
            )
        newest = until(lambda: cluster.ask(4, cmd="snapshot")[0].get("index"), "a snapshot begins")
        snapshot = cluster.data(4) / f"group-1/snapshot-{newest:020d}"
        until(snapshot.exists, "a snapshot is there")
        add_a_little(first, second)
        asked.append(Exchange(second).write())
        state = describe(cluster, 4, asked)
    cluster.kill(1, 2, 3)
    cluster.kill(4, how=signal.SIGTERM)
    if (cluster.data(4) / "group-1/log-0000000001").exists():
        raise SystemExit("it came by entries, not by a snapshot: try again")
    return cluster.data(4), state


def plain(folder: Path) -> tuple[Path, Json]:
    """A member from the beginning on, without snapshots, that was killed; another has left."""
    from bench.consensus.loopback import NodeProcesses

    folder.mkdir()
    extra = "cluster: 78\nsnapshot_entries: 0\nsnapshot_mib: 0"
    cluster = NodeProcesses(folder, 2, extra=extra)
    cluster.start()
    with cluster.client(timeout_s=60) as first, cluster.client(timeout_s=60) as second:
        fill(first, second)
        until(lambda: cluster.ask(cluster.find_leader() or 1, cmd="transfer", member=1)[0]["ok"], "a transfer")
        until(lambda: cluster.find_leader() == 1, "member 1 leads")
        change(cluster, lambda members: "2" not in members, cmd="member_remove", member=2)
        add_a_little(first, second)
        state = describe(cluster, 1, [Exchange(first).write(), Exchange(second).write()])
        state = describe(cluster, 1, state["asked_again"])
    cluster.kill()
    return cluster.data(1), state


def record_folders(archive: Path) -> Json:
    states = {}
    with tempfile.TemporaryDirectory() as temporary, tarfile.open(archive, "w:xz", preset=9) as tar:
        for make in (compacted, plain):
            data, state = make(Path(temporary) / make.__name__)
            (data / "control.sock").unlink(missing_ok=True)
            tar.add(data, make.__name__, filter=_anonymous)
            states[make.__name__] = state
    return states


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


# -- datagrams ----------------------------------------------------------------------------------------------------


def peer_messages() -> list[Any]:
    from hosts.raft.configuration import Configuration
    from hosts.raft.message import MAX_TERM, Entry, EntryKind, Message, MessageType
    from hosts.raft.quorum import Membership
    from hosts.raft.snapshot import Outgoing, Snapshot
    from hosts.wire import FragmentStatus, ToldMember, pack_members

    kind = MessageType
    addresses = {1: b"10.0.0.1:26410", 2: b"10.0.0.2:26410", 3: b"", 4: b"10.0.0.4:1"}
    members = Configuration(
        7,
        Membership(frozenset({1, 2}), frozenset({2, 3}), frozenset({4})),
        addresses,
        frozenset({4}),
        frozenset({2}),
    )
    entries = (
        Entry(3, 11, EntryKind.NOOP),
        Entry(3, 12, EntryKind.COMMAND, b"\x00\xffcommand"),
        Entry(4, 13, EntryKind.CONFIGURATION, members.pack()),
    )
    snapshot = Outgoing(Snapshot(12, 3, members, b"the state machine's data"))
    chunks = [
        Message(kind.INSTALL_SNAPSHOT, 1, 2, 4, 12, 3, at, more=at + 30 < snapshot.size, round=5, data=chunk)
        for at in range(0, snapshot.size, 30)
        for chunk in [snapshot.chunk(at, 30)]
    ]
    told = (ToldMember(1, True, "10.0.0.1", 26410), ToldMember(4, False, "10.0.0.4", 1))
    status = FragmentStatus(2**63, 5000, 4800, ((0, 1328), (2656, 3984)))
    return [
        Message(kind.PRE_VOTE, 1, 2, 4, 13, 4, round=1),
        Message(kind.PRE_VOTE_REPLY, 2, 1, 4, 0, 4, round=1),
        Message(kind.PRE_VOTE_REPLY, 2, 1, 3, 0, 4, reject=True, round=1),
        Message(kind.REQUEST_VOTE, 1, 2, MAX_TERM, MAX_TERM, MAX_TERM, round=2),
        Message(kind.REQUEST_VOTE, 1, 2, 4, 13, 4, round=2, data=b"transfer"),
        Message(kind.REQUEST_VOTE_REPLY, 2, 1, 4, 0, 4, round=2),
        Message(kind.REQUEST_VOTE_REPLY, 2, 1, 4, 0, 4, reject=True, round=2),
        Message(kind.APPEND_ENTRIES, 1, 2, 4, 10, 3, 9, round=3, entries=entries),
        Message(kind.APPEND_ENTRIES, 1, 2, 4, 13, 4, 13, round=4),
        Message(kind.APPEND_ENTRIES, 1, 2, 4, round=2**64 - 1),
        Message(kind.APPEND_ENTRIES_REPLY, 2, 1, 4, 13, round=3),
        Message(kind.APPEND_ENTRIES_REPLY, 2, 1, 4, 10, 2, 8, reject=True, round=3),
        *chunks,
        Message(kind.INSTALL_SNAPSHOT_REPLY, 2, 1, 4, 12, 3, 30, round=5),
        Message(kind.INSTALL_SNAPSHOT_REPLY, 2, 1, 4, 12, 3, 0, reject=True, round=5),
        Message(kind.TIMEOUT_NOW, 1, 2, 4),
        Message(kind.CONFIGURATION, 1, 255, 4, 7, data=pack_members(told)),
        Message(kind.CAMPAIGN_HINT, 0, 2, 4),
        Message(kind.FRAGMENT_STATUS, 2, 1, 4, data=status.pack()),
    ]


def described_message(message: Any) -> Json:
    names = ("type", "source", "target", "term", "index", "log_term", "commit", "reject", "more", "round")
    described: Json = {name: getattr(message, name) for name in names}
    described["entries"] = [[one.term, one.index, int(one.kind), one.data.hex()] for one in message.entries]
    return {**described, "data": message.data.hex()}


def described_header(header: Any) -> Json:
    names = ("type", "source", "target", "group", "term", "index", "log_term", "commit", "flags")
    return {name: int(getattr(header, name)) for name in names}


def record_datagrams() -> Json:
    from hosts.net.seal import Seal, read_key
    from hosts.wire import Flag, Fragment, Header, pack_fragment, pack_peer

    with tempfile.NamedTemporaryFile("w") as file:
        file.write(KEY_FILE)
        file.flush()
        key = read_key(file.name)
    seal = Seal(key, SEALED_CLUSTER, 5)
    peers, sealed = [], []
    for message in peer_messages():
        header, payload = pack_peer(message, group=300, cluster=SEALED_CLUSTER)
        peers.append({"hex": (header.pack() + payload).hex(), "group": 300, **described_message(message)})
        header, payload = pack_peer(message, group=1, cluster=seal.cluster)
        sealed.append(seal.close_up(header.pack() + payload).hex())
    fragments = []
    header, payload = pack_peer(peer_messages()[7], group=1, cluster=SEALED_CLUSTER)
    for at in range(0, len(payload), 50):
        part = Fragment(2**64 - 1, at, len(payload), payload[at : at + 50])
        head = Header(**{**described_header(header), "flags": Flag.FRAGMENT})
        fragments.append(pack_fragment(head, part).hex())
    return {
        "cluster": SEALED_CLUSTER,
        "members": peers,
        "fragments": fragments,
        "key_file": KEY_FILE,
        "sealed": sealed,
        "requests": record_requests(),
        "replies": record_replies(),
        "client_statuses": record_client_statuses(),
    }


def record_requests() -> Json:
    from hosts.net.batches import pack_batches
    from hosts.raft.message import MessageType
    from hosts.service.requests import Operation, Request
    from hosts.service.values import encode
    from hosts.wire import Flag, Header

    nonce = 2**64 - 2
    requests = [
        Request(nonce, Operation.OPEN_SESSION),
        *(Request(nonce, Operation.APPEND, value=encode(value)) for value in KINDS),
        Request(nonce, Operation.PUT, key=encode("key"), value=encode([1, 2])),
        Request(nonce, Operation.GET, key=encode(2**70)),
        Request(nonce, Operation.DELETE, key=encode(b"key")),
        Request(nonce, Operation.READ_LIST, start=2**40, limit=1000),
    ]
    recorded = []
    for sequence, request in enumerate(requests, 1):
        header = Header(MessageType.CLIENT_REQUEST, group=1, index=sequence, log_term=2**63, commit=1)
        described = {
            "nonce": request.nonce,
            "operation": int(request.operation),
            "key": request.key.hex(),
            "value": bytes(request.value).hex(),
            "start": request.start,
            "limit": request.limit,
        }
        datagram = header.pack() + request.pack()
        recorded.append({"hex": datagram.hex(), "header": described_header(header), "requests": [described]})
    small = [(sequence, requests[sequence].pack()) for sequence in range(1, 5)]
    ((first, more, payload),) = pack_batches(small)
    header = Header(
        MessageType.CLIENT_REQUEST, group=1, index=first, log_term=9, commit=1, flags=more | Flag.NO_STEER
    )
    inside = [described for one in recorded[1:5] for described in one["requests"]]
    recorded.append({"hex": (header.pack() + payload).hex(), "header": described_header(header), "requests": inside})
    return recorded


def record_replies() -> Json:
    from hosts.net.batches import pack_batches
    from hosts.raft.message import MessageType
    from hosts.service.requests import Outcome, Reply
    from hosts.service.values import encode
    from hosts.wire import Flag, Header

    replies = [Reply(5, Outcome.OK, 0, 12, 3, encode([True, "value"]))]
    replies += [Reply(5, outcome, 2, 0, 0, b"10.0.0.2:26410") for outcome in Outcome if outcome is not Outcome.OK]
    recorded = []
    for sequence, reply in enumerate(replies, 1):
        header = Header(
            MessageType.CLIENT_REPLY,
            source=1,
            group=1,
            index=sequence,
            log_term=9,
            commit=1,
            flags=0 if reply.outcome is Outcome.OK else Flag.REJECT,
        )
        described = {
            "nonce": reply.nonce,
            "outcome": int(reply.outcome),
            "leader": reply.leader,
            "index": reply.index,
            "term": reply.term,
            "body": reply.body.hex(),
        }
        datagram = header.pack() + reply.pack()
        recorded.append({"hex": datagram.hex(), "header": described_header(header), "replies": [described]})
    ((first, more, payload),) = pack_batches([(sequence, replies[0].pack()) for sequence in (4, 6)])
    header = Header(MessageType.CLIENT_REPLY, source=1, group=1, index=first, log_term=9, flags=more)
    recorded.append(
        {
            "hex": (header.pack() + payload).hex(),
            "header": described_header(header),
            "replies": recorded[0]["replies"] * 2,
        }
    )
    return recorded


def record_client_statuses() -> Json:
    from hosts.raft.message import MessageType
    from hosts.wire import FragmentStatus, Header

    recorded = []
    for status in (FragmentStatus(7, 5000, 0), FragmentStatus(7, 5000, 5000, ((0, 1344),))):
        header = Header(MessageType.CLIENT_FRAGMENT_STATUS, group=1, index=3, log_term=9)
        described = {
            "message_id": status.message_id,
            "total": status.total,
            "highest": status.highest,
            "missing": [list(one) for one in status.missing],
        }
        recorded.append({"hex": (header.pack() + status.pack()).hex(), "status": described})
    return recorded


def as_text(content: Json) -> str:
    """JSON with a line for each item of a list."""
    if isinstance(content, dict):
        parts = [f"{json.dumps(key)}: {as_text(value)}" for key, value in content.items()]
        return "{" + ",\n".join(parts) + "}"
    if isinstance(content, list):
        return "[\n" + ",\n".join(map(json.dumps, content)) + "]"
    return json.dumps(content)


def main(checkout: str, name: str) -> None:
    here = Path(__file__).resolve().parent
    os.chdir(checkout)
    os.environ["PYTHONPATH"] = checkout
    sys.path.insert(0, checkout)
    if (here / f"{name}-folders.tar.xz").exists():
        raise SystemExit(f"{name} is recorded already")
    (here / f"{name}-datagrams.json").write_text(as_text(record_datagrams()) + "\n")
    archive = here / f"{name}-folders.tar.xz"
    part = archive.with_suffix(".part")
    (here / f"{name}-folders.json").write_text(as_text(record_folders(part)) + "\n")
    shutil.move(part, archive)


if __name__ == "__main__":
    main(*sys.argv[1:3])
