// The drawing of the network: members, switches, links, and messages on their way.
import { SIZES, isNarrow, layout } from "page/layout.js";
import { decode, summary } from "page/wire.js";

const NS = "http://www.w3.org/2000/svg";
const MOST_DOTS = 24; // with more messages on their way than that, links grow wider instead
const FLIGHT = 450; // milliseconds on the screen that a dot takes at least
const GONE = 700; // and a cross stays
const WORDS = 15; // how high the words at a member's foot are
const BESIDE = 13; // from a node to the middle of a dot that is there

export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export const termColour = (term) => (term ? `var(--term-${1 + ((Number(String(term).slice(-6)) - 1) % 8 + 8) % 8})` : "var(--term-0)");

const LETTERS = { leader: "L", candidate: "C", "pre-candidate": "P", follower: "F" };

/** An attribute is set only when it is another one. */
function set(element, name, value) {
  if (element[`_${name}`] === value) return;
  element[`_${name}`] = value;
  if (name === "text") element.textContent = value;
  else element.setAttribute(name, value);
}

export class NetworkView {
  /** `choose` is told what was clicked: {kind, id}. */
  constructor(place, run, choose) {
    this.place = place;
    this.run = run;
    this.choose = choose;
    this.nodes = {};
    this.dots = [];
    this.drawn = null; // told when all is drawn anew, with the link that had the focus: others draw on top
    this.svg = svg("svg", { role: "group", "aria-label": "Members, switches and messages" });
    place.replaceChildren(this.svg);
    this.resize();
    new ResizeObserver(() => this.resize()).observe(place);
  }

  resize() {
    const { width, height } = this.place.getBoundingClientRect();
    if (!width || (width === this.width && height === this.height)) return;
    this.width = width;
    this.height = height;
    this.narrow = isNarrow(this.run, width);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.at = layout(this.run, width, height);
    this.draw();
    if (this.shown) this.show(...this.shown);
  }

  draw() {
    const { name: focused, link } = document.activeElement?.dataset ?? {};
    this.svg.replaceChildren();
    this.links = []; // {line, load}
    this.between = {}; // the same, by the names of both ends
    this.paths = new Map(); // by the names of the places on it: messages share their paths
    this.nodes = {};
    const { network } = this.run;
    const lines = svg("g");
    const add = (a, b) => {
      const [from, to] = leg(this.at[a], this.at[b], 2);
      const line = svg("line", { class: "link", x1: from.x, y1: from.y, x2: to.x, y2: to.y, "stroke-width": 1.5 });
      lines.append(line);
      this.links.push((this.between[`${a} ${b}`] = this.between[`${b} ${a}`] = { line, load: 0 }));
    };
    for (const [a, , b] of network.links) add(a, b);
    for (const host of network.hosts) add(host.name, network.switches.length ? host.switch : "network");
    this.svg.append(lines);
    for (const [name, one] of Object.entries(this.at)) {
      const node = { member: memberNode, switch: switchNode, host: hostNode, controller: hostNode }[one.kind](name, one);
      const target = this.targetOf(name, one.kind);
      if (target) {
        node.root.addEventListener("click", () => this.choose(this.targetOf(name, one.kind)));
        node.root.addEventListener("keydown", (event) => {
          if (event.key === "Enter" || event.key === " ") {
            event.preventDefault();
            event.stopPropagation();
            this.choose(this.targetOf(name, one.kind));
          }
        });
      } else node.root.removeAttribute("tabindex");
      node.root.dataset.name = name;
      this.nodes[name] = node;
      this.svg.append(node.root);
    }
    this.layer = svg("g");
    this.svg.append(this.layer);
    this.dots = [];
    if (focused) this.nodes[focused]?.root.focus();
    this.drawn?.(link);
  }

  targetOf(name, kind) {
    if (kind === "member") {
      const group = [this.group, ...this.run.network.groups.map((one) => one.id)].find((id) => this.run.state.members[`${name}/${id}`]);
      return { kind, id: `${name}/${group}` };
    }
    return name === "network" ? null : { kind, id: name };
  }

