"""When the controller hints that a leader has ended: at its host's word, or if its host answers nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether

from controller import hints
from controller.control_socket import status
from controller.decisions import AskRegisters, Note, Output, Refresh, SendFrame, Standing, WaitForHost
from controller.desired import Leadership
from controller.leaders import Heard, Reading
from controller.network import parse
from controller.program import GONE_DIGEST, SILENCE_DIGEST, Program
from hosts.raft.message import MessageType
from hosts.raft.patience import Cause
from hosts.wire import Header
from tests.controller.stub_program import write_program
from tests.controller.test_decisions import FRESH, OLD, Bench
from tests.controller.triangle import Lab, triangle, until

MISSED_US = 125_000
TERM = 5


def led(leader: int = 1) -> Bench:
    bench = Bench()
    bench.lead(leader, TERM)
    return bench


def hinted(frames: list[SendFrame]) -> list[tuple[str, int, Header]]:
    """Switch, port and header of the hints among frames."""
    found = []
    for one in frames:
        packet = Ether(one.frame)
        if UDP in packet:
            found.append((one.switch, one.port, Header.unpack(bytes(packet[UDP].payload))))
    return found


def hint(member: int, cause: Cause, term: int = TERM) -> Header:
    return Header(MessageType.CAMPAIGN_HINT, 0, member, 1, term, commit=cause)


def answer(bench: Bench, sent: SendFrame) -> None:
    """The host answers an echo request."""
    packet = Ether(sent.frame)
    bench.decisions.echo_answered(sent.switch, packet[IP].dst, packet[ICMP].seq)


def wait(bench: Bench, host: str = "h1") -> list[SendFrame]:
    """A host had its time to answer; frames that follow."""
    bench.decisions.host_waited_for(host)
    return bench.take(SendFrame)


# -- frames -----------------------------------------------------------------------------------------------------


def test_a_hint_is_a_datagram_of_its_own_to_one_member() -> None:
    network = parse(triangle())
    (group,) = network.groups
    packet = Ether(hints.hint(network, group, group.members[1], 7, Cause.GONE))
    assert (packet.dst, packet.src) == ("00:00:00:00:02:02", "08:00:00:00:02:00")
    assert (packet[IP].src, packet[IP].dst, packet[IP].ttl) == (hints.ADDRESS, "10.0.2.2", 1)
    assert (packet[UDP].sport, packet[UDP].dport) == (26410, 26410)
    assert Header.unpack(bytes(packet[UDP].payload)) == Header(
        MessageType.CAMPAIGN_HINT, 0, 2, 1, 7, commit=Cause.GONE
    )
    sums = packet[IP].chksum, packet[UDP].chksum
    del packet[IP].chksum, packet[UDP].chksum
    built = Ether(bytes(packet))
    assert sums == (built[IP].chksum, built[UDP].chksum)


def test_an_echo_request_asks_one_host_and_its_answer_is_known() -> None:
    network = parse(triangle())
    packet = Ether(hints.echo_request(network, network.host("h3"), 0xABCD))
    assert (packet[IP].src, packet[IP].dst) == (hints.ADDRESS, "10.0.3.3")
    assert (packet[ICMP].type, packet[ICMP].id, packet[ICMP].seq) == (8, hints.IDENTIFIER, 0xABCD)
    checksum = packet[ICMP].chksum
    del packet[ICMP].chksum
    assert checksum == Ether(bytes(packet))[ICMP].chksum
    reply = Ether() / IP(src="10.0.3.3", dst=hints.ADDRESS) / ICMP(type=0, id=hints.IDENTIFIER, seq=0xABCD)
    assert hints.read_echo_reply(bytes(reply)) == ("10.0.3.3", 0xABCD)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        bytes(60),
        bytes(Ether() / IP(src="10.0.3.3", dst=hints.ADDRESS) / ICMP(type=0, id=1, seq=1)),
        bytes(Ether() / IP(src="10.0.3.3", dst=hints.ADDRESS) / ICMP(type=8, id=hints.IDENTIFIER, seq=1)),
        bytes(Ether() / IP(src="10.0.3.3", dst="10.0.1.1") / ICMP(type=0, id=hints.IDENTIFIER, seq=1)),
        bytes(Ether() / IP(src="10.0.3.3", dst=hints.ADDRESS, proto=17) / ICMP(type=0, id=hints.IDENTIFIER, seq=1)),
    ],
)
def test_other_frames_answer_nothing(frame: bytes) -> None:
    assert hints.read_echo_reply(frame) is None


def said(bench: Bench) -> list[Output]:
    """All that is done, but that switches are looked at anew: nobody is sent to a deserted host to read."""
    return [one for one in bench.decisions.take() if one != Refresh("")]


# -- a host's own word ------------------------------------------------------------------------------------------


def test_every_other_member_is_hinted_at_the_word_of_the_leaders_host() -> None:
    bench = led()
    bench.decisions.host_told("s1", "10.0.1.1", 0.0)
    outputs = bench.decisions.take()
    assert hinted([one for one in outputs if isinstance(one, SendFrame)]) == [
        ("s2", 1, hint(2, Cause.GONE)),
        ("s3", 1, hint(3, Cause.GONE)),
    ]
    (note,) = [one.text for one in outputs if isinstance(one, Note)]
    assert note == "group 1: leader h1, term 5: its host says that nobody is there; hinted to h2, h3"
    assert bench.decisions.hints == {(1, Cause.GONE): 1}


@pytest.mark.parametrize(
    ("switch", "address"), [("s2", "10.0.2.2"), ("s1", "10.0.1.11"), ("s2", "10.0.1.1"), ("s1", "10.0.9.9")]
)
def test_the_word_of_any_other_host_says_nothing(switch: str, address: str) -> None:
    bench = led()
    bench.decisions.host_told(switch, address, 0.0)
    assert said(bench) == []


def test_late_word_about_a_former_leader_says_nothing() -> None:
    bench = led()
    bench.lead(2, TERM + 1)
    bench.decisions.host_told("s1", "10.0.1.1", 0.0)
    assert said(bench) == []
    bench.decisions.leaders[1] = Leadership(0, TERM + 1)
    bench.decisions.host_told("s2", "10.0.2.2", 0.0)
    assert said(bench) == []


def test_only_the_groups_that_are_led_from_there_are_hinted() -> None:
    data = triangle()
    data["groups"].append({**data["groups"][0], "id": 2, "slot": 1, "service": None})
    bench = Bench()
    bench.decisions.network = parse(data)
    bench.decisions.leaders = {1: Leadership(1, 5), 2: Leadership(3, 9)}
    bench.decisions.host_told("s3", "10.0.3.3", 0.0)
    assert [(at, header.group, header.term) for at, _, header in hinted(bench.take(SendFrame))] == [
        ("s1", 2, 9),
        ("s2", 2, 9),
    ]


def test_a_member_whose_switch_is_away_gets_no_hint() -> None:
    bench = led()
    bench.decisions.standing_changed("s2", Standing.AWAY, bench.now)
    bench.decisions.take()
    bench.decisions.host_told("s1", "10.0.1.1", 0.0)
    assert [at for at, _, _ in hinted(bench.take(SendFrame))] == ["s3"]


def test_word_that_was_under_way_when_the_feature_was_taken_away_says_nothing() -> None:
    bench = led()
    bench.decisions.set_feature("leader_gone", False, "s1")
    bench.decisions.take()
    bench.decisions.host_told("s1", "10.0.1.1", 0.0)
    assert said(bench) == []


# -- a silent host ----------------------------------------------------------------------------------------------


def ask(bench: Bench, leader: int = 1, term: int = TERM, switch: str = "s2") -> list[SendFrame]:
    bench.decisions.silence_told(switch, 1, 0, Heard(leader, term))
    outputs = bench.decisions.take()
    sent = [one for one in outputs if isinstance(one, SendFrame)]
    waits = [one for one in outputs if isinstance(one, WaitForHost)]
    assert len(sent) == len(waits) and all(one.seconds == hints.ECHO_S for one in waits)
    return sent


def leave_unanswered(bench: Bench) -> list[AskRegisters]:
    """Both echo requests are lost; the questions that follow."""
    (first,) = ask(bench)
    (second,) = wait(bench)
    assert (first.switch, first.port) == (second.switch, second.port) == ("s1", 1)
    assert Ether(first.frame)[ICMP].seq != Ether(second.frame)[ICMP].seq
    bench.decisions.host_waited_for("h1")
    return bench.take(AskRegisters)


def test_members_are_hinted_if_the_host_answers_nothing_and_no_switch_hears_the_leader() -> None:
    bench = led()
    (asked,) = leave_unanswered(bench)
    assert asked.slot == 0 and not asked.inquiry
    readings = [Reading(1, TERM, MISSED_US + 1), Reading(1, TERM, OLD), Reading(0, 0, FRESH)]
    bench.decisions.registers_read(asked.ask, readings, bench.now)
    assert hinted(bench.take(SendFrame)) == [
        ("s2", 1, hint(2, Cause.CUT_OFF)),
        ("s3", 1, hint(3, Cause.CUT_OFF)),
    ]
    assert bench.decisions.hints == {(1, Cause.CUT_OFF): 1}


@pytest.mark.parametrize(
    "readings",
    [
        [],
        [Reading(1, TERM, MISSED_US)],
        [Reading(1, TERM, OLD), Reading(1, TERM, FRESH)],
        [Reading(1, TERM, OLD), Reading(2, TERM + 1, FRESH)],
    ],
)
def test_nobody_is_hinted_while_any_switch_hears_a_leader_or_none_answers(readings: list[Reading]) -> None:
    bench = led()
    (asked,) = leave_unanswered(bench)
    bench.decisions.registers_read(asked.ask, readings, bench.now)
    assert bench.take(SendFrame) == [] and bench.decisions.hints == {}


def test_nobody_is_hinted_if_another_leader_was_installed_meanwhile() -> None:
    bench = led()
    (asked,) = leave_unanswered(bench)
    bench.lead(2, TERM + 1)
    bench.decisions.registers_read(asked.ask, [Reading(1, TERM, OLD)], bench.now)
    assert bench.take(SendFrame) == []


@pytest.mark.parametrize("which", [0, 1])
def test_one_answer_is_enough(which: int) -> None:
    """A stopped process is silent, and its host's kernel answers."""
    bench = led()
    (sent,) = ask(bench)
    if which:
        (sent,) = wait(bench)
    answer(bench, sent)
    bench.decisions.host_waited_for("h1")
    assert [one.text for one in bench.take(Note)] == ["members miss h1, whose host answers"]
    assert len(ask(bench)) == 1, "it can be asked again"


