// What has just happened, and why, in a sentence: {text, why, about}.
import { decode, isForAll, summary } from "page/wire.js";

const ms = (us) => (us >= 10_000_000 ? `${Math.round(us / 1e6)} s` : us >= 10_000 ? `${Math.round(us / 1000)} ms` : `${(us / 1000).toFixed(1)} ms`);

/** Tell event i of a run; `state` is that just before it. */
export function tell(run, i, state) {
  const e = run.events[i];
  if (!e) return { text: "Nothing has happened yet", why: "" };
  const teller = tellers[e.k];
  const said = { text: "", why: "", about: null, ...(teller ? teller(run, e, state, i) : { text: e.k }) };
  if ((e.k === "member" || e.k === "log") && run.network.groups.length > 1) said.text = `Group ${e.group}: ${said.text}`;
  return said;
}

function whyElsewhere(run, sent, to) {
  if (sent?.name === "ClientRequest" && run.network.switches.length) return `it was addressed to ${to}; switches steer requests to the leader`;
  return `it was meant for ${to}; a host drops what is not its own`;
}

/** What the line is about, where its message is still here. */
const theMessage = (run, m) => (run.messages[m] ? { kind: "message", id: m } : null);

function nameOf(run, m) {
  const message = run.messages[m];
  if (!message) return "a message";
  return `${message.event.who}'s ${decode(message.event.frame).name}`;
}

const tellers = {
  sent(run, e) {
    const what = decode(e.frame);
    const why = e.hostile ? "somebody who is no member tries what the switches let through"
      : e.again ? "the same bytes as before, late or once more" : reasonOf(what);
    return { text: `${e.who} sends ${isForAll(e.frame) ? "everybody" : e.to ?? what.to ?? "out"}: ${summary(what)}`, why, about: { kind: "message", id: e.m } };
  },
  passed(run, e) {
    return { text: `${nameOf(run, e.m)} passes ${e.hops.map((hop) => hop.split(" ", 1)[0]).join(", ")}`, why: "", about: theMessage(run, e.m) };
  },
  received(run, e) {
    const message = run.messages[e.m];
    if (!message) return { text: `${e.who} receives a message that was sent before what is shown` };
    const sent = decode(message.event.frame);
    const why = e.astray ? whyElsewhere(run, sent, message.event.to) : e.copy ? "for the second time" : "";
    return { text: `${e.who} receives ${summary(sent)} from ${message.event.who}`, why, about: { kind: "message", id: e.m } };
  },
  dropped(run, e, state) {
    const at = run.network.switches.includes(e.who) ? `${e.who} drops` : e.who === "network" ? "The network loses" : `${e.who} does not get`;
    return { text: `${at} ${nameOf(run, e.m)}: ${e.why}`, why: whyDropped(run, e, state), about: theMessage(run, e.m) };
  },
  member(run, e, state, i) {
    const about = { kind: "member", id: `${e.who}/${e.group}` };
    return { about, ...memberSays(run, e, state.members[`${e.who}/${e.group}`], i) };
  },
  log(run, e, state) {
    const before = state.members[`${e.who}/${e.group}`];
    const last = before.log.base + before.log.entries.length;
    const about = { kind: "member", id: `${e.who}/${e.group}` };
    if (!e.entries.length) return { text: `${e.who} cuts its log off at entry ${e.at - 1}`, why: "what came after is not in the leader's", about };
    const which = e.entries.length === 1 ? `entry ${e.at}` : `entries ${e.at} to ${e.at + e.entries.length - 1}`;
    const what = e.entries.length === 1 ? ` (${[e.entries[0][1] === "command" ? "" : e.entries[0][1], e.entries[0][2]].filter(Boolean).join(" ")})` : "";
    if (e.at <= last) return { text: `${e.who} replaces its entries from ${e.at} on by its leader's`, why: "they were of an older term, and were never committed", about };
    return { text: `${e.who} appends ${which}${what}`, why: before.role === "leader" ? "as the leader; now the others are to have it" : "as its leader has sent", about };
  },
  switch: (run, e) => ({ text: e.up ? `${e.who} starts, with empty tables` : `${e.who} stops and forgets everything`, about: { kind: "switch", id: e.who } }),
  table: (run, e) => ({ text: `${e.who}: an entry of ${e.table} is ${{ insert: "added", modify: "changed", delete: "taken out" }[e.do]}`, why: e.action ? `it says ${e.action}(${(e.values ?? []).join(", ")})` : "", about: { kind: "switch", id: e.who } }),
  registers: (run, e) => ({ text: `${e.who} remembers: ${e.set.map(([name, , value]) => `${name.split(".").at(-1)} ${value}`).join(", ")}`, why: "learnt from an accepted message of the leader", about: { kind: "switch", id: e.who } }),
  counters: (run, e) => ({ text: `${e.who}'s counters`, about: { kind: "switch", id: e.who } }),
  controller: (run, e) => ({ text: `The controller: ${e.text ?? Object.keys(e.set ?? {}).map((name) => `${name} changed`).join(", ")}`, about: { kind: "controller", id: e.who } }),
  call: (run, e) => ({ text: `${e.who} asks: ${[e.operation, e.key, e.value].filter(Boolean).join(" ")}`, about: { kind: "call", id: e.call } }),
  answer(run, e) {
    const call = run.events[run.calls[e.call]?.call];
    return { text: `${e.who} has its answer to ${call?.operation ?? "its call"}: ${e.outcome}`, why: call ? `after ${ms(e.t - call.t)}` : "", about: call ? { kind: "call", id: e.call } : null };
  },
  fault: (run, e) => ({ text: e.by === "found" ? `Found out: ${e.what}` : `${e.by ? "By hand" : "A fault"}: ${e.what}`, why: e.us === undefined ? "" : `it lasts ${ms(e.us)}` }),
  sampled: (run, e) => ({ text: `${e.told} of ${e.of} packets were told` }),
  healed(run, e) { return { text: `The fault is over: ${run.faults.find((one) => one.fault === e.fault)?.what ?? ""}` }; },
  note: (run, e) => ({ text: `${e.who}: ${e.text}` }),
  broken: (run, e) => ({ text: `Broken: ${e.rule}`, why: e.text, about: { kind: "broken", id: 0 } }),
  end: (run, e) => ({ text: `The run is over: ${e.text}` }),
  way: () => ({ text: "" }),
};

