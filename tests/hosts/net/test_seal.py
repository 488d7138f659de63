"""The cluster key: whose datagrams are believed, and only once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hosts.client.blocking import Client, ClientError
from hosts.net.congestion import INITIAL_DATAGRAMS
from hosts.net.seal import WINDOW, KeyFault, Seal, Window, next_boot, read_key
from hosts.net.transport import Handlers, Surroundings, Transport
from hosts.raft.message import Entry, EntryKind, Message, MessageType
from hosts.raft.patience import Cause
from hosts.wire import HEADER_BYTES, Flag, Header, pack_peer
from tests.hosts.memory_socket import MemorySocket

KEY = bytes(range(32))
CLUSTER = 9
VOTE = Message(MessageType.REQUEST_VOTE_REPLY, 1, 2, 7, log_term=7, round=3)
ADDRESSES = {1: ("10.0.0.1", 26410), 2: ("10.0.0.2", 26410), 3: ("10.0.0.3", 26410)}


def packed(message: Message, fanout: bool = False) -> bytes:
    header, payload = pack_peer(message, group=1, cluster=CLUSTER, fanout=fanout)
    return header.pack() + payload


# -- the key file -------------------------------------------------------------------------------------------------


def test_a_key_is_read_without_whitespace_around_it(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"0123456789abcdef\n")
    other.write_bytes(b"  0123456789abcdef")
    assert read_key(one) == read_key(other)
    other.write_bytes(b"0123456789abcdeF")
    assert read_key(one) != read_key(other)


def test_a_key_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(KeyFault, match="key: cannot be read: No such file"):
        read_key(path)
    path.write_bytes(b"short\n")
    with pytest.raises(KeyFault, match="5 bytes are too short for a key, which takes 16 or more; make one with"):
        read_key(path)
    path.write_bytes(bytes(5000))
    with pytest.raises(KeyFault, match="longer than"):
        read_key(path)
    with pytest.raises(KeyFault, match="directory"):
        read_key(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(KeyFault, match="key: cannot be read: it is a pipe, not a file"):
        read_key(path)


@pytest.mark.parametrize("content", [None, b"short"])
def test_a_node_without_its_key_does_not_start(make_cluster: Callable[..., Any], content: bytes | None) -> None:
    made = make_cluster(members=1, extra="key_file: cluster.key")
    if content is not None:
        (made.folder / "cluster.key").write_bytes(content)
    made.start()
    assert made.processes.pop(1).wait(60) == 1
    (line,) = made.output(1).splitlines()
    assert line.startswith(f"error: {made.folder}/cluster.key: "), "a relative path counts from the cluster file"


def test_every_life_has_a_higher_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "boot"
    first = next_boot(path)
    assert next_boot(path) > first
    monkeypatch.setattr(time, "time_ns", lambda: 5)
    assert next_boot(path) > first + 1, "also when the clock has gone back"
    path.write_text("garbage")
    assert next_boot(path) == 5


# -- the window -----------------------------------------------------------------------------------------------------


def test_a_window_takes_each_counter_once_in_any_order() -> None:
    window = Window(1)
    for counter in (1, 3, 2, 10, WINDOW, 4):
        assert window.admit(1, counter)
        assert not window.admit(1, counter)
    assert window.admit(1, WINDOW + 4)
    assert not window.admit(1, 4), "too old to tell"
    assert window.admit(1, 5), "the last one that can be told"
    assert window.admit(1, 10 * WINDOW) and not window.admit(1, 9 * WINDOW - 1) and window.admit(1, 9 * WINDOW + 1)


def test_a_new_life_begins_a_new_window_and_ends_the_old() -> None:
    window = Window(5)
    assert window.admit(5, 100)
    assert window.admit(6, 1) and not window.admit(6, 1)
    assert not window.admit(5, 101), "an earlier life's datagram is a replay, whatever its counter"
    assert window.admit(6, 2)


# -- the seal -------------------------------------------------------------------------------------------------------


def test_no_bit_can_be_changed() -> None:
    seal = Seal(KEY, CLUSTER, 1)
    sealed = seal.close_up(packed(VOTE))
    assert seal.is_right(sealed)
    for at in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[at] ^= 1 << bit
            assert not seal.is_right(bytes(changed)), f"byte {at}, bit {bit}"
    assert not seal.is_right(sealed[:-1]) and not seal.is_right(sealed + b"\0")


def test_keys_and_clusters_differ() -> None:
    sealed = Seal(KEY, CLUSTER, 1).close_up(packed(VOTE))
    assert not Seal(KEY[::-1], CLUSTER, 1).is_right(sealed)
    assert not Seal(KEY, CLUSTER + 1, 1).is_right(sealed)


def test_a_copy_for_each_member_is_right_and_only_of_a_fanout() -> None:
    seal = Seal(KEY, CLUSTER, 1)
    beat = Message(MessageType.APPEND_ENTRIES, 1, 255, 7, round=3)
    sealed = bytearray(seal.close_up(packed(beat, fanout=True)))
    for target in (255, 2, 3):
        sealed[4] = target
        assert seal.is_right(bytes(sealed))
    sealed[2] &= ~int(Flag.FANOUT)
    for target in (255, 2, 3):
        sealed[4] = target
        assert not seal.is_right(bytes(sealed)), "without the flag it is another message"


# -- the transport --------------------------------------------------------------------------------------------------


class Member:
    """A member's transport on a socket that a test moves datagrams in and out of."""

    def __init__(self, member: int, key: bytes | None = KEY, boot: int = 1) -> None:
        self.member = member
        self.socket = MemorySocket()
        self.heard: list[Message] = []
        self.hints: list[tuple[int, int, Cause]] = []
        peers = {1: {other: address for other, address in ADDRESSES.items() if other != member}}
        self.transport = Transport(
            member,
            ADDRESSES.get(member, ("10.0.0.4", 26410)),
            CLUSTER,
            peers,
            16 << 20,
            Handlers(
                lambda _, message: self.heard.append(message),
                lambda *_: None,
                lambda *_: False,
                lambda *_: None,
                lambda *hint: self.hints.append(hint),
            ),
            Surroundings(clock=lambda: 0.0, open_socket=lambda *_: self.socket),
            None if key is None else Seal(key, CLUSTER, boot),
            hints=True,
        )

    def send(self, message: Message) -> list[bytes]:
        self.transport.send_peer(1, message)
        sent, self.socket.sent = self.socket.sent, []
        return [datagram for datagram, _ in sent]

    def take(self, *datagrams: bytes, source: int = 1) -> dict[str, int]:
        """The drops since the last time."""
        before = dict(self.transport.drops)
        self.socket.waiting.extend((datagram, ADDRESSES[source]) for datagram in datagrams)
        self.transport.drain()
        return {k: n - before.get(k, 0) for k, n in self.transport.drops.items() if n != before.get(k, 0)}


