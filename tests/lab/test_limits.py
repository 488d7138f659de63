"""Limits of clients' requests in a running lab: what comes through, who suffers, and what outlasts a restart."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from tests.lab.conftest import Lab, wait

FLOOD = """
import socket, sys, time
from hosts.raft.message import MessageType
from hosts.wire import Header
to, count = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
request = Header(MessageType.CLIENT_REQUEST, group=1, index=1, log_term=1).pack() + bytes(40)
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
began = time.monotonic()
for number in range(count):
    own.sendto(request, to)
    time.sleep(0.0005)
print(time.monotonic() - began)
"""


def flood(lab: Lab, host: str, count: int) -> float:
    """Send requests from a host, whatever becomes of them; returns the seconds that took."""
    group = lab.live.topology.groups[0]
    python = (sys.executable, "-c", FLOOD)
    target = (str(group.service), str(lab.live.topology.port))
    return float(lab.run("exec", host, "--", *python, *target, str(count)))


def limits(lab: Lab) -> dict[str, dict[str, Any]]:
    held: dict[str, dict[str, Any]] = lab.json("limit")
    return held


def held_at(lab: Lab, switch: str) -> list[dict[str, Any]]:
    return lab.entries(switch, "client_limit")


@pytest.fixture(autouse=True)
def none_left(lab: Lab) -> Any:
    yield
    for host in limits(lab):
        lab.run("limit", host, "off")
    wait("no entry", lambda: held_at(lab, "s1") == [])


def limited_flood(lab: Lab, rate: int, count: int) -> None:
    """A flood from h11 gets no more through than the limit allows in the time that it took."""
    wait("the entry", lambda: held_at(lab, "s1") == [{"ingress_port": 2, "per_second": rate}])
    before = limits(lab)["h11"]
    began = time.monotonic()
    flood(lab, "h11", count)
    took = time.monotonic() - began
    after = limits(lab)["h11"]
    came, over = after["requests"] - before["requests"], after["over"] - before["over"]
    assert came == count
    allowed = rate * took + max(10, rate // 10)
    assert 0 < came - over <= allowed + 1, f"{came - over} of {count} passed in {took:.2f} s"
    assert over > 0


def test_a_limit_holds_and_another_client_is_not_touched(lab: Lab) -> None:
    lab.leader()
    assert lab.run("limit", "h11", "20/s") == "h11: 20/s\n"
    limited_flood(lab, 20, 1000)
    drops = lab.drops("s1")["over_limit"]
    flood(lab, "h22", 300)
    assert lab.drops("s1")["over_limit"] == drops and "over_limit" not in lab.drops("s2")
    lab.run("send", "from the other", "--from", "h22")
    lab.run("send", "from the limited one", "--from", "h11")
    assert "h11" in lab.run("status") and lab.json("status")["limits"] == {"h11": 20}
    assert lab.run("limit").startswith("h11      20/s")
    assert "requests over the limit, by port" in lab.run("counters")


def test_off_takes_it_away_and_so_does_the_feature(lab: Lab) -> None:
    lab.run("limit", "h11", "20/s")
    wait("the entry", lambda: held_at(lab, "s1") != [])
    lab.run("feature", "off", "client_limit")
    wait("no entry", lambda: held_at(lab, "s1") == [])
    before = lab.drops("s1").get("over_limit", 0)
    flood(lab, "h11", 300)
    lab.run("feature", "on", "client_limit")
    limited_flood(lab, 20, 300)
    after = lab.drops("s1")["over_limit"]
    assert after > before
    assert lab.run("limit", "h11", "off") == "h11: no limit\n"
    wait("no entry", lambda: held_at(lab, "s1") == [])
    flood(lab, "h11", 300)
    assert lab.drops("s1")["over_limit"] == after
    assert lab.run("limit") == "no host has a limit; to set one: switchraft limit h11 500/s\n"


def test_it_outlasts_a_restart_of_the_switch_and_of_the_controller(lab: Lab) -> None:
    lab.run("limit", "h11", "20/s")
    wait("the entry", lambda: held_at(lab, "s1") != [])
    lab.run("switch", "kill", "s1")
    lab.run("switch", "start", "s1")
    limited_flood(lab, 20, 300)
    lab.run("controller", "kill")
    lab.run("controller", "start")
    wait("the limit to be known", lambda: lab.json("status")["limits"] == {"h11": 20})
    limited_flood(lab, 20, 300)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("h11", "500"), "write whole requests per second as in 500/s, or off"),
        (("h11", "0/s"), "it must be from 1/s to"),
        (("h11", "1e9/s"), "write whole requests per second as in 500/s, or off"),
        (("h1", "500/s"), "a member runs on h1"),
        (("h8", "500/s"), "unknown host 'h8'"),
        (("h8",), "unknown host 'h8'"),
    ],
)
def test_mistakes_are_told_in_one_line(lab: Lab, arguments: tuple[str, ...], told: str) -> None:
    done = lab.try_("limit", *arguments)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1
