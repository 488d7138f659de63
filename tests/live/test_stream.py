"""The living page without a lab: networks of every shape, and what becomes of a page that was away for too long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.living import LivePage, Stage, stage
from tests.web.browser import chromium
from topo.topology import Topology, find
from web import network
from web.window import Window

DESKTOP, PHONE = (1280, 720), (390, 844)
BYTES = 200_000
"""Of a small window's events."""
AWAY_BYTES = 50_000_000
"""More than all buffers between server and page hold; they come no faster than a page that reads takes them."""


def header(topology: Topology) -> dict[str, Any]:
    """A lab's, without its program."""
    return {
        "title": f"The lab: {topology.name}",
        "source": "lab",
        "network": network.describe(topology),
        "program": None,
        "began": time.time(),
    }


def at_rest(topology: Topology) -> Iterator[dict[str, Any]]:
    """All of it runs, and the first member leads."""
    for one in topology.switches:
        yield {"t": 0, "k": "switch", "who": one.name, "up": True}
    for number, name in topology.groups[0].members.items():
        role = "leader" if number == 1 else "follower"
        state = {"up": True, "role": role, "term": 1, "leader": 1, "commit": 1}
        yield {"t": 1, "k": "member", "who": name, "group": 1, "set": state}


def now_us(served: Stage) -> int:
    return int((time.time() - served.window.header["began"]) * 1e6)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePage]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield LivePage(driver)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["leaf-spine", "seven", "five", "line", "single", "triangle"])
def test_every_port_has_its_link_and_nothing_overlaps(name: str, size: tuple[int, int], browser: LivePage) -> None:
    topology = find(name)
    with stage(Window(header(topology))) as served:
        served.add(at_rest(topology))
        browser.size(*size)
        browser.enter(served.address())
        browser.frames(3)
        nodes = {*(host.name for host in topology.hosts), *(one.name for one in topology.switches), "controller"}
        assert browser.ask("nodes").keys() == nodes
        for question in ("overlaps", "through", "controls", "small", "cutOff"):
            assert browser.ask(question) == [], question
        drawn = [frozenset(ends) for ends in browser.ask("wires")]
        peers = {end: one for one in topology.links for end in ((one.a, one.a_port), (one.b, one.b_port))}
        hosts = {(host.switch, host.port): host for host in topology.hosts}
        for switch in topology.switches:
            for port in topology.ports(switch.name):
                at = switch.name, port
                ends = {peers[at].a, peers[at].b} if at in peers else {switch.name, hosts[at].name}
                assert drawn.count(frozenset(ends)) == 1, f"port {port} of {switch.name}"


def test_links_are_there_and_keep_the_focus_when_all_is_drawn_anew(browser: LivePage) -> None:
    """As when a panel opens or closes: at once, and not with the next drawing."""
    topology = find("triangle")
    with stage(Window(header(topology))) as served:
        served.add(at_rest(topology))
        browser.size(*DESKTOP)
        browser.enter(served.address())
        browser.frames(3)
        count, focused = browser.js(
            "document.querySelector('[data-link=\"s1-s2\"]').focus();"
            "const { network } = switchraft; network.width = 0; network.resize();"
            "return [document.querySelectorAll('.wire').length, document.activeElement.dataset.link];"
        )
        assert (count, focused) == (len(topology.links) + len(topology.hosts), "s1-s2")


def test_a_page_lets_go_of_what_the_server_remembers_no_more(browser: LivePage) -> None:
    topology = find("triangle")
    with stage(Window(header(topology), length_us=3_000_000)) as served:
        served.add(at_rest(topology))
        browser.size(*DESKTOP)
        browser.enter(served.address())
        browser.driver.get_log("browser")

        async def go_on() -> None:
            number = 0
            while True:
                number += 1
                t = now_us(served)
                served.window.add({"t": t, "k": "registers", "who": "s1", "set": [["r", number % 7, number]]})
                if number % 100 == 0:
                    served.window.add({"t": t, "k": "note", "who": "lab", "text": f"event {number}"})
                    await asyncio.sleep(0.1)

        going = served.begin(go_on())
        try:
            browser.until(lambda: browser.js("return switchraft.run.gone") >= 8000)
            held, kept = browser.js(
                "return [switchraft.run.events.length, switchraft.run.end - switchraft.run.begin]"
            )
            assert held < 8000 and kept < 6_500_000
            browser.js("switchraft.player.pause(); switchraft.player.seek(0)")
            browser.frames()
            began, at, places = browser.js(
                "const { run, player } = switchraft; const at = run.events[player.count - 1];"
                "return [run.begin, player.t, [at.t, run.notable.every((i) => run.events[i].k === 'note')]]"
            )
            assert at == began == places[0] and places[1]
            assert browser.leader() == ("h1", 1), "what was told before is still so"
            browser.js("document.getElementById('now').click()")
            browser.until(browser.is_current)
        finally:
            going.cancel()
        browser.quiet()


def test_a_page_that_was_away_for_longer_than_the_window_opens_the_stream_anew_and_says_so(browser: LivePage) -> None:
    topology = find("triangle")
    with stage(Window(header(topology), most_bytes=BYTES)) as served:
        served.add(at_rest(topology))
        browser.size(*DESKTOP)
        browser.enter(served.address())

        def is_current_with_news() -> bool:
            served.add([{"t": now_us(served), "k": "note", "who": "lab", "text": "all is well"}])
            return browser.is_current()

        browser.until(is_current_with_news)
        first = browser.js("return switchraft.run.header.began")
        browser.freeze(True)
        text = "x" * (BYTES // 10)

        async def go_on() -> None:
            while True:
                served.window.add({"t": now_us(served), "k": "note", "who": "lab", "text": text})
                await asyncio.sleep(0.002)

        before, going = served.window.next, served.begin(go_on())
        while served.window.next < before + AWAY_BYTES // len(text):
            time.sleep(0.05)
        browser.freeze(False)
        try:
            browser.until(lambda: "longer than the server remembers" in browser.news)
            browser.until(browser.is_current)
        finally:
            going.cancel()
        # Events came so fast that it may be on its way to yet another beginning.
        later = "return (globalThis.switchraft?.run?.header.began ?? 0) > arguments[0]"
        browser.until(lambda: browser.js(later, first))
