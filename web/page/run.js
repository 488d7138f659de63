// A whole run: its events, and what is needed to find one's way in them. The state at any moment is that of the
// keyframe before it, and the changes since.
import { State } from "page/state.js";
import { hitsOf } from "page/ways.js";
import { isForAll } from "page/wire.js";

const EVERY = 2000; // events between keyframes
const BUCKET = 50_000; // microseconds; messages are found by the time in which they are on their way
const LONGEST = 2_000_000; // a message that never arrives is looked for no longer

export class Run {
  constructor(header) {
    this.header = header;
    this.network = header.network;
    this.program = header.program;
    this.events = [];
    this.keyframes = [];
    this.messages = [];
    this.buckets = [];
    this.ways = [{ steps: [], hits: [] }]; // 0: nobody has followed it
    this.calls = [];
    this.taken = {}; // by switch and way: in which events a packet took it, by their numbers from the run's first one on
    this.notable = []; // numbers of events that are worth a line while the run plays
    this.leaders = []; // {group, term, host, from, to}
    this.faults = []; // {from, to, what}
    this.marks = { election: [], decision: [], drop: [] };
    this.begin = 0; // the time of the oldest event that is here
    this.gone = 0; // how many events were let go before it
    this.end = 0;
    this.broken = -1;
    this.complete = false;
    this.state = new State(header);
    this.hosts = Object.fromEntries(this.network.hosts.map((host) => [host.name, host]));
    this.peers = {};
    for (const [a, aPort, b, bPort] of this.network.links) {
      this.peers[`${a}:${aPort}`] = b;
      this.peers[`${b}:${bPort}`] = a;
    }
  }

  /** Take the next events, in order. */
  add(events) {
    for (const e of events) {
      const i = this.events.length;
      if (i % EVERY === 0) this.keyframes.push(this.state.copy());
      this.events.push(e);
      this.end = e.t;
      this.index(e, i);
      this.state.apply(e, this.gone + i);
    }
  }

  done() {
    this.complete = true;
    for (const one of this.leaders) one.to ??= this.end;
    for (const one of this.faults) one.to = Math.min(one.to, this.end);
  }

  index(e, i) {
    const message = e.m === undefined ? undefined : this.messages[e.m];
    switch (e.k) {
      case "sent": {
        const one = { m: e.m, sent: i, t: e.t, end: Infinity, last: i, hops: null, passedAt: null, ended: -1, event: e, path: null, lost: false, ends: isForAll(e.frame) ? [] : null };
        this.messages[e.m] = one;
        this.put(one, e.t);
        break;
      }
      case "passed":
        if (message) {
          message.path = null;
          message.hops = message.hops ? message.hops.concat(e.hops) : e.hops;
          message.passedAt = (message.passedAt ?? []).concat(e.hops.map(() => i));
        }
        this.indexHops(e.hops, i);
        break;
      case "received": case "dropped":
        if (message) {
          message.path = null;
          if (message.ended < 0 || e.k === "received" || message.ends) this.endAt(message, e.t, i);
          message.ends?.push(i);
          message.last = i;
        }
        if (e.k === "dropped" && e.why === "stale_term") { this.marks.drop.push(e.t); this.notable.push(i); }
        break;
      case "way": this.ways[e.id] = { steps: e.steps, hits: hitsOf(this, e.steps) }; break;
      case "member": this.indexMember(e, i); break;
      case "controller":
        if (e.text) { this.marks.decision.push(e.t); this.notable.push(i); }
        break;
      case "call": this.calls[e.call] = { call: i, answer: -1 }; break;
      case "answer": if (this.calls[e.call]) this.calls[e.call].answer = i; break;
      case "fault": this.faults.push({ fault: e.fault, from: e.t, to: e.us === undefined ? Infinity : e.t + e.us, what: e.what, by: e.by }); this.notable.push(i); break;
      case "healed": {
        const one = this.faults.find((fault) => fault.fault === e.fault);
        if (one) one.to = e.t;
        this.notable.push(i);
        break;
      }
      case "note": this.notable.push(i); break;
      case "broken": this.broken = i; this.notable.push(i); break;
      case "end": this.notable.push(i); break;
    }
  }

  indexMember(e, i) {
    const { set } = e;
    const before = this.state.members[`${e.who}/${e.group}`];
    const leads = this.leaders.findLast((one) => one.host === e.who && one.group === e.group && one.to === undefined);
    if (leads && (set.up === false || (set.role ?? "leader") !== "leader" || (set.term ?? leads.term) !== leads.term)) leads.to = e.t;
    if (set.role === "leader") this.leaders.push({ group: e.group, term: set.term ?? before.term, host: e.who, from: e.t, to: undefined });
    if (set.role === "candidate" || set.role === "leader") this.marks.election.push(e.t);
    const rises = set.commit !== undefined && (set.role ?? before.role) === "leader" && set.commit > before.commit;
    if (set.role || set.up !== undefined || set.paused !== undefined || set.snapshot || rises) this.notable.push(i);
  }

  /** The number of a way that was told apart from the run. */
  wayOf(steps) {
    const key = JSON.stringify(steps);
    this.apart ??= new Map();
    if (!this.apart.has(key)) this.apart.set(key, this.ways.push({ steps, hits: [] }) - 1);
    return this.apart.get(key);
  }

  bucket(at) { return (this.buckets[at] ??= []); }

