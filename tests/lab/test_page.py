"""The lab's page in a browser, on a real lab: what a click does is done, drawn, and can be gone back to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.webdriver.common.by import By

from tests.lab.conftest import Lab, wait
from tests.live.living import LivePage
from topo import paths
from web import recording

LINK = "s1-s2"


def test_the_leader_is_killed_by_a_click(lab: Lab, live: LivePage) -> None:
    live.until(lambda: live.leader() == (lab.leader(), lab.term()))
    before = live.leader()
    assert before is not None
    host, term = before
    moment = live.js("return switchraft.player.t")
    live.choose("member", f"{host}/1")
    assert live.press(f"node kill {host}") == f"node {host} killed"
    assert live.same == f"switchraft node kill {host}"
    after = lab.leader(other_than=host)
    live.until(lambda: (live.leader() or ("", 0))[0] == after)
    assert live.leader() == (after, lab.term()) and lab.term() > term
    number = lab.live.topology.node_id(after)
    live.until(lambda: all(live.route(switch) == [number, lab.term()] for switch in ("s1", "s2", "s3")))
    heard = "return switchraft.state.switches.s2.registers['ingress.leader_watch.heard_leader[0]']"
    live.until(lambda: live.js(heard) == number)
    live.until(lambda: live.classes(f'#marks [data-on="{host}"][data-by="hand"]') == "by-hand")
    live.until(lambda: live.classes(f'#marks [data-on="{host}"][data-by="found"]') == "found-out")
    # What was, can be gone back to; and the present is still there.
    live.js("switchraft.player.pause(); switchraft.player.seek(arguments[0])", moment)
    live.frames()
    assert live.leader() == before and not live.js("return switchraft.live.following")
    assert live.classes(f'#marks [data-on="{host}"]') == ""
    live.driver.find_element(By.ID, "now").click()
    live.until(lambda: live.leader() == (after, lab.term()) and live.js("return switchraft.live.following"))
    assert live.press(f"node start {host}").startswith(f"node {host} started")
    live.until(lambda: live.js("return switchraft.state.members[arguments[0]].up", f"{host}/1"))
    live.until(lambda: live.classes(f'#marks [data-on="{host}"]') == "")
    live.quiet()


def test_a_link_cut_by_a_click_is_drawn_so_and_mended(lab: Lab, live: LivePage) -> None:
    wire = f'[data-link="{LINK}"]'
    live.choose_link(LINK)
    live.press("link down s1 s2 --one-way")
    assert live.same == "switchraft link down s1 s2 --one-way"
    arrow = f"{wire} .by-hand:has(.arrow)"
    live.until(lambda: "cut" in live.classes(wire) and live.classes(arrow))
    assert lab.live.links()["cut"] == ["s1-eth3"]
    live.press("link down s1 s2")
    live.until(lambda: not live.classes(arrow))
    assert "cut" in live.classes(wire) and set(lab.live.links()["cut"]) == {"s1-eth3", "s2-eth3"}
    live.until(lambda: "found" in live.classes(wire))
    label = live.js("return document.querySelector(arguments[0]).getAttribute('aria-label')", wire)
    assert "cut by hand" in label and "the controller holds" in label
    live.press("link up s1 s2")
    live.until(lambda: live.classes(wire).split() == ["wire", "chosen"])
    assert lab.live.links()["cut"] == []
    live.quiet()


def test_a_value_sent_in_the_page_stands_in_every_log(lab: Lab, live: LivePage) -> None:
    value = f'it\'s "{lab.term()}"'
    live.driver.find_element(By.ID, "value").send_keys(value)
    told = live.press("words")
    assert "is value" in told and live.same.startswith("switchraft send ")
    assert value in lab.equal_values()
    for host in ("h1", "h2", "h3"):
        live.until(
            lambda host=host: any(
                entry[2] == f"append {value}"
                for entry in live.js("return switchraft.state.members[arguments[0]].log.entries", f"{host}/1")
            )
        )
    live.js("document.getElementById('request').value = 'put'; document.getElementById('request').onchange()")
    live.driver.find_element(By.ID, "key").send_keys("colour")
    live.press("words")
    assert lab.json("get", "colour")["value"] == value
    live.quiet()


def test_switches_controller_features_members_and_leadership(lab: Lab, live: LivePage) -> None:
    live.choose("switch", "s3")
    live.press("switch kill s3")
    live.until(lambda: not live.js("return switchraft.state.switches.s3.up"))
    assert "programmed" in live.press("switch start s3")
    live.until(lambda: live.js("return Object.keys(switchraft.state.switches.s3.tables.ipv4_lpm ?? {}).length"))
    live.choose("controller", "controller")
    live.press("controller pause")
    live.until(lambda: live.classes('#marks [data-on="controller"]') == "by-hand")
    live.press("controller resume")
    live.js("switchraft.choose(null)")
    live.js("document.querySelector('#acts [aria-label=\"Feature of the switches\"]').value = 'leader_route'")
    buttons = {button.text: button for button in live.driver.find_elements(By.CSS_SELECTOR, "#acts button")}
    buttons["Off"].click()
    live.until(lambda: live.done == "leader_route: off")
    wait("no switch to steer", lambda: lab.entries("s1", "leader_route") == [])
    assert live.same == "switchraft feature off leader_route"
    buttons["On"].click()
    live.until(lambda: live.done == "leader_route: on")
    leader = lab.leader()
    other = next(name for name in lab.live.topology.members if name != leader)
    live.choose("member", f"{other}/1")
    assert live.press(f"transfer {other}") == f"{other} leads group 1"
    live.until(lambda: (live.leader() or ("", 0))[0] == other)
    live.quiet()


def test_what_cannot_be_done_is_told(lab: Lab, live: LivePage) -> None:
    answer = live.driver.execute_async_script(
        "const done = arguments[0]; switchraft.live.command(['link', 'down', 's1', 'h3']).then(done)"
    )
    assert answer == {"ok": False, "text": "there is no link between s1 and h3", "command": answer["command"]} | {
        "answer": answer["answer"]
    }


def test_two_pages_one_of_which_is_closed_under_way(lab: Lab, live: LivePage, served: Callable[[], str]) -> None:
    first = live.driver.current_window_handle
    live.driver.switch_to.new_window("tab")
    live.driver.get(live.js("return 'about:blank'"))
    live.enter(served())
    live.until(lambda: live.leader() is not None)
    live.js("switchraft.live.command(['node', 'pause', 'h3'])")
    live.driver.close()
    live.driver.switch_to.window(first)
    live.to_front()
    live.until(lambda: live.js("return switchraft.state.members['h3/1'].paused"))
    live.js("switchraft.live.command(['node', 'resume', 'h3'])")
    live.until(lambda: not live.js("return switchraft.state.members['h3/1'].paused"))
    live.js("switchraft.live.toNow()")
    live.until(lambda: live.js("return switchraft.live.following"))
    end = live.js("return switchraft.run.end")
    live.until(lambda: live.js("return switchraft.run.end") > end)
    live.quiet()


def test_a_recording_is_saved_that_view_opens(lab: Lab, live: LivePage, tmp_path: Path) -> None:
    live.until(lambda: live.js("return switchraft.run.end") > 2_000_000)
    file = tmp_path / "lab.rec"
    assert "events" in lab.run("web", "--save", str(file))
    found = recording.read(file)
    assert found.header["source"] == "lab"
    kinds = {event["k"] for event in found.events}
    assert {"member", "log", "sent", "passed", "received", "table", "counters", "controller", "sampled"} <= kinds
    html = tmp_path / "lab.html"
    lab.run("view", str(file), "--html", str(html))
    answer = live.driver.execute_async_script(
        "const done = arguments[0];"
        "fetch('run.rec?from=' + Math.round(switchraft.run.header.began * 1e6 + 500000),"
        " {headers: {'X-Switchraft-Key': localStorage.getItem('switchraft-key')}})"
        ".then((answer) => answer.arrayBuffer()).then((bytes) => done([...new Uint8Array(bytes.slice(0, 2))]))"
    )
    assert bytes(answer) == b"\x1f\x8b"
    first = live.driver.current_window_handle
    live.driver.switch_to.new_window("tab")
    try:
        live.open(html.as_uri())
        live.js("switchraft.player.seek(switchraft.run.end)")
        live.frames()
        assert live.leader() is not None
    finally:
        live.driver.close()
        live.driver.switch_to.window(first)


def test_the_page_goes_on_when_the_lab_is_started_anew(lab: Lab, live: LivePage) -> None:
    notes = "return switchraft.run.events.filter((e) => e.k === 'note').map((e) => e.text)"
    lab.run("stop")
    live.until(lambda: "the lab has ended" in live.js(notes))
    live.until(lambda: not any(live.js("return Object.values(switchraft.state.members).map((one) => one.up)")))
    lab.lab()
    live.until(lambda: any("the lab was started anew" in text for text in live.js(notes)))
    live.until(lambda: (live.leader() or ("", 0))[0] == lab.leader())
    live.choose("member", "h1/1")
    assert live.press("node pause h1") == "node h1 paused"
    assert live.press("node resume h1") == "node h1 resumed"
    live.quiet()


def test_the_lab_serves_the_page_by_itself(build_folder: Path, lab: Lab) -> None:
    """Where a page is served already, as here, the lab names that one; the address is good."""
    lab.run("stop")
    said = lab.lab("--web")
    (line,) = [line for line in said.splitlines() if line.startswith("Page, good once")]
    assert "http://127.0.0.1:" in line and "/open?code=" in line
    told: dict[str, Any] = json.loads((paths.lab() / "lab.json").read_text())
    assert not any("code=" in json.dumps(one) for one in told["processes"])
