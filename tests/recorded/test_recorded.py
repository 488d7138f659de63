"""What earlier versions wrote is read as they meant it: data folders by a real node, and datagrams."""

from __future__ import annotations

import json
import socket
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hosts.client.blocking import Client
from hosts.net.batches import MORE, unpack_batch
from hosts.net.seal import Seal, read_key
from hosts.raft.message import Message, MessageType
from hosts.raft.snapshot import Incoming, MemorySink
from hosts.service.requests import Reply, Request
from hosts.wire import (
    HEADER_BYTES,
    FragmentStatus,
    Header,
    pack_peer,
    unpack_fragment,
    unpack_members,
    unpack_peer,
)
from tests.hosts.conftest import DEADLINE_S, LocalCluster, eventually, make_cluster
from tests.recorded.record import brief, described_header, described_message

__all__ = ["make_cluster"]

HERE = Path(__file__).parent
VERSIONS = ["0.1"]

# -- data folders -------------------------------------------------------------------------------------------------

CLUSTERS: dict[str, dict[str, Any]] = {
    "compacted": {
        "members": 3,
        "spares": 1,
        "extra": "cluster: 77\nsnapshot_entries: 20\nkey_file: cluster.key",
    },
    "plain": {"members": 2, "extra": "cluster: 78\nsnapshot_entries: 0\nsnapshot_mib: 0"},
}


def unpack(archive: Path, name: str, folder: Path) -> None:
    """One of an archive's folders, as ``folder``."""
    trusted = {"filter": "data"} if sys.version_info >= (3, 12) else {}
    with tarfile.open(archive) as tar:
        wanted = [member for member in tar if member.name.split("/")[0] == name]
        tar.extractall(folder.parent, wanted, **trusted)
    (folder.parent / name).rename(folder)


def lines(cluster: LocalCluster, member: int, command: str) -> list[Any]:
    *items, last = cluster.ask(member, cmd=command)
    assert last["ok"]
    return items


def shown(cluster: LocalCluster, member: int) -> dict[str, Any]:
    """In the recording's terms."""
    members = cluster.ask(member, cmd="members")[0]["members"]
    return {
        "list": [[item["index"], item["term"], brief(item["value"])] for item in lines(cluster, member, "log")],
        "pairs": [[brief(item["key"]), brief(item["value"])] for item in lines(cluster, member, "kv")],
        "members": {one: {"votes": told["votes"]} for one, told in members.items()},
        "sessions": (cluster.group_status(member) or {})["sessions"],
    }


def ask_again(cluster: LocalCluster, member: int, asked: dict[str, Any]) -> Reply:
    """What a request gets that was carried out in the recording."""
    request = bytes.fromhex(asked["request"])
    sent = Header.unpack(request)

    def attempt() -> Reply | None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(1)
            asking.sendto(request, cluster.address(member))
            try:
                answer = asking.recv(2048)
            except TimeoutError:
                return None
        got = Header.unpack(answer)
        assert (got.index, got.log_term) == (sent.index, sent.log_term)
        return Reply.unpack(answer[HEADER_BYTES:])

    reply = eventually(attempt, "an answer")
    assert isinstance(reply, Reply)
    return reply


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CLUSTERS)
def test_a_data_folder_is_read(make_cluster: Callable[..., LocalCluster], version: str, name: str) -> None:
    recorded = json.loads((HERE / f"{version}-folders.json").read_text())[name]
    member = recorded["member"]
    cluster = make_cluster(**CLUSTERS[name])
    key = json.loads((HERE / f"{version}-datagrams.json").read_text())["key_file"]
    (cluster.folder / "cluster.key").write_text(key)
    cluster.data(member).parent.mkdir()
    unpack(HERE / f"{version}-folders.tar.xz", name, cluster.data(member))
    cluster.start(member)
    assert cluster.leader() == member, cluster.output(member)
    wanted = {part: recorded[part] for part in ("list", "pairs", "members", "sessions")}
    eventually(lambda: len(lines(cluster, member, "log")) >= len(wanted["list"]), "all is applied")
    assert shown(cluster, member) == wanted
    for asked in recorded["asked_again"]:
        before = Reply.unpack(bytes.fromhex(asked["answer"])[HEADER_BYTES:])
        assert ask_again(cluster, member, asked) == before, "answered from its session, not carried out again"
    assert shown(cluster, member) == wanted
    with Client([cluster.address(member)], timeout_s=DEADLINE_S) as client:
        client.append("goes on")
    cluster.kill(member)
    cluster.start(member)
    cluster.leader()
    eventually(lambda: len(lines(cluster, member, "log")) > len(wanted["list"]), "all is applied")
    assert [row[2] for row in shown(cluster, member)["list"]] == [*(row[2] for row in wanted["list"]), "goes on"]


# -- datagrams ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=VERSIONS)
def recorded(request: pytest.FixtureRequest) -> dict[str, Any]:
    read = json.loads((HERE / f"{request.param}-datagrams.json").read_text())
    assert isinstance(read, dict)
    return read


def split(datagram: str) -> tuple[Header, bytes]:
    packed = bytes.fromhex(datagram)
    return Header.unpack(packed), packed[HEADER_BYTES:]


def without(described: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in described.items() if name not in names}