function reasonOf(what) {
  return { 1: "it asks first, without disturbing anybody's term", 3: "it stands for election", 5: what.entries ? "they are new to it" : "so that nobody else stands for election", 9: "it is to lead now" }[what.type] ?? "";
}

function whyDropped(run, e, state) {
  const one = state.switches[e.who];
  if (e.why === "stale_term" && one) {
    const said = Object.entries(one.registers).filter(([name]) => /heard_(term|leader)/.test(name)).map(([name, value]) => `${/term/.test(name) ? "term" : "leader"} ${value}`);
    return `the switch still hears ${said.reverse().join(", ")}`;
  }
  return {
    not_member: "a peer message, or an answer, from a host that is not the member it claims to be",
    no_route: "nobody has told the switch a way there",
    "cut off": "a partition lies between them",
    lost: "chance: networks lose packets",
    "its process is down": "nobody listens there",
  }[e.why] ?? "";
}

/** The message that a member has received last before event i, if that is why it changed. */
function heardBy(run, e, i) {
  if (!e.heard) return undefined;
  for (let at = i - 1; at >= 0 && i - at < 5000; at--) {
    const one = run.events[at];
    if (one.k === "received" && one.who === e.who) return one.m;
  }
  return undefined;
}

function memberSays(run, e, before, i) {
  const by = heardBy(run, e, i);
  const { set, who } = e;
  const term = set.term ?? before.term;
  if (set.up === false) return { text: `${who} is down`, why: "" };
  if (set.up) return { text: `${who} starts in term ${term}`, why: `its disk holds ${set.last ?? before.last} entries` };
  if (set.paused !== undefined) return { text: set.paused ? `${who} is paused` : `${who} goes on`, why: "" };
  if (set.role === "leader") return { text: `${who} leads in term ${term}`, why: votesFor(run, e, term, before, i) };
  if (set.role === "candidate") {
    const call = run.messages[by] && decode(run.messages[by].event.frame).name === "TimeoutNow";
    return { text: `${who} stands for election in term ${term}`, why: call ? "its leader hands over to it" : "a majority would vote for it" };
  }
  if (set.role === "pre-candidate") {
    const waited = before.timer ? `it has heard no leader for ${ms(before.timer[1])}` : "it hears no leader";
    return { text: `${who} asks who would vote for it`, why: waited };
  }
  if (set.role === "follower" && before.role === "leader") {
    return { text: `${who} leads no more`, why: term > before.term ? `it has heard of term ${term}${cause(run, by)}` : "no majority has answered it for an election timeout" };
  }
  if (set.role === "follower") {
    return { text: `${who} follows${set.leader || before.leader ? ` ${run.member(e.group, set.leader ?? before.leader) ?? ""}` : ""} in term ${term}`, why: cause(run, by).replace(/^ by/, "because of") };
  }
  if (set.term !== undefined) return { text: `${who} goes on to term ${term}`, why: cause(run, by).replace(/^ by/, "because of") };
  if (set.voters || set.outgoing) return actsBy(run, e, { ...before, ...set });
  if (set.leader) return { text: `${who} follows ${run.member(e.group, set.leader)}`, why: "" };
  if (set.vote) return { text: `${who} votes for ${run.member(e.group, set.vote)}`, why: "" };
  if (set.snapshot) return { text: `${who} has a snapshot up to entry ${set.snapshot.index}`, why: "the entries before it can go" };
  if (set.commit !== undefined) return commits(run, e, before);
  if (set.applied !== undefined) return { text: `${who} has applied all up to entry ${set.applied}`, why: "" };
  if (set.durable !== undefined) return { text: `${who}'s disk holds all up to entry ${set.durable}`, why: "so it may acknowledge them" };
  if (set.progress) return { text: `${who} knows more of the others' logs`, why: "they have answered" };
  if (set.timer) return { text: `${who}'s election timer starts anew`, why: cause(run, by).replace(/^ by/, "because of") };
  return { text: `${who}: ${Object.keys(set).join(", ")}`, why: "" };
}