  /** Draw a state, that after `count` events, at a time. `pace`: simulated microseconds in a millisecond on the screen, 0 when it stands. */
  show(state, count, t, group, pace, chosen, focus) {
    this.shown = [state, count, t, group, pace, chosen, focus];
    this.group = group;
    for (const [name, one] of Object.entries(this.at)) {
      const node = this.nodes[name];
      if (one.kind === "member") this.showMember(node, state, name, t);
      else if (one.kind === "switch" && state.switches[name]) {
        set(node.root, "class", `node${state.switches[name].up ? "" : " down"}${isChosen(chosen, one.kind, name) ? " chosen" : ""}`);
        set(node.root, "aria-label", `Switch ${name}${state.switches[name].up ? "" : ", down"}`);
      } else if (one.kind === "host") {
        const open = Object.values(state.calls).filter((call) => call.host === name).length;
        set(node.facts, "text", open ? `${name} · ${open}` : name);
        set(node.root, "aria-label", `Host ${name} of clients, ${open} calls open`);
        set(node.root, "class", `node${isChosen(chosen, one.kind, name) ? " chosen" : ""}`);
      } else if (one.kind === "controller") set(node.root, "class", `node${chosen?.kind === "controller" ? " chosen" : ""}`);
      if (one.kind === "member") set(node.root, "class", `${node.state}${chosen?.id?.startsWith?.(`${name}/`) ? " chosen" : ""}`);
    }
    this.showMessages(count, t, pace, focus);
  }

  showMember(node, state, name, t) {
    const member = state.members[`${name}/${this.group}`] ?? Object.values(state.members).find((one) => one.host === name);
    const alive = member.up && !member.paused;
    node.state = `node ${member.up ? member.role : "down"}${member.paused ? " paused" : ""}`;
    const colour = termColour(member.term);
    set(node.body, "d", shapeOf(member.up ? member.role : "down", node.r));
    set(node.body, "fill", member.up ? colour : "none");
    set(node.letter, "text", member.paused ? "‖" : member.up ? LETTERS[member.role] : "×");
    set(node.crown, "stroke", member.up && member.role === "leader" ? colour : "none");
    set(node.facts, "text", this.narrow ? `t${member.term} c${member.commit}` : `term ${member.term} · commit ${member.commit}`);
    let arc = "";
    if (alive && member.timer) {
      const left = 1 - (t - member.timer[0]) / member.timer[1];
      arc = arcPath(node.r + 7, Math.min(1, Math.max(0, left)));
    }
    set(node.arc, "d", arc);
    set(node.track, "visibility", arc || (alive && member.timer) ? "visible" : "hidden");
    const role = member.paused ? "paused" : member.up ? member.role : "down";
    set(node.root, "aria-label", `${name}: ${role}, term ${member.term}, commit ${member.commit}`);
  }

  /** The ways of a message through the drawing, each {path, end, ended, lost}: one; of a message that switches copy, one to each of its ends. */
  flightsOf(message) {
    if (message.path?.at !== this.at) message.path = message.ends ? { at: this.at, branches: this.branchesOf(message) } : this.pathOf(message);
    return message.path.branches ?? [{ path: message.path, end: message.end, ended: message.ended, lost: message.lost }];
  }

  pathOf(message) {
    const names = [message.event.who];
    for (const hop of message.hops ?? []) {
      const name = hop.slice(0, hop.indexOf(" "));
      if (name !== names.at(-1)) names.push(name);
    }
    if (!this.run.network.switches.length) names.push("network");
    const last = this.run.events[message.ended];
    const arrives = last?.k === "received" || (last && this.run.hosts[last.who] && last.who !== message.event.who);
    if (arrives) names.push(last.who);
    message.lost = last?.k === "dropped" && !arrives;
    return this.pathAlong(names);
  }

