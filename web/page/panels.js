// What is shown of the thing that was clicked.
import { termColour } from "page/network.js";
import { decode, summary } from "page/wire.js";
import { fieldName, follow, readHop, short, valueText } from "page/ways.js";

export function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const facts = (...pairs) => html("dl", {}, ...pairs.filter(Boolean).flatMap(([name, value]) => [html("dt", {}, name), html("dd", {}, value instanceof Node ? value : String(value))]));

const rows = (heads, lines, numeric = []) => html("div", { class: "rows", tabindex: 0, role: "region", "aria-label": heads.join(", ") }, html("table", {},
  html("thead", {}, html("tr", {}, ...heads.map((head, at) => html("th", { class: numeric.includes(at) ? "number" : undefined, scope: "col" }, head)))),
  html("tbody", {}, ...lines.map((line) => html("tr", {}, ...line.map((cell, at) => html("td", { class: numeric.includes(at) ? "number" : undefined }, cell instanceof Node ? cell : String(cell))))))));

const seconds = (t) => `${(t / 1e6).toFixed(6)} s`;

/** A panel's title and content, for what was chosen; `app` has run, state, count, t, group and choose. */
export function panelOf(app) {
  return PANELS[app.chosen.kind](app, app.chosen.id);
}

/** Whether there is something to be shown: a link may name what never was, and a page that goes on lets go of the oldest. */
export function isThere({ run, state }, { kind, id }) {
  if (kind === "broken") return run.broken >= 0;
  const known = { switch: state.switches, message: run.messages, call: run.calls, host: run.hosts }[kind];
  return known ? known[id] !== undefined : Object.hasOwn(PANELS, kind);
}

const PANELS = { member, switch: aSwitch, message, call, host, controller, broken, help };

const link = (app, text, target) => html("button", { class: "plain", type: "button", onclick: () => app.choose(target) }, text);

function member(app, id) {
  const one = app.state.members[id];
  if (!one) return { title: id, content: [] };
  const { run } = app;
  const name = (number) => run.member(one.group, number) ?? (number ? `member ${number}` : "nobody");
  const role = one.paused ? "paused" : one.up ? one.role : "down";
  const content = [facts(
    ["Role", html("span", { "data-field": "role" }, role)],
    ["Term", html("span", { "data-field": "term" }, String(one.term))],
    ["Voted for", name(one.vote)],
    ["Leader", name(one.leader)],
    ["Committed", html("span", { "data-field": "commit" }, String(one.commit))],
    ["Applied", html("span", { "data-field": "applied" }, String(one.applied))],
    ["On disk", `up to entry ${one.durable}`],
    ["Snapshot", one.snapshot ? `up to entry ${one.snapshot.index}, term ${one.snapshot.term}` : "none"],
    ["Voters", one.voters.map(name).join(", ") + (one.outgoing.length ? `, joint with ${one.outgoing.map(name).join(", ")}` : "")],
    one.learners.length ? ["Learners", one.learners.map(name).join(", ")] : null,
    one.timer && one.up ? ["Election timer", `${Math.max(0, Math.round((one.timer[0] + one.timer[1] - app.t) / 1000))} ms left of ${Math.round(one.timer[1] / 1000)}`] : null,
  )];
  content.push(html("h3", {}, "Logs of the group, side by side"), logGrid(app, one));
  if (one.progress && one.up) {
    content.push(html("h3", {}, "What this leader knows of the others"), rows(["Member", "Match", "Next", "How"],
      Object.entries(one.progress).map(([number, known]) => [name(Number(number)), known.match, known.next, known.mode]), [1, 2]));
  }
  content.push(html("h3", {}, `The last entries of ${one.host}`), entriesOf(one));
  return { title: `${one.host}, member ${one.id} of group ${one.group}`, content };
}

