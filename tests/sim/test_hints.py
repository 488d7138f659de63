"""The simulated network carries ICMP through the switches where they have a use for it, and draws that apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from controller import hints
from controller.names import EndFate
from controller.program import GONE_DIGEST
from hosts.config import Hints
from hosts.net.udp import Refusal
from sim import frames, plan
from sim.events import SECOND
from sim.fabric import SimSwitch
from sim.frames import Sender
from sim.violation import Violation
from tests.sim.test_fanout import Lab, program

__all__ = ("program",)
H1, H2 = ("10.0.1.1", 26410), ("10.0.2.2", 26410)


class Told(Lab):
    """Keeps what switches tell, and what reaches sockets."""

    def __init__(self, program: Path) -> None:
        super().__init__(program, "triangle")
        self.lead(1)
        self.ends: list[tuple[str, str, tuple[int, ...]]] = []
        self.answers: list[tuple[str, bytes]] = []
        self.refusals: list[tuple[str, int, Refusal]] = []
        self.fabric.listener = self
        self.network._deliver_refusal = lambda *told: self.refusals.append(told)

    def packet_in(self, switch: SimSwitch, frame: bytes) -> None:
        self.answers.append((switch.name, frame[24:]))

    def digest(self, switch: SimSwitch, name: str, fields: tuple[int, ...]) -> None:
        self.ends.append((switch.name, name, fields))

    def run(self) -> None:
        self.scene.events.run(self.scene.events.now + SECOND)

    def host(self, name: str, ip: str = "") -> Sender:
        found = self.scene.plan.topology.host(name)
        return Sender(ip or str(found.ip), found.mac, found.gateway_mac)


def test_a_killed_members_kernel_tells_the_others_and_its_switch(program: Path) -> None:
    lab = Told(program)
    for _ in range(20):
        if not lab.refusals:
            lab.network.refuse("h1", 26410, H2, bytes(range(57)))
            lab.run()
    assert lab.refusals[0][:2] == ("h2", 26410) and lab.refusals[0][2][:2] == (H1, True)
    assert lab.refusals[0][2].quoted[:57] == bytes(range(57))
    assert ("s1", GONE_DIGEST, (0x0A000101,)) in lab.ends
    lab.fabric.switches["s1"].collect()
    assert lab.scene.counts[f"ends: {EndFate.TOLD.name.lower()}"] == len(lab.ends)


@pytest.mark.parametrize(
    ("at", "about"), [("h11", H1), ("h1", H2), ("h1", (H1[0], H1[1] + 1))], ids=["stranger", "host", "port"]
)
def test_a_lie_reaches_the_socket_and_is_told_to_nobody(program: Path, at: str, about: tuple[str, int]) -> None:
    lab = Told(program)
    lab.network.raw(at, frames.pack_refusal(lab.host(at, H1[0]), H2, about))
    lab.run()
    assert lab.ends == []
    assert [refusal for _, _, refusal in lab.refusals] == [Refusal(about, about[0] == H1[0])]


def test_a_digest_without_the_hosts_own_word_breaks_a_promise(program: Path) -> None:
    lab = Told(program)
    frame = frames.pack_refusal(lab.host("h1"), H2, H1)
    one = lab.fabric.switches["s1"]
    lab.fabric._check_own_word(one, 1, frame, 0x0A000101)
    for port, about, address in ((2, H1, 0x0A000101), (1, H2, 0x0A000101), (1, H1, 0x0A000202), (3, H1, 0x0A000101)):
        with pytest.raises(Violation):
            lab.fabric._check_own_word(one, port, frames.pack_refusal(lab.host("h1"), H2, about), address)


@pytest.mark.parametrize("cut", [None, "hears", "is heard"])
def test_a_host_answers_an_echo_request_unless_it_is_cut_off(program: Path, cut: str | None) -> None:
    lab = Told(program)
    request = hints.echo_request(lab.known, lab.known.host("h1"), 7)
    for other in ("h2", "h3"):
        if cut is not None:
            lab.network.conditions.cut[(other, "h1") if cut == "hears" else ("h1", other)] = 1
    lab.fabric.send_frame(lab.fabric.switches["s1"], 1, request)
    lab.run()
    answered = [(at, hints.read_echo_reply(frame)) for at, frame in lab.answers]
    assert answered == ([("s1", ("10.0.1.1", 7))] if cut is None else [])


def test_whether_switches_tell_of_ends_changes_nothing_else_of_a_plan() -> None:
    seen = set()
    for seed in range(60):
        drawn = plan.draw(seed)
        without = replace(drawn, features=drawn.features - {"leader_gone"}, hints=Hints.BOTH)
        again = plan._draw_network_hints(without)
        assert replace(again, features=without.features, hints=without.hints) == without
        seen.add(("leader_gone" in drawn.features, drawn.hints))
    assert {on for on, _ in seen} == {True, False} and {who for _, who in seen} >= {Hints.BOTH, Hints.NETWORK}