  /** Of a message that is copied: a copy has come from the switch behind the port at which it came in, so its ways are a tree. */
  branchesOf(message) {
    const { run } = this, sender = message.event.who, before = new Map(), found = new Map();
    for (const [name, port] of (message.hops ?? []).map((hop) => hop.split(" ", 2))) if (!before.has(name)) before.set(name, run.peers[`${name}:${port}`] ?? sender);
    const wayTo = (name) => {
      const names = [];
      for (let at = name; at && at !== sender && !names.includes(at); at = before.get(at)) names.unshift(at);
      return [sender, ...names];
    };
    const add = (names, end, ended, lost) => {
      const path = this.pathAlong(names);
      if (!found.has(path)) found.set(path, { path, end, ended, lost });
    };
    for (const i of message.ends) {
      const { k, who, t } = run.events[i], host = who === sender ? undefined : run.hosts[who];
      const names = host ? [...wayTo(run.network.switches.length ? host.switch : "network"), who] : wayTo(who);
      add(names, t, i, k === "dropped" && !host);
    }
    const isOn = (name) => [...found.keys()].some((path) => path.names.includes(name));
    for (const name of [...before.keys()].reverse()) if (!isOn(name)) add(wayTo(name), Infinity, -1, false);
    if (!found.size) add([sender], Infinity, -1, false);
    return [...found.values()];
  }

  pathAlong(along) {
    const key = along.join(" ");
    let path = this.paths.get(key);
    if (!path) {
      const names = along.filter((name) => this.at[name]), places = names.map((name) => this.at[name]);
      const legs = places.length === 1 ? [beside(places[0])] : places.slice(1).map((to, place) => leg(places[place], to, BESIDE));
      const links = names.slice(1).map((name, place) => this.between[`${names[place]} ${name}`]).filter(Boolean);
      this.paths.set(key, (path = { at: this.at, names, legs, links }));
    }
    return path;
  }

  showMessages(count, t, pace, focus) {
    // A dot is drawn slower than a packet is, or nobody would see it; so it may lag behind what it brings.
    const lag = FLIGHT * pace;
    const isDrawn = (one, end, ended) => t <= Math.max(end === Infinity ? one.t : end, one.t + lag) + (pace && this.run.events[ended]?.k === "dropped" ? GONE * pace : 0);
    const found = this.run.messagesBetween(t - Math.max(lag, GONE * pace), t).filter((one) => one.t <= t && one.m !== focus && isDrawn(one, one.end, one.ended));
    if (this.run.messages[focus]) found.push(this.run.messages[focus]); // the last: no other lies on it
    let dots = [];
    if (found.length <= MOST_DOTS) for (const one of found) dots.push(...this.dotsOf(one, count, t, lag, focus === one.m, pace, isDrawn));
    const many = found.length > MOST_DOTS || dots.length > MOST_DOTS;
    this.widen(many ? found : []);
    if (many) dots = [];
    dots.forEach(({ one, point, isThere, lost }, used) => this.dot(used, one, point, lost && isThere, focus === one.m));
    for (let at = dots.length; at < this.dots.length; at++) set(this.dots[at].root, "visibility", "hidden");
    this.count = found.length;
  }

  /** Where a message is, or its copies are; those that have not parted yet are one dot. */
  dotsOf(one, count, t, lag, focused, pace, isDrawn) {
    const flights = this.flightsOf(one).filter(({ path, end, ended }) => path.legs.length && (focused || isDrawn(one, end, ended)));
    const lasts = flights.map(({ end }) => Math.max(1, end === Infinity ? 0 : end - one.t, lag));
    const times = timesOf(flights, lasts), dots = new Map();
    flights.forEach(({ path, end, ended, lost }, at) => {
      const isThere = ended >= 0 && ended < count && t >= end, part = (t - one.t) / lasts[at];
      const share = !focused || pace ? Math.min(1, part) : isThere ? 1 : Math.min(1, Math.max(0.5, part));
      const point = along(path.legs, times[at], share * lasts[at]), place = `${point.x.toFixed(1)},${point.y.toFixed(1)}`;
      if (!dots.has(place) || lost) dots.set(place, { one, point, isThere: share >= 1, lost });
    });
    return dots.values();
  }