def test_messages_between_members(recorded: dict[str, Any]) -> None:
    kinds = set()
    for one in recorded["members"]:
        header, payload = split(one["hex"])
        message = unpack_peer(header, payload, cluster=recorded["cluster"])
        assert header.group == one["group"]
        assert described_message(message) == without(one, "hex", "group")
        kinds.add(message.type)
    assert kinds == {kind for kind in MessageType if kind <= MessageType.FRAGMENT_STATUS}


def messages(recorded: dict[str, Any], kind: MessageType) -> list[Message]:
    found = []
    for one in recorded["members"]:
        if one["type"] == kind:
            header, payload = split(one["hex"])
            found.append(unpack_peer(header, payload, cluster=recorded["cluster"]))
    return found


def test_a_snapshots_chunks_and_the_members_in_it(recorded: dict[str, Any]) -> None:
    chunks = messages(recorded, MessageType.INSTALL_SNAPSHOT)
    incoming = Incoming(1, 12, 3, MemorySink())
    for chunk in chunks:
        assert incoming.take(chunk.commit, chunk.data, last=not chunk.more)
    assert incoming.complete and incoming.is_whole()
    snapshot = incoming.finish()
    assert snapshot is not None and snapshot.data == b"the state machine's data"
    configuration = snapshot.configuration
    membership = configuration.membership
    assert (set(membership.voters), set(membership.outgoing), set(membership.learners)) == ({1, 2}, {2, 3}, {4})
    assert (configuration.index, set(configuration.voters_next), set(configuration.voters_leaving)) == (7, {4}, {2})
    assert configuration.addresses == {1: b"10.0.0.1:26410", 2: b"10.0.0.2:26410", 3: b"", 4: b"10.0.0.4:1"}


def test_what_the_network_is_told_and_what_is_missing(recorded: dict[str, Any]) -> None:
    (told,) = messages(recorded, MessageType.CONFIGURATION)
    assert [(one.id, one.votes, one.address, one.port) for one in unpack_members(told.data)] == [
        (1, True, "10.0.0.1", 26410),
        (4, False, "10.0.0.4", 1),
    ]
    (status,) = messages(recorded, MessageType.FRAGMENT_STATUS)
    assert FragmentStatus.unpack(status.data) == FragmentStatus(2**63, 5000, 4800, ((0, 1328), (2656, 3984)))
    for one in recorded["client_statuses"]:
        header, payload = split(one["hex"])
        read = FragmentStatus.unpack(payload)
        assert header.type == MessageType.CLIENT_FRAGMENT_STATUS
        missing = [list(hole) for hole in read.missing]
        assert one["status"] == {
            "message_id": read.message_id,
            "total": read.total,
            "highest": read.highest,
            "missing": missing,
        }


def test_fragments(recorded: dict[str, Any]) -> None:
    whole = b""
    for datagram in recorded["fragments"]:
        header, payload = split(datagram)
        fragment = unpack_fragment(payload)
        assert header.is_fragment and (fragment.message_id, fragment.offset) == (2**64 - 1, len(whole))
        whole += fragment.data
        assert len(whole) <= fragment.total
    read = unpack_peer(header, whole, cluster=recorded["cluster"])
    wanted = next(one for one in messages(recorded, MessageType.APPEND_ENTRIES) if one.entries)
    assert read == wanted


def test_sealed_messages(recorded: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "key").write_text(recorded["key_file"])
    seal = Seal(read_key(tmp_path / "key"), recorded["cluster"], 1)
    for sealed, open_one in zip(recorded["sealed"], recorded["members"], strict=True):
        datagram = bytes.fromhex(sealed)
        source = datagram[3]
        assert seal.is_right(datagram) and seal.is_new(source, datagram) and not seal.is_new(source, datagram)
        message = unpack_peer(*split(open_one["hex"]), cluster=recorded["cluster"])
        header, payload = pack_peer(message, group=1, cluster=seal.cluster)
        assert datagram.startswith(header.pack() + payload), "the same bytes are sealed"
        assert not seal.is_right(bytes((datagram[0] ^ 1,)) + datagram[1:])


def parts(header: Header, payload: bytes) -> list[bytes]:
    return [part for _, part in unpack_batch(payload)] if header.flags & MORE else [payload]


def test_requests(recorded: dict[str, Any]) -> None:
    for one in recorded["requests"]:
        header, payload = split(one["hex"])
        assert described_header(header) == one["header"]
        read = [Request.unpack(part) for part in parts(header, payload)]
        for request in read:
            request.check_values()
        assert one["requests"] == [
            {
                "nonce": request.nonce,
                "operation": int(request.operation),
                "key": request.key.hex(),
                "value": bytes(request.value).hex(),
                "start": request.start,
                "limit": request.limit,
            }
            for request in read
        ]


def test_replies(recorded: dict[str, Any]) -> None:
    for one in recorded["replies"]:
        header, payload = split(one["hex"])
        assert described_header(header) == one["header"]
        assert one["replies"] == [
            {
                "nonce": reply.nonce,
                "outcome": int(reply.outcome),
                "leader": reply.leader,
                "index": reply.index,
                "term": reply.term,
                "body": reply.body.hex(),
            }
            for reply in (Reply.unpack(part) for part in parts(header, payload))
        ]