/** Rows of members, columns of indexes: filled is committed, next is underlined. */
function logGrid(app, one) {
  const members = Object.values(app.state.members).filter((other) => other.group === one.group);
  const last = Math.max(...members.map((other) => other.log.base + other.log.entries.length));
  const first = Math.max(1, last - 8);
  const progress = one.progress ?? {};
  const indexes = Array.from({ length: Math.max(0, last - first + 1) }, (_, n) => first + n);
  const table = html("table", { class: "grid" },
    html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "Index"), ...indexes.map((index) => html("th", { scope: "col" }, String(index))))),
    html("tbody", {}, ...members.map((other) => html("tr", {}, html("th", { scope: "row" }, other.host), ...indexes.map((index) => {
      const entry = other.log.entries[index - other.log.base - 1];
      const compacted = index <= other.log.base;
      const next = progress[other.id]?.next === index ? " next" : "";
      if (!entry) return html("td", { class: next.trim() }, compacted ? "·" : "");
      const open = index > other.commit ? " open" : "";
      return html("td", { class: `has${open}${next}`, style: `--term:${termColour(entry[0])}`, title: `entry ${index}, term ${entry[0]}, ${open ? "not committed" : "committed"}` }, String(entry[0]).slice(-3));
    })))));
  return html("div", { class: "rows", tabindex: 0, role: "region", "aria-label": "Logs side by side" }, table,
    html("p", {}, "A cell's number is its entry's term. Filled: committed as far as that member knows. Underlined: what the leader sends next."));
}

function entriesOf(one) {
  const shown = one.log.entries.slice(-40);
  const first = one.log.base + one.log.entries.length - shown.length + 1;
  return html("div", { class: "log" }, ...shown.map((entry, at) => {
    const index = first + at;
    const classes = [index <= one.commit ? "committed" : "", index > one.durable ? "undurable" : ""].join(" ");
    return html("div", { class: classes.trim(), style: `--term:${termColour(entry[0])}`, title: `entry ${index}, term ${entry[0]}: ${entry[1]} ${entry[2]}` },
      html("small", {}, `${index} · t${entry[0]} `), html("span", {}, entry[2] || entry[1]));
  }).reverse());
}

function aSwitch(app, id) {
  const { run, state } = app;
  const one = state.switches[id];
  const isLab = run.header.source === "lab", hits = isLab ? {} : run.hits(id, state, app.count);
  const keysOf = Object.fromEntries(run.program.tables.map((table) => [short(table.name), table.key]));
  const content = [facts(
    ["State", one.up ? `up since ${seconds(one.since ?? 0)}` : "down"],
    ["Features", Object.entries(run.program.features).filter(([, tables]) => tables.some((table) => Object.keys(one.tables[table] ?? {}).length)).map(([name]) => name).join(", ") || "none"],
  )];
  for (const table of run.program.tables.map((each) => short(each.name)).filter((name) => one.tables[name] && Object.keys(one.tables[name]).length)) {
    const keys = keysOf[table] ?? [];
    const lines = Object.entries(one.tables[table]).map(([key, entry]) => [
      entry.match.map((value, at) => matchText(keys[at], value)).join(", "),
      `${entry.action}(${paramsOf(run, entry)})`, isLab ? "–" : hits[`${table} ${key}`] ?? 0,
    ]);
    content.push(html("h3", {}, table), html("div", { "data-table": table }, rows([keys.map((key) => key.name).join(", "), "Action", "Hits"], lines, [2])));
  }
  const registers = Object.entries(one.registers).map(([name, value]) => [name.split(".").slice(-2).join("."), value]);
  content.push(html("h3", {}, "Registers that are not zero"), registers.length ? rows(["Register", "Value"], registers, [1]) : html("p", {}, "None"));
  const counters = Object.entries(one.counters).map(([name, [packets, bytes]]) => [counterText(run, name), packets, bytes]);
  content.push(html("h3", {}, "Counters, read every two seconds"), counters.length ? rows(["Counter", "Packets", "Bytes"], counters, [1, 2]) : html("p", {}, "None yet"));
  return { title: `Switch ${id}`, content };
}

function matchText(key, value) {
  const [number, length] = Array.isArray(value) ? value : [value];
  return valueText(`${key?.name} ${key?.field}`, key?.width ?? 32, number) + (length === undefined ? "" : `/${length}`);
}

function paramsOf(run, entry) {
  const action = run.program.actions.find((one) => short(one.name) === entry.action);
  return (entry.values ?? []).map((value, at) => {
    const name = action?.params[at] ?? "";
    return `${name} ${valueText(name, /mac/.test(name) ? 48 : /address|ip/.test(name) ? 32 : 16, value)}`;
  }).join(", ");
}

