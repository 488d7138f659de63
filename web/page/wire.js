// Frames: Ethernet, IPv4, UDP and the Raft header of docs/wire.md.

export const TYPES = {
  1: "PreVote", 2: "PreVoteReply", 3: "RequestVote", 4: "RequestVoteReply", 5: "AppendEntries", 6: "AppendEntriesReply",
  7: "InstallSnapshot", 8: "InstallSnapshotReply", 9: "TimeoutNow", 10: "Configuration", 11: "CampaignHint",
  12: "FragmentStatus", 13: "ReadIndex", 14: "ReadIndexReply", 16: "ClientRequest", 17: "ClientReply", 18: "ClientFragmentStatus",
};
const LETTERS = { 1: "P", 2: "P", 3: "V", 4: "V", 5: "A", 6: "A", 7: "S", 8: "S", 9: "T", 10: "M", 11: "H", 12: "f", 13: "R", 14: "R", 16: "C", 17: "C", 18: "f" };
const REPLIES = new Set([2, 4, 6, 8, 12, 14, 17]);
const FLAGS = [[1, "REJECT"], [2, "FANOUT"], [4, "GATHER"], [8, "NO_STEER"], [16, "MORE"], [32, "FRAGMENT"], [64, "GATHERED"], [128, "READ"]];
const OTHER_NAMES = { 5: { 1: "LEASE", 8: "LAZY" }, 7: { 1: "LEASE" } };
const OPERATIONS = { 1: "open_session", 2: "append", 3: "put", 4: "get", 5: "delete", 6: "read_list", 7: "get_stale" };
const OUTCOMES = { 0: "ok" };

/** A number that may be too large for JavaScript's: those are text. */
function number(hex) {
  const value = Number.parseInt(hex, 16);
  return Number.isSafeInteger(value) ? value : BigInt(`0x${hex}`).toString();
}

/** Whether switches are to copy a frame, in hex, to everybody: it has FANOUT, and its target is 255. */
export function isForAll(frame) {
  return frame.slice(92, 94) === "ff" && (Number.parseInt(frame.slice(88, 90), 16) & 2) !== 0;
}

/** What a frame, in hex, holds. */
export function decode(frame) {
  const at = (offset, size) => frame.slice(2 * offset, 2 * (offset + size));
  const found = { size: frame.length / 2, type: 0, name: "a frame", letter: "?", reply: false, client: false, term: 0, flags: [] };
  if (found.size < 42 || at(12, 2) !== "0800" || at(23, 1) !== "11") {
    found.name = at(12, 2) === "0806" ? "ARP" : at(12, 2) === "86dd" ? "IPv6" : "a frame";
    return found;
  }
  const ip = (offset) => [0, 1, 2, 3].map((n) => Number.parseInt(at(offset + n, 1), 16)).join(".");
  found.from = `${ip(26)}:${number(at(34, 2))}`;
  found.to = `${ip(30)}:${number(at(36, 2))}`;
  found.name = "a datagram";
  if (found.size < 82) return found;
  found.type = number(at(43, 1));
  found.name = TYPES[found.type] ?? `type ${found.type}`;
  found.letter = LETTERS[found.type] ?? "?";
  found.reply = REPLIES.has(found.type);
  found.client = found.type >= 16;
  const flags = number(at(44, 1));
  found.flags = FLAGS.filter(([bit]) => flags & bit).map(([bit, name]) => OTHER_NAMES[found.type]?.[bit] ?? name);
  found.reject = found.flags.includes("REJECT");
  found.source = number(at(45, 1));
  found.target = number(at(46, 1));
  found.group = number(at(48, 2));
  found.term = number(at(50, 8));
  found.index = number(at(58, 8));
  found.logTerm = number(at(66, 8));
  found.commit = number(at(74, 8));
  const payload = at(82, found.size - 82);
  if (found.type === 5 && !(flags & 32)) found.entries = entriesIn(payload);
  if (found.client && !(flags & 32) && payload.length >= 18) {
    const code = Number.parseInt(payload.slice(16, 18), 16);
    found.operation = found.type === 16 ? OPERATIONS[code] ?? "" : OUTCOMES[code] ?? "";
  }
  return found;
}

/** How many entries an AppendEntries' payload holds. A seal, where there is one, comes behind them. */
function entriesIn(payload) {
  let at = 32, count = 0;
  while (at + 26 <= payload.length) {
    const kind = Number.parseInt(payload.slice(at + 16, at + 18), 16);
    const length = Number.parseInt(payload.slice(at + 18, at + 26), 16);
    if (kind > 2 || at + 26 + 2 * length > payload.length || payload.slice(at, at + 2) >= "80") break;
    at += 26 + 2 * length;
    count++;
  }
  return count;
}

/** What an AppendEntries brings. Only the whole of it says how many entries; one without any is a heartbeat, or shows where two logs agree. */
function brings(one) {
  if (one.entries === undefined) return `a part of entries after ${one.index}`;
  if (one.entries) return `${one.entries} ${one.entries === 1 ? "entry" : "entries"} after ${one.index}`;
  return one.index ? `shows that both logs have entry ${one.index}` : "heartbeat";
}

/** A message in a few words, without who sends it to whom. */
export function summary(one) {
  if (!one.type) return `${one.name} of ${one.size} bytes`;
  if (one.type === 5) return `AppendEntries, term ${one.term}: ${brings(one)}, commit ${one.commit}`;
  if (one.type === 6) return `AppendEntriesReply, term ${one.term}: ${one.reject ? `lacks entry ${one.index}` : `holds all up to ${one.index}`}`;
  if (one.type === 3 || one.type === 1) return `${one.name}, term ${one.term}: its log ends with entry ${one.index} of term ${one.logTerm}`;
  if (one.type === 4 || one.type === 2) return `${one.name}, term ${one.term}: ${one.reject ? "no" : "yes"}`;
  if (one.client) return `${one.name}${one.operation ? ` ${one.operation}` : ""}${one.reject ? ", refused" : ""}: session ${one.logTerm}, sequence ${one.index}`;
  return `${one.name}, term ${one.term}`;
}