function actsBy(run, e, { voters, outgoing }) {
  const names = (ids) => ids.map((id) => run.member(e.group, id) ?? `member ${id}`).join(", ");
  const what = outgoing.length ? `two majorities: of ${names(voters)} and of ${names(outgoing)}` : `a majority of ${names(voters)}`;
  return { text: `From now on ${e.who} counts ${what}`, why: "a member acts by the last configuration in its log, committed or not" };
}

function commits(run, e, before) {
  const last = e.set.commit;
  const entry = before.log.entries[last - before.log.base - 1];
  const what = entry ? ` (${[entry[1] === "command" ? "" : entry[1], entry[2]].filter(Boolean).join(" ")})` : "";
  if ((e.set.role ?? before.role) !== "leader") return { text: `${e.who} learns that all up to entry ${last} is committed`, why: "" };
  const progress = e.set.progress ?? before.progress ?? {};
  const holders = [e.who, ...Object.entries(progress).filter(([, one]) => one.match >= last).map(([id]) => run.member(e.group, id))];
  return { text: `Entry ${last}${what} is committed`, why: `${holders.join(", ")} hold it: ${holders.length} of ${before.voters.length || holders.length}` };
}

function cause(run, by) {
  return by ? ` by ${nameOf(run, by)}` : "";
}

function votesFor(run, e, term, before, i) {
  const voters = new Set([e.who]);
  for (let at = i - 1; at >= 0 && run.events[at].t > e.t - 3_000_000; at--) {
    const one = run.events[at];
    if (one.k !== "received" || one.who !== e.who || !run.messages[one.m]) continue;
    const what = decode(run.messages[one.m].event.frame);
    if (what.type === 4 && what.term === term && !what.reject && what.group === e.group) voters.add(run.messages[one.m].event.who);
  }
  return `votes of ${[...voters].sort().join(", ")}: ${voters.size} of ${before.voters.length || voters.size}`;
}
