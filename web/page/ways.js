// A packet's way through the program: what was recorded of it, with the fields as they were at each step.

export const short = (name) => name.split(".").at(-1);

/** What a way hits: [table, key of the entry], as a state names them. */
export function hitsOf(run, steps) {
  return steps.filter((step) => step[0] === "table" && step[3])
    .map((step) => [short(run.program.tables[step[1]].name), JSON.stringify(step[3])]);
}

/** A hop as it is written, in its parts. */
export function readHop(text) {
  const [name, port, way, patch, values] = text.split(" ");
  const split = (list) => (list === "-" ? [] : list.split(","));
  const number = (digits) => (Number.isSafeInteger(Number(digits)) ? Number(digits) : digits);
  return {
    name, port: Number(port), way: Number(way), values: split(values).map(number),
    patch: split(patch).map((piece) => piece.split(":")).map(([offset, bytes]) => [Number(offset), bytes]),
  };
}

/** The frame, in hex, that came in at a hop of a message. */
export function frameAt(message, hop) {
  let frame = message.event.frame;
  for (const [offset, bytes] of hop.patch) {
    if (offset === 0 && bytes.length > 24) return bytes; // the whole frame
    frame = frame.slice(0, 2 * offset) + bytes + frame.slice(2 * offset + bytes.length);
  }
  const named = hop.patch.some(([offset, bytes]) => offset <= 25 && offset + bytes.length / 2 > 24);
  if (!hop.patch.length || named || frame.length < 68) return frame;
  return frame.slice(0, 48) + checksum(frame.slice(28, 68)).toString(16).padStart(4, "0") + frame.slice(52);
}

