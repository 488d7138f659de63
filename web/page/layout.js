// Where the nodes of the network stand: switches in the middle, hosts around them, nothing on top of anything else.

const LEANS = [0, 30, 150, 60, 120, 90]; // degrees

export const SIZES = { member: [124, 98], small: [70, 90], host: [70, 30], switch: [46, 30], controller: [92, 30] };

/** Whether a drawing has room for members with few words only. */
export function isNarrow(run, width) {
  return width < (run.network.hosts.length > 8 ? 600 : 480);
}

/** {name: {x, y, kind, w, h}} for a drawing of this size: of several, the first in which no link runs through a node. */
export function layout(run, width, height) {
  const { network } = run;
  const links = [...network.links.map(([a, , b]) => [a, b]), ...network.hosts.map((host) => [host.name, host.switch])];
  let best, fewest = Infinity;
  for (const lean of hasSpare(network) ? LEANS : [0]) {
    const nodes = placed(run, width, height, (lean * Math.PI) / 180);
    const wrong = links.filter(([a, b]) => Object.keys(nodes).some((name) => name !== a && name !== b && runsThrough(nodes[a], nodes[b], nodes[name]))).length;
    if (wrong < fewest) [best, fewest] = [nodes, wrong];
    if (!wrong) break;
  }
  return best;
}

/** Whether there are switches without hosts. */
function hasSpare(network) {
  return network.switches.some((name) => !network.hosts.some((host) => host.switch === name));
}

/** Whether the line between two nodes runs through a third one. */
function runsThrough(a, b, node) {
  if (!a || !b) return false;
  for (let share = 0; share <= 1; share += 0.02) {
    const x = a.x + (b.x - a.x) * share, y = a.y + (b.y - a.y) * share;
    if (Math.abs(x - node.x) < node.w / 2 && Math.abs(y - node.y) < node.h / 2) return true;
  }
  return false;
}

/** The nodes where switches without hosts stand in a row that leans so, in radians. */
function placed(run, width, height, lean) {
  const { network } = run;
  const nodes = {};
  const switches = network.switches.length ? network.switches : ["network"];
  const at = (host) => (network.switches.length ? host.switch : "network");
  const used = switches.filter((name) => network.hosts.some((host) => at(host) === name));
  const order = used.flatMap((name) => network.hosts.filter((host) => at(host) === name));
  const [w, h] = isNarrow(run, width) ? SIZES.small : SIZES.member;
  const rx = width / 2 - w / 2 - 12, ry = height / 2 - h / 2 - 10;
  const angles = {};
  order.forEach((host, place) => {
    const angle = -Math.PI / 2 + ((place + 0.5 - groupSize(order, at) / 2) / order.length) * 2 * Math.PI;
    const kind = host.member ? "member" : "host";
    const [hw, hh] = host.member ? [w, h] : SIZES.host;
    nodes[host.name] = { x: width / 2 + rx * Math.cos(angle), y: height / 2 + ry * Math.sin(angle), kind, w: hw, h: hh };
    (angles[at(host)] ??= []).push(angle);
  });
  const [sw, sh] = SIZES.switch;
  const inner = used.length > 1 ? 0.45 : 0;
  for (const name of used) {
    const x = mean(angles[name].map(Math.cos)), y = mean(angles[name].map(Math.sin));
    const length = Math.hypot(x, y) || 1;
    nodes[name] = { x: width / 2 + (rx * inner * x) / length, y: height / 2 + (ry * inner * y) / length, kind: "switch", w: sw, h: sh };
  }
  const spare = switches.filter((name) => !used.includes(name));
  spare.forEach((name, place) => {
    const from = (place - (spare.length - 1) / 2) * 90;
    nodes[name] = { x: width / 2 + from * Math.cos(lean), y: height / 2 + from * Math.sin(lean), kind: "switch", w: sw, h: sh };
  });
  if (network.switches.length) {
    const [cw, ch] = SIZES.controller;
    nodes.controller = { x: cw / 2 + 10, y: ch / 2 + 10, kind: "controller", w: cw, h: ch };
  } else nodes.network.w = 76;
  return apart(nodes, width, height);
}

function groupSize(order, at) {
  return order.filter((host) => at(host) === at(order[0])).length;
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Push boxes that overlap away from each other, and into the drawing. */
function apart(nodes, width, height, gap = 6) {
  const all = Object.values(nodes);
  const fit = (one) => {
    one.x = Math.min(Math.max(one.x, one.w / 2 + 4), width - one.w / 2 - 4);
    one.y = Math.min(Math.max(one.y, one.h / 2 + 4), height - one.h / 2 - 4);
  };
  all.forEach(fit);
  for (let round = 0; round < 300; round++) {
    let moved = false;
    for (let i = 0; i < all.length; i++) {
      for (let j = i + 1; j < all.length; j++) {
        const a = all[i], b = all[j];
        const dx = (a.w + b.w) / 2 + gap - Math.abs(a.x - b.x), dy = (a.h + b.h) / 2 + gap - Math.abs(a.y - b.y);
        if (dx <= 0 || dy <= 0) continue;
        moved = true;
        const [axis, by] = dx < dy ? ["x", dx] : ["y", dy];
        const sign = a[axis] < b[axis] ? -1 : 1;
        const [pushA, pushB] = a.kind === "controller" ? [0, 1] : b.kind === "controller" ? [1, 0] : [0.5, 0.5];
        a[axis] += sign * by * pushA;
        b[axis] -= sign * by * pushB;
        fit(a);
        fit(b);
      }
    }
    if (!moved) break;
  }
  return nodes;
}