  widen(found) {
    for (const link of this.links) link.load = 0;
    for (const one of found) for (const link of new Set(this.flightsOf(one).flatMap(({ path }) => path.links))) link.load++;
    for (const { line, load } of this.links) set(line, "stroke-width", load ? Math.min(14, 1.5 + 1.6 * Math.sqrt(load)).toFixed(1) : "1.5");
  }

  dot(number, message, { x, y }, lost, focused) {
    let dot = this.dots[number];
    if (!dot) {
      dot = this.dots[number] = { root: svg("g", { class: "dot" }), body: svg("circle", { r: 10 }), cross: svg("path", { class: "cross", d: "M-9,-9L9,9M-9,9L9,-9" }), text: svg("text", { y: 4 }) };
      dot.root.append(dot.body, dot.text, dot.cross);
      dot.root.addEventListener("click", () => this.choose({ kind: "message", id: dot.m }));
      this.layer.append(dot.root);
    }
    // Nothing is kept of messages that are no longer drawn: there are a hundred thousand.
    const what = (dot.what = dot.m === message.m ? dot.what : decode(message.event.frame));
    dot.m = message.m;
    set(dot.root, "visibility", "visible");
    set(dot.root, "class", `dot${what.reply ? " reply" : ""}${lost ? " gone" : ""}`);
    set(dot.root, "transform", `translate(${x.toFixed(1)},${y.toFixed(1)})`);
    set(dot.body, "fill", what.client ? "var(--term-0)" : termColour(what.term));
    set(dot.body, "r", focused ? 13 : 10);
    set(dot.cross, "visibility", lost ? "inherit" : "hidden");
    set(dot.text, "text", what.reply ? what.letter.toLowerCase() : what.letter);
    set(dot.root, "aria-label", `${message.event.who}: ${summary(what)}`);
  }
}

const isChosen = (chosen, kind, name) => chosen?.kind === kind && chosen.id === name;