function counterText(run, name) {
  const [, alias, index] = /([^.]+)\[(\d+)\]$/.exec(name);
  return alias === "drops" ? `drops: ${run.program.reasons[index] ?? index}` : `${alias}[${index}]`;
}

function message(app, m) {
  const { run } = app;
  const one = run.messages[m];
  const what = decode(one.event.frame);
  const last = run.events[one.ended];
  const hop = app.hop ?? endsAt(one, last);
  const ends = (one.ends ?? [one.ended]).map((i) => run.events[i]).filter(Boolean);
  const texts = ends.map((each) => html("div", { class: "end" }, endText(one, each)));
  const then = texts.length ? html("div", {}, ...texts) : "on its way when the recording ends";
  const content = [facts(
    ["What", summary(what)], ["From, to", `${what.from ?? one.event.who} → ${what.to ?? one.event.to ?? "?"}${one.ends ? ", for everybody: switches copy it" : ""}`], ["Sent", seconds(one.t)], ["Then", then],
    what.flags.length ? ["Flags", what.flags.join(", ")] : null,
    ["Bytes", html("details", {}, html("summary", {}, `${what.size}`), html("code", {}, one.event.frame.replace(/(.{8})/g, "$1 ")))],
  )];
  if (!one.hops?.length) {
    content.push(html("p", {}, run.network.switches.length ? "It has met no switch." : "There are no switches in this run."));
    return { title: `${what.name} from ${one.event.who}`, content };
  }
  app.live?.learn(one);
  const hops = one.hops.map((text, at) => ({ ...readHop(text), ...one.told?.hops?.[at] }));
  content.push(html("h3", {}, "Its way"), html("div", { role: "group", "aria-label": "Switches that it met" },
    ...hops.map((each, at) => html("button", { type: "button", "aria-pressed": String(at === hop), onclick: () => app.chooseHop(at) }, `${at + 1}. ${each.name}, port ${each.port}`))));
  const at = Math.min(hop, hops.length - 1), { name } = hops[at];
  if (hops[at].entries) content.push(html("p", { class: "said" }, html("b", {}, hops[at].said.join("; ") || "It ends there"), ` – worked out by a copy of ${name}, ${hops[at].entries}.`));
  for (const text of one.told?.ends ?? []) content.push(html("p", { class: "bad" }, text));
  if (hops[at].way) content.push(way(app, one, hops, at));
  else if (!app.live) content.push(html("p", {}, `Its ports are known; what the program did to it shows: switchraft trace ${name}`));
  else content.push(html("p", { class: "told" }, one.told?.error ? `What the program did to it cannot be said: ${one.told.error}` : "What the program did to it is being worked out…"));
  return { title: `${what.name} from ${one.event.who}`, content, wide: true };
}

/** How a message, or a copy of it, has ended. */
const endText = (one, e) => (e.k === "received" ? `received by ${e.who} after ${Math.round(e.t - one.t)} µs${e.copy ? ", once more" : ""}` : `ends at ${e.who}: ${e.why}`);

/** The hop to look at first: where the message was dropped, if a switch did that. */
function endsAt(one, last) {
  const at = last?.k === "dropped" ? (one.hops ?? []).findLastIndex((hop) => hop.startsWith(`${last.who} `)) : 0;
  return Math.max(0, at);
}

/** The step to look at first: the table that has dropped the packet, or else the last hit in a table of a feature. */
function tells(run, steps) {
  const features = Object.values(run.program.features).flat();
  const isTable = (step) => step.what === "table";
  const at = steps.some((step) => /dropped/i.test(step.title)) ? steps.findLastIndex(isTable)
    : steps.findLastIndex((step) => isTable(step) && step.hit && features.includes(short(step.table)));
  return [at, steps.findLastIndex((step) => isTable(step) && step.hit), steps.findIndex((step) => step.file), 0].find((one) => one >= 0);
}

