"""Names of counters' indexes: the P4 program's own."""

from __future__ import annotations

import re

from controller.names import (
    AckFate,
    CopyFate,
    DropReason,
    EndFate,
    ack_name,
    end_name,
    fate_name,
    message_name,
    reason_name,
)
from hosts.raft.message import MessageType
from tests.controller.triangle import folder_of_repository


def _enumeration(path: str, name: str) -> dict[str, int]:
    text = (folder_of_repository() / path).read_text(encoding="utf-8")
    body = re.search(rf"enum bit<\d+> {name} \{{(.*?)\}}", text, re.DOTALL)
    assert body is not None
    return {found[1]: int(found[2]) for found in re.finditer(r"^\s*(\w+) = (\d+)", body[1], re.MULTILINE)}


def test_drop_reasons_are_those_of_the_program() -> None:
    reasons = _enumeration("p4/include/reasons.p4", "DropReason")
    assert {reason.name.lower(): reason.value for reason in DropReason} == reasons
    assert reason_name(10) == "stale_term"
    assert reason_name(31) == "reason 31"


def test_fates_of_copies_are_those_of_the_program() -> None:
    fates = _enumeration("p4/include/reasons.p4", "CopyFate")
    assert {fate.name.lower(): fate.value for fate in CopyFate} == fates
    assert fate_name(1) == "to_member"
    assert fate_name(7) == "fate 7"


def test_fates_of_acknowledgements_are_those_of_the_program() -> None:
    fates = _enumeration("p4/include/reasons.p4", "AckFate")
    assert {fate.name.lower(): fate.value for fate in AckFate} == fates
    assert ack_name(3) == "carried"
    assert ack_name(7) == "acknowledgement 7"


def test_fates_of_hosts_words_are_those_of_the_program() -> None:
    fates = _enumeration("p4/include/reasons.p4", "EndFate")
    assert {fate.name.lower(): fate.value for fate in EndFate} == fates
    assert end_name(1) == "too_soon"
    assert end_name(7) == "end 7"


def test_message_types_are_those_of_the_program() -> None:
    types = _enumeration("p4/include/constants.p4", "MessageType")
    assert {kind.name.lower(): kind.value for kind in MessageType} == types
    assert message_name(6) == "AppendEntriesReply"
    assert message_name(14) == "ReadIndexReply"
    assert message_name(15) == "type 15"
    assert message_name(31) == "types above 30"