function node(name, { x, y }, label) {
  return svg("g", { class: "node", tabindex: 0, role: "button", transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`, "aria-label": label });
}

/** The middle of a node's body: a member's stands above its name. */
export function middleOf(place) {
  return place.kind === "member" ? place.y - place.h / 2 + (isSmall(place) ? 30 : 34) : place.y;
}

const isSmall = (place) => place.h < SIZES.member[1];

/** From the middle of a node's body to its rim, in a direction of length 1: what stands there is not covered. */
function toRim(place, dx, dy) {
  const side = (place.w / 2) / Math.max(1e-6, Math.abs(dx));
  if (place.kind !== "member") return Math.min(side, place.h / 2 / Math.max(1e-6, Math.abs(dy)));
  const foot = place.y + place.h / 2 - middleOf(place), isOnWords = dy > 0 && (Math.abs(dx) / dy) * (foot - WORDS) < place.w / 2 - 4;
  return isOnWords ? Math.min(side, foot / dy) : (isSmall(place) ? 17 : 21) + 9;
}

/** From one node to another: two points, so far from the rims, or in the middle of nodes that are close. */
function leg(a, b, gap) {
  const from = middleOf(a), to = middleOf(b), long = Math.hypot(b.x - a.x, to - from) || 1;
  const dx = (b.x - a.x) / long, dy = (to - from) / long;
  const first = toRim(a, dx, dy) + gap, last = toRim(b, -dx, -dy) + gap, share = Math.min(1, long / (first + last));
  return [{ x: a.x + dx * first * share, y: from + dy * first * share }, { x: b.x - dx * last * share, y: to - dy * last * share }];
}

/** Where a message is that has come nowhere. */
function beside(place) {
  const point = { x: place.x + toRim(place, 0.8, -0.6) * 0.8 + BESIDE, y: middleOf(place) - toRim(place, 0.8, -0.6) * 0.6 };
  return [point, point];
}

function memberNode(name, place) {
  const root = node(name, place, name);
  const r = isSmall(place) ? 17 : 21, y = middleOf(place) - place.y;
  const parts = {
    halo: svg("circle", { class: "halo", r: r + 11 }), track: svg("circle", { class: "track", r: r + 7 }), arc: svg("path", { class: "arc" }),
    crown: svg("circle", { class: "crown", r: r + 6 }), body: svg("path", { class: "body" }), letter: svg("text", { class: "letter", y: 7 }),
  };
  const middle = svg("g", { transform: `translate(0,${y})` }, ...Object.values(parts));
  const title = svg("text", { class: "name", y: place.h / 2 - 18 });
  title.textContent = name;
  const facts = svg("text", { class: "facts", y: place.h / 2 - 4 });
  root.append(middle, title, facts);
  return { root, ...parts, facts, r };
}

function switchNode(name, place) {
  const root = node(name, place, `Switch ${name}`);
  const text = svg("text", { y: 5 });
  text.textContent = name;
  root.append(svg("rect", { class: "halo", x: -place.w / 2 - 4, y: -place.h / 2 - 4, width: place.w + 8, height: place.h + 8, rx: 8 }),
    svg("rect", { class: "box", x: -place.w / 2, y: -place.h / 2, width: place.w, height: place.h, rx: 5 }), text);
  return { root };
}

function hostNode(name, place) {
  const root = node(name, place, name === "controller" ? "The controller" : `Host ${name}`);
  const text = svg("text", { y: 5 });
  text.textContent = name;
  root.append(svg("rect", { class: "halo", x: -place.w / 2 - 4, y: -place.h / 2 - 4, width: place.w + 8, height: place.h + 8, rx: 19 }),
    svg("rect", { class: "box", x: -place.w / 2, y: -place.h / 2, width: place.w, height: place.h, rx: 15 }), text);
  return { root, facts: text };
}

/** Roles by shape: a leader's body is an octagon, a candidate's a diamond, a follower's round, that of who is down a square. */
function shapeOf(role, r) {
  const corners = { leader: 8, candidate: 4, "pre-candidate": 4, down: 4 }[role];
  if (!corners) return `M${-r},0A${r},${r} 0 1 1 ${r},0A${r},${r} 0 1 1 ${-r},0Z`;
  const turn = role === "leader" ? Math.PI / 8 : role === "down" ? Math.PI / 4 : 0;
  const size = role === "down" ? r * 1.1 : r + 2;
  return `M${Array.from({ length: corners }, (_, n) => {
    const angle = turn + (n / corners) * 2 * Math.PI;
    return `${(size * Math.cos(angle)).toFixed(1)},${(size * Math.sin(angle)).toFixed(1)}`;
  }).join("L")}Z`;
}

/** What is left of a full turn, from the top. */
function arcPath(r, share) {
  if (share <= 0) return "";
  if (share >= 0.999) return `M0,${-r}A${r},${r} 0 1 1 -0.01,${-r}`;
  const angle = 2 * Math.PI * share;
  return `M0,${-r}A${r},${r} 0 ${share > 0.5 ? 1 : 0} 1 ${(r * Math.sin(angle)).toFixed(1)},${(-r * Math.cos(angle)).toFixed(1)}`;
}

/** When copies of a message come to the places on their ways, in microseconds since it was sent. As long as they go together they
    are as fast as the fastest of them needs to be. */
function timesOf(flights, lasts) {
  const times = flights.map(({ path: { legs } }, at) => legs.map((_, n) => (lasts[at] * (n + 1)) / legs.length));
  if (flights.length < 2) return times;
  const first = {};
  flights.forEach(({ path: { names } }, at) => times[at].forEach((time, n) => { first[names[n + 1]] = Math.min(first[names[n + 1]] ?? Infinity, time); }));
  return flights.map(({ path: { names } }, at) => times[at].map((_, n) => first[names[n + 1]]));
}

/** The point of a way at a time; `times`: when its legs end. No time passes in nodes. */
function along(legs, times, time) {
  const at = Math.min(legs.length - 1, times.filter((one) => one <= time).length), since = at ? times[at - 1] : 0;
  const part = Math.min(1, (time - since) / Math.max(1e-6, times[at] - since)), [from, to] = legs[at];
  return { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part };
}