@pytest.mark.parametrize(("switch", "address", "of"), [("s2", "10.0.1.1", 0), ("s1", "10.0.1.11", 0), ("s1", "", 9)])
def test_another_hosts_answer_or_one_to_another_request_does_not_count(switch: str, address: str, of: int) -> None:
    bench = led()
    (sent,) = ask(bench)
    packet = Ether(sent.frame)
    sequence = (packet[ICMP].seq + of) & 0xFFFF
    bench.decisions.echo_answered(switch, address or packet[IP].dst, sequence)
    assert len(wait(bench)) == 1, "it is asked once more"


def test_a_host_is_asked_by_one_inquiry_at_a_time_whoever_misses_it() -> None:
    bench = led()
    assert len(ask(bench)) == 1
    assert ask(bench, switch="s3") == ask(bench) == []


@pytest.mark.parametrize(("leader", "term"), [(2, TERM), (1, TERM - 1), (1, TERM + 1), (9, TERM)])
def test_the_silence_of_anybody_but_the_installed_leader_says_nothing(leader: int, term: int) -> None:
    assert ask(led(), leader, term) == []


@pytest.mark.parametrize(("group", "slot"), [(2, 0), (1, 7)])
def test_a_silence_of_an_unknown_group_is_warned_of(group: int, slot: int) -> None:
    bench = led()
    bench.decisions.silence_told("s2", group, slot, Heard(1, TERM))
    (note,) = bench.decisions.take()
    assert isinstance(note, Note) and note.warning