/** The steps, beside the lines of the program. */
function way(app, one, hops, at) {
  const { run } = app;
  const steps = follow(run, one, hops[at], at);
  const source = html("div", { class: "source", tabindex: 0, role: "region", "aria-label": "The program" });
  const items = [];
  let shownFile = "";
  const point = (chosen) => {
    items.forEach((item, number) => item.classList.toggle("here", number === chosen));
    const { file, line } = steps[chosen];
    if (!file || !run.program.files[file]) return;
    if (shownFile !== file) {
      shownFile = file;
      source.replaceChildren(html("div", { class: "name" }, file), ...run.program.files[file].replace(/\n$/, "").split("\n").map((text, number) => html("div", { "data-line": number + 1 }, `${String(number + 1).padStart(3)}  ${text}`)));
    }
    for (const each of source.querySelectorAll(".here")) each.classList.remove("here");
    const target = source.querySelector(`[data-line="${line}"]`);
    target?.classList.add("here");
    if (target) source.scrollTop = target.offsetTop - source.clientHeight / 3;
  };
  steps.forEach((step, number) => items.push(html("li", { class: step.what, "data-table": step.table },
    html("button", { type: "button", onclick: () => point(number) }, step.title), ...details(step))));
  const list = html("ol", { class: "steps" }, ...items);
  requestAnimationFrame(() => {
    const first = tells(run, steps);
    point(first);
    list.scrollTop = items[first].offsetTop - 30;
  });
  return html("div", { class: "way" }, list, source);
}

function details(step) {
  const lines = [];
  if (step.what === "table") {
    for (const key of step.key) lines.push(html("div", { class: "detail", "data-key": key.name }, `${key.name} `, html("b", {}, valueText(key.name, key.width, key.value))));
    lines.push(html("div", { class: "detail" }, `${step.hit ? "does" : "nothing fits:"} `, html("b", { class: "does" }, !step.action ? "no action" : `${short(step.action)}(${step.params.map((one) => `${one.name} ${valueText(one.name, /mac/.test(one.name) ? 48 : one.width, one.value)}`).join(", ")})`)));
  }
  for (const change of step.changes) {
    if (change.added) {
      lines.push(html("div", { class: "detail" }, html("b", {}, `+ ${change.added}`), ` ${change.held.map((one) => `${one.field.split(".")[1]} ${valueText(one.field, one.width, one.after)}`).join(", ")}`));
    } else if (change.removed) lines.push(html("div", { class: "detail" }, html("b", {}, `− ${change.removed}`)));
    else lines.push(html("div", { class: "detail" }, `${fieldName(change.field)}: ${valueText(change.field, change.width, change.before)} → `, html("b", {}, valueText(change.field, change.width, change.after))));
  }
  return lines;
}

function call(app, id) {
  const { run } = app;
  const known = run.calls[id];
  const e = run.events[known.call], answer = run.events[known.answer];
  const answered = answer && known.answer < app.count;
  const content = [facts(
    ["Client", `${e.who} on ${e.host}, port ${e.port}`], ["Asks", [e.operation, e.key, e.value].filter(Boolean).join(" ")], ["Since", seconds(e.t)],
    ["Answer", answered ? `${answer.outcome}${answer.value ? `: ${answer.value}` : ""}` : "none yet"],
    answered ? ["After", `${((answer.t - e.t) / 1000).toFixed(2)} ms`] : null,
  )];
  if (answer?.session) {
    const address = `:${e.port}`;
    const found = run.messagesBetween(e.t, answer.t).map((one) => [one, decode(one.event.frame)])
      .filter(([, what]) => what.client && what.logTerm === answer.session && what.index === answer.sequence && (what.from?.endsWith(address) || what.to?.endsWith(address)))
      .sort(([a], [b]) => a.m - b.m);
    content.push(html("h3", {}, "Its messages"), found.length ? rows(["Sent", "What"], found.map(([one, what]) => [seconds(one.t), link(app, `${one.event.who} → ${run.events[one.ended]?.who ?? one.event.to}: ${summary(what)}`, { kind: "message", id: one.m })])) : html("p", {}, "They went together with others'."));
  }
  return { title: `A call of ${e.who}`, content };
}

function host(app, id) {
  const { run } = app;
  const t = app.t;
  const calls = run.calls.filter((one) => one && run.events[one.call].host === id && run.events[one.call].t <= t).slice(-60).reverse();
  const lines = calls.map((one) => {
    const e = run.events[one.call], answer = one.answer >= 0 && one.answer < app.count ? run.events[one.answer] : null;
    return [seconds(e.t), link(app, `${e.who}: ${[e.operation, e.key, e.value].filter(Boolean).join(" ")}`, { kind: "call", id: e.call }), answer ? answer.outcome : "open"];
  });
  return { title: `Clients on ${id}`, content: [html("p", {}, `${run.hosts[id].ip}; the last ${lines.length} calls up to now, the latest first.`), rows(["Since", "Call", "Answer"], lines)] };
}

