// Links that can be chosen, and what is broken: by hand, drawn in red with a cross; found out by the cluster itself, in
// amber with a mark. A link's marks stand beside each other, so one sees what was done and what was noticed.
import { middleOf, svg } from "page/network.js";

const HIT = 16; // pixels beside a link where it can be clicked

/** Where a link ends. */
const middle = (place) => ({ x: place.x, y: middleOf(place) });

const between = (from, to, share) => ({ x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share });

export class FaultsView {
  /** `choose` is told {a, b}, the link that was clicked. */
  constructor(app, choose) {
    this.app = app;
    this.choose = choose;
    this.chosen = null;
    const { links, hosts } = app.run.network;
    this.ends = [...links.map(([a, , b]) => [a, b]), ...hosts.map((host) => [host.name, host.switch])];
  }

  /** `focused`: the link that had the focus when all was drawn anew. */
  draw(focused) {
    const { network, state } = this.app;
    const faults = Object.values(state.faults).filter((fault) => fault.by);
    const told = `${faults.map((fault) => `${fault.by} ${fault.on} ${fault.what}`).join("\n")}\n${this.chosen?.a} ${this.chosen?.b}`;
    if (told === this.told && network.layer === this.layer) return;
    this.told = told;
    this.layer = network.layer;
    const chosen = focused ?? (this.wires?.contains(document.activeElement) ? document.activeElement.dataset.link : undefined);
    this.wires?.remove();
    this.marks?.remove();
    this.wires = svg("g", { id: "wires" }, ...this.ends.map(([a, b]) => this.wire(a, b, faults)).filter(Boolean));
    this.marks = svg("g", { id: "marks" }, ...this.badges(faults));
    // Links below nodes and messages, what is said of nodes above all.
    network.svg.insertBefore(this.wires, network.svg.querySelector(".node"));
    network.svg.append(this.marks);
    if (chosen) this.wires.querySelector(`[data-link="${chosen}"]`)?.focus();
  }

  wire(a, b, faults) {
    const { at } = this.app.network;
    if (!at[a] || !at[b]) return null;
    const [from, to] = [middle(at[a]), middle(at[b])];
    const own = faults.filter((fault) => [`${a}-${b}`, `${b}-${a}`, `${a}>${b}`, `${b}>${a}`].includes(fault.on));
    const cut = own.find((fault) => fault.by === "hand"), found = own.find((fault) => fault.by === "found");
    const says = own.map((fault) => (fault.by === "hand" ? `cut by hand: ${fault.what}` : fault.what)).join("; ") || "nothing is known to be wrong with it";
    const chosen = this.chosen?.a === a && this.chosen?.b === b;
    const act = () => this.choose({ a, b });
    const root = svg("g", { class: `wire${cut ? " cut" : ""}${found ? " found" : ""}${chosen ? " chosen" : ""}`, tabindex: 0, role: "button", "aria-label": `Link ${a} to ${b}: ${says}`, "data-link": `${a}-${b}` });
    const line = { x1: from.x, y1: from.y, x2: to.x, y2: to.y };
    root.append(svg("line", { ...line, class: "fate" }), svg("line", { ...line, class: "hit", "stroke-width": HIT }));
    if (cut) root.append(cross(between(from, to, 0.5)));
    if (cut?.on.includes(">")) root.append(arrow(cut.on.startsWith(`${a}>`) ? [from, to] : [to, from]));
    if (found) root.append(note(between(from, to, 0.35), "!"));
    root.addEventListener("click", act);
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      act();
    });
    return root;
  }

  badges(faults) {
    const { at } = this.app.network;
    const nodes = {};
    for (const fault of faults) if (at[fault.on]) (nodes[fault.on] ??= []).push(fault);
    return Object.entries(nodes).flatMap(([name, own]) => own.map((fault, number) => {
      const place = at[name];
      const spot = { x: place.x + Math.min(30, place.w / 2), y: place.y - place.h / 2 + 4 + 20 * number };
      const badge = fault.by === "hand" ? cross(spot, 6) : note(spot, "!");
      badge.setAttribute("data-on", name);
      badge.setAttribute("data-by", fault.by);
      badge.append(svg("title", {}, fault.by === "hand" ? `By hand: ${fault.what}` : fault.what));
      return badge;
    }));
  }
}

function cross({ x, y }, size = 8) {
  return svg("g", { class: "by-hand", transform: `translate(${x.toFixed(1)},${y.toFixed(1)})` },
    svg("circle", { r: size + 3 }), svg("path", { d: `M${-size / 1.6},${-size / 1.6}L${size / 1.6},${size / 1.6}M${-size / 1.6},${size / 1.6}L${size / 1.6},${-size / 1.6}` }));
}

/** Packets go this way no more. */
function arrow([from, to]) {
  const { x, y } = between(from, to, 0.62);
  const angle = (Math.atan2(to.y - from.y, to.x - from.x) * 180) / Math.PI;
  return svg("g", { class: "by-hand", transform: `translate(${x.toFixed(1)},${y.toFixed(1)}) rotate(${angle.toFixed(0)})` }, svg("path", { class: "arrow", d: "M-6,-6L6,0L-6,6Z" }));
}

function note({ x, y }, text) {
  const letter = svg("text", { y: 4 });
  letter.textContent = text;
  return svg("g", { class: "found-out", transform: `translate(${x.toFixed(1)},${y.toFixed(1)})` }, svg("circle", { r: 9 }), letter);
}
