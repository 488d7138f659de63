"""A page that goes on for long lets go of the oldest events: what is left is numbered anew, and still right."""

from __future__ import annotations

from tests.web.browser import Page

KEPT_US = 10_000_000
TIMES = 8
"""So often something is let go of."""

FORGETTING = """
const [kept, times, done] = arguments;
const whole = switchraft.run, { events, header } = whole, wrong = [], PART = 1700;
let copied = 0;
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function check(run, until) {
  const { gone } = run, last = run.events.length, state = run.stateAfter(last);
  const be = (what, holds) => { if (!holds) wrong.push(`${what}, after ${gone} events`); };
  const is = (i, kind, m) => run.events[i].k === kind && run.events[i].m === m;
  be("what is let go of", run.begin <= run.end - kept && events[gone] === run.events[0]);
  for (const i of [0, 1, 2000, last]) {
    be(`the state at ${i}`, same(run.stateAfter(i), whole.stateAfter(gone + i)));
    const line = whole.lastNotable(gone + i) - gone;
    be(`the line at ${i}`, run.lastNotable(i) === Math.max(-1, line));
  }
  const held = run.messages.filter(Boolean);
  const here = whole.messages.filter((one) => one && one.sent >= gone && one.sent < until);
  be("which messages are kept", same(held.map((one) => one.m), here.map((one) => one.m)));
  for (const one of held) {
    be(`message ${one.m} is sent`, is(one.sent, "sent", one.m));
    be(`message ${one.m} ends`, one.ended < 0 || (run.events[one.ended].m === one.m && one.last >= one.sent));
    const ways = run.drawing.flightsOf(one).filter((way) => one.ends && way.ended >= 0);
    const ends = ({ ended }) => one.ends.includes(ended) && run.events[ended].m === one.m;
    be(`copies of message ${one.m} end`, ways.every(ends));
    copied += ways.length > 1;
    be(`message ${one.m} passes`, (one.passedAt ?? []).every((i) => is(i, "passed", one.m)));
  }
  be("messages on their way", run.messagesBetween(run.begin, run.end).every((one) => held.includes(one)));
  for (const { call, answer } of run.calls.filter(Boolean)) {
    be("a call", run.events[call].k === "call");
    be("its answer", answer < 0 || run.events[answer].call === run.events[call].call);
  }
  for (const name of header.network.switches) {
    const hits = run.hits(name, state, last), all = whole.hits(name, state, gone + last);
    be(`hits of ${name}`, Object.keys(hits).every((key) => hits[key] >= 0 && hits[key] <= all[key]));
  }
}

import("page/run.js").then(({ Run }) => {
  const run = new Run(header);
  run.drawing = Object.create(switchraft.network, { run: { value: run } });
  for (let at = 0, forgot = 0; at < events.length && forgot < times; at += PART) {
    run.add(events.slice(at, at + PART));
    for (const one of run.messages.filter(Boolean)) run.drawing.flightsOf(one);
    if (run.end - run.begin < 2 * kept || !run.forget(run.end - kept)) continue;
    check(run, at + PART);
    forgot++;
  }
  done([wrong.slice(0, 5), run.gone, copied]);
}).catch((error) => done([[String(error)], 0, 0]));
"""


def test_a_run_that_lets_go_of_its_beginning_says_the_same_of_the_rest(page: Page) -> None:
    wrong, gone, copied = page.driver.execute_async_script(FORGETTING, KEPT_US, TIMES)
    assert wrong == []
    assert gone >= 10_000 and copied