  /** A message, or the last of its copies up to now, ends at a time, by event i. */
  endAt(message, t, i) {
    const known = message.end === Infinity ? message.t : message.end;
    for (let b = Math.floor(known / BUCKET) + 1; b <= t / BUCKET; b++) this.bucket(b).push(message);
    message.end = t;
    message.ended = i;
  }

  put(message, t) { this.bucket(Math.floor(t / BUCKET)).push(message); }

  /** How many events have happened at a time and before. */
  countAt(t) { return firstAfter(this.events, t); }

  /** The state after so many events; it is the caller's own. */
  stateAfter(count) {
    const frame = Math.min(Math.floor(count / EVERY), this.keyframes.length - 1);
    const state = this.keyframes[Math.max(0, frame)]?.copy() ?? new State(this.header);
    for (let i = Math.max(0, frame) * EVERY; i < count; i++) state.apply(this.events[i], this.gone + i);
    return state;
  }

  /** Messages that are on their way at some time between two. */
  messagesBetween(from, to) {
    const found = new Set();
    for (let b = Math.max(0, Math.floor(from / BUCKET)); b <= Math.floor(to / BUCKET); b++) {
      for (const one of this.buckets[b] ?? []) {
        if (one.t <= to && this.messages[one.m] === one && Math.min(one.end, one.t + LONGEST) >= from && (one.end !== Infinity || one.t >= from)) found.add(one);
      }
    }
    return [...found];
  }

  /** The last event that is worth a line among the first so many; -1 if there is none. */
  lastNotable(count) {
    const before = placeOf(this.notable, count);
    return before ? this.notable[before - 1] : -1;
  }

  /** How often each entry of a switch was hit since it is there. */
  hits(name, state, count) {
    const found = {}, { tables } = state.switches[name];
    for (const [table, entries] of Object.entries(tables)) {
      for (const key of Object.keys(entries)) found[`${table} ${key}`] = 0;
    }
    // A switch has taken some hundred ways, each very often.
    for (const [id, events] of this.taken[name] ?? []) {
      for (const [table, key] of this.ways[id].hits) {
        const entry = tables[table]?.[key];
        if (entry) found[`${table} ${key}`] += Math.max(0, placeOf(events, this.gone + count) - placeOf(events, entry.since));
      }
    }
    return found;
  }

  indexHops(hops, i) {
    for (const hop of hops) {
      const [name, , way] = hop.split(" ", 3);
      const ways = (this.taken[name] ??= new Map());
      const id = Number(way), events = ways.get(id);
      if (events) events.push(this.gone + i); else ways.set(id, [this.gone + i]);
    }
  }

  /** Let go of what happened before a time: of whole keyframes. Numbers of events begin anew; returns by how much they are less. */
  forget(t) {
    const n = Math.min(Math.floor(this.countAt(t) / EVERY), this.keyframes.length - 1) * EVERY;
    if (n <= 0) return 0;
    const from = Math.floor(this.begin / BUCKET);
    this.events.splice(0, n);
    this.keyframes.splice(0, n / EVERY);
    this.gone += n;
    this.begin = this.events[0].t;
    // In place, as all that is still here is gone through: lists that are made anew would be garbage, and that is what stops a page.
    this.notable.splice(0, placeOf(this.notable, n));
    less(this.notable, n);
    for (const ways of Object.values(this.taken)) for (const events of ways.values()) events.splice(0, placeOf(events, this.gone));
    this.forgetMessages(n);
    for (let b = from; b < Math.floor(this.begin / BUCKET); b++) this.buckets[b] = undefined;
    this.leaders = this.leaders.filter((one) => !(one.to < this.begin));
    this.faults = this.faults.filter((one) => one.to >= this.begin);
    for (const times of Object.values(this.marks)) times.splice(0, placeOf(times, this.begin));
    if (this.broken >= 0) this.broken -= n;
    return n;
  }

  /** Messages and calls by the new numbers; those that were begun before them are gone. */
  forgetMessages(n) {
    const { messages, calls } = this;
    for (let m = (this.oldestMessage ??= 0); m < messages.length; m++) {
      const one = messages[m];
      if (!one) continue;
      if (one.sent < n) {
        messages[m] = undefined;
        this.oldestMessage = m;
        continue;
      }
      one.sent -= n;
      one.last -= n;
      if (one.ended >= 0) one.ended -= n;
      if (one.ends) less(one.ends, n);
      if (one.path?.branches) one.path = undefined; // they name events by their old numbers
      if (one.passedAt) less(one.passedAt, n);
    }
    for (let call = (this.oldestCall ??= 0); call < calls.length; call++) {
      const one = calls[call];
      if (!one) continue;
      if (one.call < n) {
        calls[call] = undefined;
        this.oldestCall = call;
        continue;
      }
      one.call -= n;
      if (one.answer >= 0) one.answer -= n;
    }
  }

  member(group, id) {
    return this.network.groups.find((one) => one.id === group)?.members[id];
  }
}

/** The number of events with a time up to t, in a list by time. */
export function firstAfter(events, t) {
  return searched(events, (event) => event.t <= t);
}

/** Make all numbers of a list less. */
function less(numbers, by) {
  for (let at = 0; at < numbers.length; at++) numbers[at] -= by;
}

/** How many numbers of a sorted list are less than one. */
function placeOf(numbers, number) {
  return searched(numbers, (one) => one < number);
}

/** How many things a list begins with for which something holds; it holds for none after them. */
function searched(list, holds) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(list[middle])) low = middle + 1; else high = middle;
  }
  return low;
}