def test_a_host_whose_answers_would_not_come_is_not_asked() -> None:
    for spoil in ("away", "feature"):
        bench = led()
        if spoil == "away":
            bench.decisions.standing_changed("s1", Standing.AWAY, bench.now)
        else:
            bench.decisions.set_feature("leader_gone", False, "s1")
            bench.programmed()
        bench.decisions.take()
        assert ask(bench) == []


def test_what_a_host_leaves_unanswered_counts_only_while_its_answers_would_come() -> None:
    bench = led()
    ask(bench)
    wait(bench)
    bench.decisions.standing_changed("s1", Standing.AWAY, bench.now)
    bench.decisions.host_waited_for("h1")
    assert bench.take(AskRegisters) == []


def test_while_all_is_well_nothing_is_asked_or_sent() -> None:
    bench = led()
    for _ in range(50):
        outputs = bench.tick()
        bench.pass_probes(outputs)
        assert not any(isinstance(one, SendFrame | WaitForHost) for one in outputs)
        for one in outputs:
            if isinstance(one, AskRegisters):
                bench.decisions.registers_read(one.ask, [Reading(1, TERM, FRESH)], bench.now)


# -- the controller as it runs ----------------------------------------------------------------------------------


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    made = Lab(Program(*write_program(tmp_path)))
    await made.start()
    yield made
    await made.stop()


async def test_digests_become_echoes_and_hints(lab: Lab) -> None:
    async with lab.controller() as controller:
        await lab.programmed(controller)
        lab.all_hear(1, TERM)
        lab.s1.digest(1, 0, 1, TERM)
        await until(lambda: lab.led_by(1, TERM))
        lab.s1.send_digest(GONE_DIGEST, {"address": 0x0A000101})
        await until(lambda: lab.s2.to_hosts and lab.s3.to_hosts)
        lab.s1.answers_at.add(1)
        lab.s2.digest(1, 0, 1, TERM, SILENCE_DIGEST)
        await until(lambda: len(lab.s1.to_hosts) == 1)
        await until(lambda: "h1" not in controller.decisions._echoes)
        assert len(lab.s1.to_hosts) == 1 and len(lab.s2.to_hosts) == len(lab.s3.to_hosts) == 1
        lab.s1.answers_at.clear()
        for switch in lab.switches:
            switch.registers[0].age_us = OLD
        lab.s2.digest(1, 0, 1, TERM, SILENCE_DIGEST)
        await until(lambda: len(lab.s2.to_hosts) == len(lab.s3.to_hosts) == 2)
        assert len(lab.s1.to_hosts) == 3
        (shown,) = status(controller)["groups"]
        assert shown["hints"] == {"gone": 1, "cut_off": 1}
