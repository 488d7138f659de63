// The state at a moment, by the changes that events tell. Whatever a state holds is never changed, only replaced, so
// that a copy of a state is a copy of a few references.

const nobody = { up: false, paused: false, role: "follower", term: 0, vote: 0, leader: 0, commit: 0, applied: 0, last: 0,
  durable: 0, base: 0, snapshot: null, voters: [], outgoing: [], learners: [], progress: null, timer: null,
  log: { base: 0, entries: [] } };
const unknown = { up: false, tables: {}, registers: {}, counters: {} };

export class State {
  constructor(header) {
    this.members = {};
    this.switches = {};
    this.controllers = { controller: {} };
    this.faults = {};
    this.calls = {};
    this.broken = null;
    for (const group of header?.network.groups ?? []) {
      for (const [id, host] of Object.entries(group.members)) {
        this.members[`${host}/${group.id}`] = { ...nobody, host, group: group.id, id: Number(id) };
      }
    }
    for (const name of header?.network.switches ?? []) this.switches[name] = { ...unknown, name };
  }

  copy() {
    const other = new State(null);
    for (const part of ["members", "switches", "controllers", "faults", "calls"]) other[part] = { ...this[part] };
    other.broken = this.broken;
    return other;
  }

  /** Take an event, number i of its run. */
  apply(e, i) {
    const take = kinds[e.k];
    if (take) take(this, e, i);
  }
}

const kinds = {
  member(state, e) {
    const key = `${e.who}/${e.group}`;
    const before = state.members[key];
    const after = { ...before, ...e.set };
    if (e.set.timer) after.timer = [e.t - e.set.timer[0], e.set.timer[1]]; // from here on: since when, and how long
    if (after.base > after.log.base) {
      const gone = after.base - after.log.base;
      after.log = { base: after.base, entries: after.log.entries.slice(gone) };
    }
    state.members[key] = after;
  },
  log(state, e) {
    const key = `${e.who}/${e.group}`;
    const before = state.members[key];
    let { base, entries } = before.log;
    const kept = e.at - base - 1;
    if (kept > entries.length || kept < 0) { base = e.at - 1; entries = e.entries; }
    else if (kept === entries.length) entries = entries.concat(e.entries);
    else entries = entries.slice(0, kept).concat(e.entries);
    state.members[key] = { ...before, log: { base, entries } };
  },
  switch(state, e) {
    state.switches[e.who] = { ...unknown, name: e.who, up: e.up, since: e.t };
  },
  table(state, e, i) {
    const one = state.switches[e.who];
    const entries = { ...one.tables[e.table] };
    const key = JSON.stringify(e.match);
    if (e.do === "delete") delete entries[key];
    else {
      const since = e.do === "insert" ? i : entries[key]?.since ?? i;
      entries[key] = { match: e.match, action: e.action, values: e.values, since };
    }
    state.switches[e.who] = { ...one, tables: { ...one.tables, [e.table]: entries } };
  },
  registers(state, e) {
    const one = state.switches[e.who];
    const registers = { ...one.registers };
    for (const [name, index, value] of e.set) registers[`${name}[${index}]`] = value === "now" ? e.t - one.since : value;
    state.switches[e.who] = { ...one, registers };
  },
  counters(state, e) {
    const one = state.switches[e.who];
    const counters = { ...one.counters };
    for (const [name, index, packets, bytes] of e.set) counters[`${name}[${index}]`] = [packets, bytes];
    state.switches[e.who] = { ...one, counters };
  },
  controller(state, e) {
    if (e.set) state.controllers[e.who] = { ...state.controllers[e.who], ...e.set };
  },
  call(state, e) { state.calls[e.call] = e; },
  answer(state, e) { delete state.calls[e.call]; },
  fault(state, e) { state.faults[e.fault] = e; },
  healed(state, e) { delete state.faults[e.fault]; },
  broken(state, e) { state.broken = e; },
};