def test_a_datagram_is_taken_once() -> None:
    one, two = Member(1), Member(2)
    (datagram,) = one.send(VOTE)
    assert two.take(datagram) == {} and two.heard == [VOTE]
    assert two.take(datagram, datagram) == {"replayed": 2} and two.heard == [VOTE]
    assert two.take(*one.send(VOTE)) == {} and len(two.heard) == 2, "the same message, sent again, is a new datagram"


def test_a_restarted_member_is_heard_and_its_former_life_is_not() -> None:
    one, two = Member(1, boot=1), Member(2)
    old = [*one.send(VOTE), *one.send(VOTE)]
    assert two.take(old[0]) == {}
    again = Member(1, boot=2)
    assert two.take(*again.send(VOTE)) == {}
    assert two.take(old[1]) == {"replayed": 1}
    assert Member(2, boot=2).take(old[1]) == {}, "who has just started cannot know better"


def test_a_vote_for_another_candidate_is_not_believed() -> None:
    """Retargeted on its way, and with the sums of IP and UDP made right."""
    one, three = Member(1), Member(3)
    (datagram,) = one.send(VOTE)
    assert three.take(datagram) == {"misdelivered": 1}
    assert three.take(datagram[:4] + b"\x03" + datagram[5:]) == {"bad_mac": 1}
    assert three.heard == []


def test_another_key_or_none_is_nobody() -> None:
    for sender, receiver, reason in [
        (Member(1, KEY[::-1]), Member(2), "bad_mac"),
        (Member(1, None), Member(2), "bad_mac"),
        (Member(1), Member(2, None), "malformed"),
    ]:
        entry = Entry(7, 1, EntryKind.COMMAND, b"x")
        beat = Message(MessageType.APPEND_ENTRIES, 1, 2, 7, entries=(entry,), round=1)
        for message in (VOTE, beat, Message(MessageType.TIMEOUT_NOW, 1, 2, 7)):
            assert receiver.take(*sender.send(message)) == {reason: 1}
        assert receiver.heard == []


def test_every_fragment_is_sealed() -> None:
    one, two = Member(1), Member(2)
    entry = Entry(7, 1, EntryKind.COMMAND, bytes(10_000))
    message = Message(MessageType.APPEND_ENTRIES, 1, 2, 7, entries=(entry,), round=1)
    datagrams = one.send(message)
    assert 1 < len(datagrams) <= INITIAL_DATAGRAMS + 1, "as many as may be on their way, and a probe of the path"
    forged = bytearray(datagrams[1])
    forged[HEADER_BYTES + 100] ^= 1
    assert two.take(datagrams[0], bytes(forged), datagrams[0]) == {"bad_mac": 1, "replayed": 1}
    assert two.take(*datagrams[1:]) == {} and two.heard == [message]


def test_a_short_datagram_has_no_seal() -> None:
    two = Member(2)
    bare = Header(MessageType.APPEND_ENTRIES, 1, 2, 1, term=7).pack()
    assert two.take(bare, bare + bytes(16)) == {"bad_mac": 2}


def test_a_hint_needs_no_seal_and_moves_no_term() -> None:
    """The controller has no key. What else comes without a seal is dropped as ever."""
    two = Member(2)
    assert two.take(Header(MessageType.CAMPAIGN_HINT, 0, 2, 1, term=7, commit=Cause.CUT_OFF).pack()) == {}
    assert two.hints == [(1, 7, Cause.CUT_OFF)] and two.heard == []


# -- a cluster ------------------------------------------------------------------------------------------------------


def test_members_with_a_key_serve_clients_without(make_cluster: Callable[..., Any]) -> None:
    made = make_cluster(extra="key_file: cluster.key")
    key = made.folder / "cluster.key"
    key.write_bytes(b"the secret of these three")
    made.start(1, 2)
    with made.client() as client:
        client.append("x" * 50_000)
        made.kill()
        key.write_bytes(b"the secret of someone else")
        made.start(3)
        made.await_running(3)
        key.write_bytes(b"the secret of these three")
        made.start(1)
        with Client(made.addresses, timeout_s=3) as hasty, pytest.raises(ClientError):
            hasty.append("no two have the same key")
        assert made.status(1)["counters"]["drops"]["bad_mac"] > 0
        made.start(2)
        client.append("two have")
        assert made.group_status(3)["last_index"] == 0
        made.kill(3)
        made.start(3)
        assert len(made.agree(2)) == 2