function controller(app) {
  const { run, state } = app;
  const content = [];
  for (const [name, one] of Object.entries(state.controllers)) {
    if (!one.standing || !Object.keys(one.standing).length) continue;
    content.push(html("h3", {}, name === "controller" ? "What it knows" : `What ${name} knows`), facts(
      ...Object.entries(one.leaders ?? {}).map(([group, led]) => [`Leader of group ${group}`, led.leader ? `${run.member(Number(group), led.leader) ?? led.leader}, term ${led.term}` : "nobody"]),
      ["Links that work", (one.links ?? []).join(", ") || "none"], ["Features that are on", (one.features ?? []).join(", ") || "none"],
      ...Object.entries(one.standing).map(([which, standing]) => [which, standing]),
    ));
  }
  if (!content.length) content.push(html("p", {}, "There is no controller now: switches go on with what they hold."));
  const said = [];
  for (let at = run.notable.length - 1; at >= 0 && said.length < 30; at--) {
    const i = run.notable[at], e = run.events[i];
    if (i < app.count && e.k === "controller" && e.text) said.push([link(app, seconds(e.t), { kind: "moment", id: i }), e.text]);
  }
  content.push(html("h3", {}, "Its decisions up to now, the latest first"), rows(["When", "What"], said));
  return { title: "The controller", content };
}

function broken(app) {
  const e = app.run.events[app.run.broken];
  return { title: `Broken: ${e.rule}`, content: [
    html("p", { class: "bad" }, e.text),
    html("p", {}, `The run stops here, at ${seconds(e.t)}. The drawing shows the state in which it broke; step back to see how it came about, and click members to compare their logs.`),
    html("h3", {}, "The members then"), rows(["Member", "Role", "Term", "Commit", "Last"], Object.values(app.state.members).map((one) => [link(app, one.host, { kind: "member", id: `${one.host}/${one.group}` }), one.up ? one.role : "down", one.term, one.commit, one.last]), [2, 3, 4]),
  ] };
}

function help(app) {
  const keys = [["Space", "play, pause"], ["→, ←", "step to the next event of the kind chosen; back"], ["Shift → ←", "a second on, back"], ["Home, End", "the beginning, the end"], ["+, −", "faster, slower"], ["Tab, Enter", "go to a member, a switch, a client; open it"], ["M", "open the message that the line is about"], ["Esc", "close what is open"], ...(app.live ? [["H", "go to what may be done"]] : [])];
  return { title: "What is shown", content: [
    html("p", {}, app.run.header.title), html("p", {}, app.run.header.plan ?? ""),
    html("p", {}, "Members carry the colour of their term and the letter of their role: L a leader (eight corners, a ring), C a candidate and P one that asks before it becomes one (diamonds), F a follower (round), × one that is down (a square). The arc around a member is what is left of its election timeout. Where there is little room, t3 c5 stands for term 3, commit 5: all entries up to the fifth are committed. The number behind a client host's name is how many of its calls are open."),
    html("p", {}, "Dots are messages, in their term's colour: A AppendEntries, V RequestVote, P PreVote, S snapshots, T TimeoutNow, C clients'. Small letters with a light ring are answers. They are drawn slower than they are; a cross means that the message was dropped or lost. What a leader sends to everybody is one dot until a switch copies it, then one on each way. When there are many, links grow wider instead."),
    html("p", {}, "The line of time shows who led in which term, faults in red below, then elections (tall marks), the controller's decisions, and drops for a stale term."),
    ...(app.live ? [html("p", {}, "Red, with a cross: broken by hand. Amber, with a mark: found out by the cluster itself. Choose a link, a member, a switch or the controller to break and mend it; the command of the shell stands beside it.")] : []),
    html("h3", {}, "Keys"), rows(["Key", "What"], keys.map(([key, text]) => [html("kbd", {}, key), text])),
  ] };
}