/** The checksum that an IPv4 header of 20 bytes, in hex, ought to have. */
function checksum(header) {
  let sum = 0;
  for (let at = 0; at < 40; at += 4) if (at !== 20) sum += Number.parseInt(header.slice(at, at + 4), 16);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

/** The steps of a hop, each with a title, its place in the program, and what it changed: {field, before, after}. */
export function follow(run, message, hop, index) {
  const { program } = run;
  const values = [...hop.values];
  const { since = 0, registers = {} } = run.stateAfter(message.passedAt[index] ?? message.sent).switches[hop.name] ?? {};
  const now = hop.now ?? run.events[message.passedAt[index] ?? message.sent].t - since;
  const bits = [...frameAt(message, hop)].map((digit) => Number.parseInt(digit, 16).toString(2).padStart(4, "0")).join("");
  let cursor = 0;
  const fields = {};
  const take = (value) => {
    if (value === null) return values.shift();
    if (value === "now") return now;
    if (value === "size") return bits.length / 8;
    if (value === "checksum") return checksum(digits("ipv4"));
    if (typeof value === "string" && value in registers) return registers[value];
    return Array.isArray(value) ? before[program.fields[value[0]][0]] ?? 0 : value;
  };
  let before = {};
  /** A header's fields as they are now, in hex. */
  function digits(header) {
    let whole = 0n, size = 0;
    for (const [name, width] of program.headers[header]) {
      whole = (whole << BigInt(width)) | BigInt(fields[`${header}.${name}`] ?? 0);
      size += width;
    }
    return whole.toString(16).padStart(size / 4, "0");
  }
  const widths = Object.fromEntries(program.fields);

  function change(one) {
    if (one[0] === "+") {
      const layout = program.headers[one[1]];
      const held = layout.map(([name, width], place) => {
        const value = one[2] ? take(one[2][place]) : numberOf(bits.slice(cursor, (cursor += width)));
        fields[`${one[1]}.${name}`] = value;
        return { field: `${one[1]}.${name}`, width, after: value };
      });
      return { added: one[1], held };
    }
    if (one[0] === "-") {
      for (const [name] of program.headers[one[1]]) delete fields[`${one[1]}.${name}`];
      return { removed: one[1] };
    }
    const [name, width] = program.fields[one[0]];
    fields[name] = take(one[1]);
    return { field: name, width, before: before[name] ?? 0, after: fields[name] };
  }

  return run.ways[hop.way].steps.map((step) => {
    const shown = describe(program, step, fields, widths);
    const changes = Array.isArray(step.at(-1)) && step[0] !== "sent" ? step.at(-1) : [];
    before = { ...fields };
    shown.changes = changes.map(change);
    return shown;
  });
}

function numberOf(bits) {
  const value = Number.parseInt(bits, 2);
  return Number.isSafeInteger(value) ? value : BigInt(`0b${bits}`).toString();
}

function describe(program, step, fields, widths) {
  const [what, n] = step;
  const at = (one) => ({ file: one.file, line: one.line });
  switch (what) {
    case "enter": return { what, title: "The packet comes in" };
    case "state": {
      const one = program.states[n];
      const found = one.line ? at(one) : placeOf(program, new RegExp(`\\bstate\\s+${one.name}\\b`));
      return { what, title: `parser: ${one.name}`, ...found };
    }
    case "if": return { what, title: `${program.conditions[n].text || "condition"}: ${step[2] ? "yes" : "no"}`, ...at(program.conditions[n]) };
    case "table": {
      const table = program.tables[n];
      const [, , keys, match, action, params] = step;
      const key = table.key.map((one, place) => ({
        name: one.name, width: one.width, value: keys[place] === null ? fields[one.field] ?? 0 : keys[place],
      }));
      const does = action === null ? null : program.actions[action];
      return {
        what, title: `table ${short(table.name)}: ${match ? "hit" : "miss"}`, ...at(table), table: table.name, key, match,
        hit: match !== null, action: does?.name ?? "", params: params.map((value, place) => ({ name: does.params[place], value, width: widths[does.params[place]] ?? 32 })),
      };
    }
    case "do": return { what, title: program.actions[n].text, ...at(program.actions[n]) };
    case "fate": {
      const [dropped, , group, spec, clone, digest] = n;
      const parts = [];
      if (dropped || (spec === 511 && !group)) parts.push("dropped");
      else if (group) parts.push(`copied to group ${group}`);
      else parts.push(spec === 510 ? "to the controller" : `leaves by port ${spec}`);
      if (clone) parts.push("a clone");
      if (digest) parts.push("a digest tells the controller");
      return { what, title: `End of ingress: ${parts.join(", ")}` };
    }
    case "egress": return { what, title: `Egress, port ${n}`, ...placeOf(program, /\bcontrol\s+egress\b/) };
    case "left": return { what, title: step[2][1] === 511 ? "Dropped at egress" : "End of egress" };
    case "deparse": return { what, title: "Checksums, and the frame is put together", ...placeOf(program, /\bcontrol\s+raft_deparser\b/) };
    case "copy": return { what, title: "Another copy, as the packet was at the end of ingress" };
    case "sent": return { what, title: n === 510 ? "Out to the controller" : `Out by port ${n}`, port: n };
    default: return { what, title: "The program could not go on" };
  }
}

function placeOf(program, pattern) {
  for (const [file, text] of Object.entries(program.files)) {
    const line = text.split("\n").findIndex((one) => pattern.test(one));
    if (line >= 0) return { file, line: line + 1 };
  }
  return {};
}

/** A field's name as the program writes it. */
export function fieldName(name) {
  return name.replace(/^scalars\.(userMetadata\.)?/, (_, meta) => (meta ? "meta." : "")).replace(/^ingress\.\w+\./, "");
}

/** A value for people: addresses as addresses, checksums in hex. */
export function valueText(name, width, value) {
  if (value === undefined || value === null) return "–";
  if (width === 48 && /addr|mac/.test(name) && typeof value === "number") return value.toString(16).padStart(12, "0").replace(/..(?=.)/g, "$&:");
  if (width === 32 && /addr|address/.test(name)) return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
  if (/checksum/.test(name)) return `0x${Number(value).toString(16).padStart(4, "0")}`;
  return String(value);
}
