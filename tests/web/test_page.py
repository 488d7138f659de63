"""What the page shows is what the recording holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from p4switch.pipeline.entities import Exact, Lpm, Replica
from p4switch.pipeline.pipeline import Pipeline
from p4switch.program_json import load_json
from p4switch.trace.events import Kind, Tracer
from p4switch.trace.journey import Lookup, Narrator
from sim.run import compile_program
from tests.web.browser import Page
from tests.web.folded import Folded, State
from web import one_file, recording
from web.recording import Writer, read_hop

SECOND = 1_000_000
MOMENTS = [0, 700_000, 2 * SECOND, 5_432_100, 11 * SECOND, 17_777_777, 30 * SECOND, 41_500_000, 59_999_000]


def shown_members(page: Page) -> dict[str, str]:
    """What the drawing says of each member."""
    found = page.ask("nodes")
    return {name: label for name, label in found.items() if ", term " in label}


def expected_members(state: State) -> dict[str, str]:
    labels = {}
    for (host, _), member in state.members.items():
        role = "paused" if member.get("paused") else member["role"] if member.get("up") else "down"
        labels[host] = f"{host}: {role}, term {member.get('term', 0)}, commit {member.get('commit', 0)}"
    return labels


def clock(page: Page) -> int:
    return round(float(page.ask("text", "clock").split()[0]) * SECOND)


def count(page: Page) -> int:
    return int(page.js("return switchraft.player.count"))


def test_it_opens_without_an_error_and_asks_nobody_else(
    browser: Page, serve: Callable[[Path], str], run_file: Path
) -> None:
    address = serve(run_file)
    browser.logs()
    browser.driver.get_log("performance")
    browser.open(address)
    browser.frames()
    assert browser.logs() == []
    messages = [json.loads(one["message"])["message"] for one in browser.driver.get_log("performance")]
    asked = {one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"}
    assert f"{address}run.rec" in asked
    assert {url for url in asked if not url.startswith((address, "data:", "about:"))} == set()


@pytest.mark.parametrize("t", MOMENTS)
def test_a_link_to_a_moment_shows_the_members_of_that_moment(t: int, page: Page, run: Folded) -> None:
    page.at(t / SECOND)
    assert shown_members(page) == expected_members(run.after(run.count_at(t)))
    assert clock(page) == t


@pytest.mark.parametrize("t", MOMENTS[2::3])
def test_a_member_opened_shows_its_log_and_what_the_leader_knows(t: int, page: Page, run: Folded) -> None:
    state = run.after(run.count_at(t))
    for (host, group), member in state.members.items():
        page.at(t / SECOND, f"member:{host}/{group}")
        texts = page.ask("fields")
        assert texts["term"] == str(member["term"])
        assert texts["commit"] == str(member["commit"])
        assert texts["applied"] == str(member["applied"])
        base, entries = state.logs.get((host, group), (0, []))
        shown = page.ask("log")
        expected = [
            (
                f"entry {index}, term {entry[0]}: {entry[1]} {entry[2]}",
                index <= member["commit"],
                index > member["durable"],
            )
            for index, entry in enumerate(entries, base + 1)
        ]
        held = [(title, "committed" in marks, "undurable" in marks) for title, marks in shown]
        assert held == expected[::-1][:40]
        if member.get("progress") and member["up"]:
            text = page.ask("text", "panel")
            for known in member["progress"].values():
                assert f"{known['match']}{known['next']}{known['mode']}" in text


@pytest.mark.parametrize("t", MOMENTS[1::2])
def test_a_switch_opened_shows_its_tables(t: int, page: Page, run: Folded) -> None:
    state = run.after(run.count_at(t))
    for name in run.header["network"]["switches"]:
        page.at(t / SECOND, f"switch:{name}")
        rows = [row[:3] for row in page.ask("entries")]
        expected = [
            [table, ", ".join(map(_shown_key, event["match"])), event["action"]]
            for table, entries in state.tables[name].items()
            for event in entries.values()
        ]
        shown = [[table, _numbers(match), action.split("(")[0]] for table, match, action in rows]
        assert sorted(shown) == sorted(expected)


def _shown_key(value: Any) -> str:
    return f"{value[0]}/{value[1]}" if isinstance(value, list) else str(value)


def _numbers(match: str) -> str:
    """Addresses as numbers again."""

    def number(found: re.Match[str]) -> str:
        return str(int.from_bytes(bytes(map(int, found[0].split("."))), "big"))

    return re.sub(r"\d+\.\d+\.\d+\.\d+", number, match)


def test_hits_are_counted_from_when_an_entry_is_there(page: Page, run: Folded) -> None:
    t = 30 * SECOND
    counted = run.count_at(t)
    name = run.header["network"]["switches"][0]
    ways = {event["id"]: event["steps"] for event in run.all("way")}
    tables = run.header["program"]["tables"]
    hits: dict[tuple[str, str], int] = {}
    for event in run.events[:counted]:
        if event["k"] == "switch" and event["who"] == name:
            hits = {}
        elif event["k"] == "table" and event["who"] == name and event["do"] == "insert":
            hits[event["table"], str(event["match"])] = 0
        elif event["k"] == "passed":
            for hop in map(read_hop, event["hops"]):
                for step in ways[hop.way] if hop.switch == name else ():
                    key = (
                        tables[step[1]]["name"].rsplit(".", 1)[-1] if step[0] == "table" else "",
                        str(step[3:4] and step[3]),
                    )
                    if key in hits:
                        hits[key] += 1
    page.at(t / SECOND, f"switch:{name}")
    shown = [[row[0], row[3]] for row in page.ask("entries")]
    held = {table: entries for table, entries in run.after(counted).tables[name].items() if entries}
    expected = [[table, hits[table, match]] for table, entries in held.items() for match in entries]
    assert sorted(shown) == sorted(expected)
    assert sum(number for _, number in shown) > 1000


def test_playing_goes_on_and_shows_the_state_of_where_it_is(page: Page, run: Folded) -> None:
    page.at(20.0)
    page.js("switchraft.player.speed = 1; document.getElementById('play').click()")
    page.until(lambda: clock(page) > 21 * SECOND)
    page.js("document.getElementById('play').click()")
    page.frames()
    t = clock(page)
    assert t > 21 * SECOND
    assert count(page) == run.count_at(t)
    assert shown_members(page) == expected_members(run.after(run.count_at(t)))


@pytest.mark.parametrize(
    ("kind", "is_one"),
    [
        ("election", lambda event: event["k"] == "member" and "role" in event["set"]),
        ("decision", lambda event: event["k"] == "controller" and "text" in event),
        ("drop", lambda event: event["k"] == "dropped"),
        ("call or answer", lambda event: event["k"] in ("call", "answer")),
    ],
)
def test_stepping_goes_from_one_event_of_a_kind_to_the_next_and_back(
    kind: str, is_one: Callable[[Any], bool], page: Page, run: Folded
) -> None:
    page.at(15.0)
    start = run.count_at(15 * SECOND)
    following = [at + 1 for at, event in enumerate(run.events) if at >= start and is_one(event)][:4]
    page.js("document.getElementById('kind').value = arguments[0]", kind)
    for expected in following:
        page.js("document.getElementById('step').click()")
        page.frames()
        assert count(page) == expected
        assert shown_members(page) == expected_members(run.after(expected))
    for expected in following[-2::-1]:
        page.js("document.getElementById('back').click()")
        page.frames()
        assert count(page) == expected
        assert shown_members(page) == expected_members(run.after(expected))


def test_a_link_made_while_stepping_leads_back_to_the_very_event(page: Page, run: Folded) -> None:
    page.at(15.0)
    page.js("document.getElementById('kind').value = 'any event'")
    made: dict[int, tuple[str, str]] = {}
    for _ in range(25):
        page.js("document.getElementById('step').click()")
        page.frames(1)
        made[count(page)] = (page.js("return switchraft.hash()"), page.ask("text", "line"))
    # The time alone leads to the last event of an instant, too; but then the line tells the last notable one.
    last = {at for at in made if run.count_at(run.events[at - 1]["t"]) == at}
    assert last and last < set(made)
    for at, (link, said) in made.items():
        page.at(3.0)
        page.js("location.hash = arguments[0]", link)
        page.until(lambda at=at: count(page) == at)
        page.frames()
        assert page.ask("text", "line") == said


# -- messages -----------------------------------------------------------------------------------------------------


def chosen_messages(run: Folded) -> list[tuple[int, int, recording.Hop]]:
    """Messages of many kinds, accepted and dropped: (m, event of passing, hop)."""
    frames = {event["m"]: event["frame"] for event in run.all("sent")}
    dropped = {event["m"]: event["why"] for event in run.all("dropped")}
    found: dict[Any, tuple[int, int, recording.Hop]] = {}
    for at, event in enumerate(run.events):
        if event["k"] == "passed" and event["t"] > 4 * SECOND:
            for number, text in enumerate(event["hops"]):
                found.setdefault(
                    (frames[event["m"]][86:88], number, dropped.get(event["m"])), (event["m"], at, read_hop(text))
                )
    return list(found.values())


def test_a_message_opened_shows_what_p4switch_trace_shows_of_the_same_bytes(page: Page, run: Folded) -> None:
    data = load_json(compile_program())
    frames = {event["m"]: bytes.fromhex(event["frame"]) for event in run.all("sent")}
    hops_of: dict[int, list[str]] = {}
    for event in run.all("passed"):
        hops_of.setdefault(event["m"], []).extend(event["hops"])
    chosen = chosen_messages(run)
    assert len(chosen) > 25
    template = Pipeline.load(data)
    tracer = Tracer(template, data)
    tracer.choose(most=0)
    narrator = Narrator(template, tracer.places)
    states = run.states(at for _, at, _ in chosen)
    for (m, at, hop), state in zip(chosen, states, strict=True):
        with Pipeline(template.program, template.built) as pipeline:
            tracer.pipeline = narrator.pipeline = pipeline
            _fill(pipeline, state, hop.switch)
            now = run.events[at]["t"] - state.up[hop.switch]
            events = tracer.step(hop.port, hop.frame(frames[m]), now)
            expected = _tables(narrator, events)
            outside = [event.number for event in events if event.kind is Kind.CONDITION]
            ports = [event.number for event in events if event.kind is Kind.SENT]
        texts = [text for event in run.events[at : at + 1] for text in event["hops"]]
        hops = hops_of[m]
        page.at(run.events[at]["t"] / SECOND, f"message:{m}")
        text = next(text for text in texts if read_hop(text) == hop)
        page.js("switchraft.chooseHop(arguments[0])", hops.index(text))
        page.frames(1)
        shown = page.ask("tables")
        assert shown == expected, (m, hop)
        steps = page.ask("steps")
        assert sum(kind == "if" for kind, _ in steps) == len(outside)
        assert [title for _, title in steps if title.startswith("Out ")] == [
            "Out to the controller" if port == 510 else f"Out by port {port}" for port in ports
        ]
    template.close()


def _fill(pipeline: Pipeline, state: State, switch: str) -> None:
    names = {name.rsplit(".", 1)[-1]: name for name in pipeline.program.tables}
    for table, entries in state.tables[switch].items():
        for event in entries.values():
            match = [Exact(one) if isinstance(one, int) else Lpm(*one) for one in event["match"]]
            action = f"{names[table].rsplit('.', 1)[0]}.{event['action']}"
            pipeline.insert(names[table], match, action, event["values"])
    # A recording has no multicast groups: where a tree's copies go is what there are entries for.
    copies = [event["match"] for event in state.tables[switch].get("fanout_copy", {}).values()]
    for event in state.tables[switch].get("append_fanout", {}).values():
        replicas = sorted((port, member) for group, port, member in copies if group == event["match"][0])
        pipeline.set_multicast_group(event["values"][1], [Replica(*one) for one in replicas])
    for (name, index), value in state.registers[switch].items():
        pipeline.set_register(name, index, value)


def _tables(narrator: Narrator, events: list[Any]) -> list[list[str]]:
    """[table, hit or miss, key values, action with parameters] of each table that was looked up."""
    return [
        [one.table, "hit" if one.hit else "miss", ", ".join(value for _, value in one.key), _call(one)]
        for one in narrator.lookups(events)
    ]


def _call(one: Lookup) -> str:
    if not one.action:
        return one.call
    params = ", ".join(f"{name} {int(value, 16) if value.startswith('0x') else value}" for name, value in one.params)
    return f"{one.action.rsplit('.', 1)[-1]}({params})"


# -- the file -----------------------------------------------------------------------------------------------------


def test_one_file_opens_from_disk_and_shows_the_same(
    browser: Page, run_file: Path, run: Folded, tmp_path: Path
) -> None:
    html = tmp_path / "run.html"
    one_file.write(run_file, html)
    browser.logs()
    browser.driver.get_log("performance")
    browser.open(html.as_uri())
    for t in MOMENTS[::3]:
        browser.at(t / SECOND)
        assert shown_members(browser) == expected_members(run.after(run.count_at(t)))
    m, at, _ = chosen_messages(run)[0]
    browser.at(run.events[at]["t"] / SECOND, f"message:{m}")
    assert browser.js("return document.querySelectorAll('.steps li.table').length")
    assert browser.logs() == []
    messages = [json.loads(one["message"])["message"] for one in browser.driver.get_log("performance")]
    asked = {one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith(("file:", "data:", "about:"))} == set()


def test_a_file_that_is_no_recording_is_told_in_a_line(
    browser: Page, serve: Callable[[Path], str], tmp_path: Path
) -> None:
    file = tmp_path / "run.rec"
    file.write_text("hello")
    browser.driver.get(serve(file))
    browser.until(lambda: "cannot be shown" in browser.ask("text", "line"))
    browser.logs()


# -- a broken promise -----------------------------------------------------------------------------------------------


def test_a_broken_invariant_stops_the_run_and_is_explained(
    browser: Page, serve: Callable[[Path], str], run: Folded, tmp_path: Path
) -> None:
    file = tmp_path / "broken.rec"
    cut = run.count_at(8 * SECOND)
    with Writer(
        file, {key: value for key, value in run.header.items() if key not in ("format", "version")}
    ) as writer:
        for event in run.events[:cut]:
            writer.write(event)
        t = run.events[cut - 1]["t"]
        writer.write({"t": t, "k": "broken", "rule": "log matching", "text": "member 1 holds another entry 5"})
        writer.write({"t": t + 500_000, "k": "end", "text": "broken: log matching"})
    browser.open(serve(file))
    browser.at(7.5)
    browser.js("switchraft.player.speed = 5; document.getElementById('play').click()")
    browser.until(lambda: not browser.js("return document.getElementById('panel').hidden"))
    browser.frames()
    assert clock(browser) == t
    assert not browser.js("return switchraft.player.playing")
    text = browser.ask("text", "panel")
    assert "log matching" in text and "member 1 holds another entry 5" in text
    assert "log matching" in browser.ask("text", "line")
    assert shown_members(browser) == expected_members(run.after(cut))


# -- the keyboard ---------------------------------------------------------------------------------------------------


def press(page: Page, *keys: str) -> None:
    for key in keys:
        ActionChains(page.driver).send_keys(key).perform()
    page.frames(3)


def test_everything_can_be_reached_and_done_by_keyboard(page: Page, run: Folded) -> None:
    page.at(15.0)
    page.js("document.activeElement.blur()")
    wanted = {
        *(host["name"] for host in run.header["network"]["hosts"]),
        *run.header["network"]["switches"],
        "controller",
        *("theme", "help", "play", "step", "back", "kind", "speed", "link", "timeline"),
    }
    reached: dict[str, int] = {}
    for at in range(2 * len(wanted)):
        press(page, Keys.TAB)
        name = page.js(
            "const e = document.activeElement; return e.dataset.name || e.id || e.closest('[id]')?.id || ''"
        )
        reached.setdefault(name, at)
    assert wanted <= reached.keys()

    for name in (*[host["name"] for host in run.header["network"]["hosts"]], *run.header["network"]["switches"]):
        page.js("document.querySelector(`[data-name='${arguments[0]}']`).focus()", name)
        press(page, Keys.ENTER)
        assert name in page.js("return document.querySelector('#panel h2').textContent")
        press(page, Keys.ESCAPE)
        assert page.js("return document.getElementById('panel').hidden")
        assert page.js("return document.activeElement.dataset.name") == name, "the focus returns"

    page.js("document.activeElement.blur(); document.getElementById('kind').value = 'message'")
    before = count(page)
    press(page, Keys.ARROW_RIGHT)
    assert run.events[count(page) - 1]["k"] == "sent"
    press(page, "m")
    assert page.js("return document.getElementById('panel').dataset.kind") == "message"
    press(page, Keys.ESCAPE, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert before < count(page)
    page.js("document.activeElement.blur()")
    press(page, Keys.SPACE)
    assert page.js("return switchraft.player.playing")
    press(page, Keys.SPACE)
    assert not page.js("return switchraft.player.playing")
    press(page, Keys.HOME)
    assert clock(page) == 0
    press(page, Keys.END)
    assert clock(page) == run.events[-1]["t"]
    speed = page.js("return switchraft.player.speed")
    press(page, "+")
    assert page.js("return switchraft.player.speed") > speed
    press(page, "-", "?")
    assert page.js("return document.getElementById('panel').dataset.kind") == "help"
    press(page, Keys.ESCAPE)


def test_a_call_and_a_decision_can_be_opened(page: Page, run: Folded) -> None:
    answer = next(event for event in run.all("answer") if event["outcome"] == "ok" and event["t"] > 10 * SECOND)
    call = next(event for event in run.all("call") if event["call"] == answer["call"])
    page.at(answer["t"] / SECOND, f"call:{call['call']}")
    text = page.ask("text", "panel")
    assert call["operation"] in text and answer["outcome"] in text and call["who"] in text
    decision = [event for event in run.all("controller") if "text" in event][-1]
    page.at(decision["t"] / SECOND, "controller:controller")
    assert decision["text"] in page.ask("text", "panel")
    page.js(
        """for (const one of document.querySelectorAll('#panel button, #panel a'))
        if (one.closest('tr')?.textContent.includes(arguments[0])) { one.click(); break; }""",
        decision["text"],
    )
    page.frames()
    assert decision["text"] in page.ask("text", "line")


NOT_THERE = ("message:999999999", "message:x", "call:999999999", "switch:s99", "broken:0", "else:1")


@pytest.mark.parametrize("see", NOT_THERE)
def test_a_link_to_what_is_not_there_leads_to_its_moment_alone(see: str, page: Page) -> None:
    page.logs()
    page.at(5.0, see)
    assert page.logs() == [] and clock(page) == 5 * SECOND
    assert page.js("return [switchraft.chosen, document.getElementById('panel').hidden]") == [None, True]
