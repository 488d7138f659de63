"""Members as a leader tells them: what is believed, and what becomes of a group."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from controller.desired import Leadership, desired_entries, installed_members
from controller.members import MembersTold, followed, is_news, unpack, with_installed
from controller.network import parse
from hosts.raft.message import EVERYBODY, MessageType
from hosts.wire import Header, ToldMember, WireError, pack_members, unpack_members
from tests.controller.test_desired import _view
from tests.controller.triangle import triangle

TRIANGLE = parse(triangle())

GROUP = TRIANGLE.groups[0]
MEMBERS = (
    ToldMember(1, True, "10.0.1.1", 26410),
    ToldMember(2, True, "10.0.2.2", 26410),
    ToldMember(4, False, "10.0.2.22", 26410),
)


def frame(kind: MessageType = MessageType.CONFIGURATION, data: bytes = pack_members(MEMBERS)) -> bytes:
    return bytes(42) + Header(kind, 1, EVERYBODY, 1, 7, index=30).pack() + bytes(16) + data


def test_a_message_is_read_from_its_frame() -> None:
    assert unpack(frame()) == MembersTold(1, 1, 7, 30, MEMBERS)
    assert unpack(frame(data=pack_members(MEMBERS) + b"a MAC of some kind")) == MembersTold(1, 1, 7, 30, MEMBERS)


@pytest.mark.parametrize(
    "bad",
    [b"", bytes(42), frame()[:90], frame(MessageType.TIMEOUT_NOW), frame(data=b""), frame(data=b"\x03" + bytes(9))],
)
def test_anything_else_is_none(bad: bytes) -> None:
    assert unpack(bad) is None


def test_a_list_cut_short_is_an_error() -> None:
    for length in range(len(pack_members(MEMBERS))):
        with pytest.raises(WireError):
            unpack_members(pack_members(MEMBERS)[:length])


@pytest.mark.parametrize(
    ("source", "term", "index", "news"),
    [
        (1, 7, 31, True),
        (1, 7, 30, False),
        (1, 7, 29, False),
        (2, 7, 40, False),
        (1, 6, 40, False),
        (3, 8, 2, True),
    ],
)
def test_the_installed_leader_is_believed_and_the_highest_index_wins(
    source: int, term: int, index: int, news: bool
) -> None:
    last = MembersTold(1, 1, 7, 30, MEMBERS)
    assert is_news(MembersTold(1, source, term, index, MEMBERS), Leadership(1, 7), last) is news


def test_after_a_wipe_lower_terms_are_believed_once_their_leader_is_installed() -> None:
    last, told = MembersTold(1, 1, 57, 900, MEMBERS), MembersTold(1, 2, 1, 1, MEMBERS)
    assert not is_news(told, Leadership(1, 57), last)
    assert is_news(told, Leadership(2, 1), last)


def test_entries_follow_the_members() -> None:
    group, strangers = followed(TRIANGLE, GROUP, (*MEMBERS, ToldMember(9, True, "192.0.2.9", 26410)))
    assert strangers == ("192.0.2.9",)
    assert [(member.id, member.host, member.votes) for member in group.members] == [
        (1, "h1", True),
        (2, "h2", True),
        (4, "h22", False),
    ]
    assert group.quorum == 2


def test_no_known_member_at_all_changes_nothing() -> None:
    assert followed(TRIANGLE, GROUP, (ToldMember(9, True, "192.0.2.9", 26410),))[0] == GROUP


def test_a_restarted_controller_takes_members_from_entries() -> None:
    group, _ = followed(TRIANGLE, GROUP, MEMBERS)
    network = type(TRIANGLE)(**{**vars(TRIANGLE), "groups": (group,)})
    found = list(installed_members(desired_entries(network, "s2", _view())))
    assert found == [(1, 2, int(IPv4Address("10.0.2.2"))), (1, 4, int(IPv4Address("10.0.2.22")))]
    merged = GROUP
    for _, member_id, address in found:
        merged = with_installed(TRIANGLE, merged, member_id, address)
    assert [member.id for member in merged.members] == [1, 2, 3, 4]
    assert with_installed(TRIANGLE, GROUP, 9, int(IPv4Address("192.0.2.9"))) == GROUP
