// The line of time: who led when, faults, elections, drops and decisions; and where one is.
import { svg, termColour } from "page/network.js";

const TOP = 4, LEAD = 20, FAULT = 8, MARKS = 16;

export class Timeline {
  /** `seek` is told a time. */
  constructor(place, run, seek) {
    this.place = place;
    this.run = run;
    this.seek = seek;
    this.svg = svg("svg", { role: "slider", tabindex: 0, "aria-label": "Moment of the run", "aria-valuemin": 0 });
    place.replaceChildren(this.svg);
    this.svg.addEventListener("pointerdown", (event) => {
      this.svg.setPointerCapture(event.pointerId);
      this.drag(event);
    });
    this.svg.addEventListener("pointermove", (event) => event.buttons && this.drag(event));
    new ResizeObserver(() => this.draw(this.group)).observe(place);
  }

  drag(event) {
    const { left, width } = this.svg.getBoundingClientRect();
    this.seek(Math.max(0, Math.min(1, (event.clientX - left) / width)) * (this.run.end - this.run.begin) + this.run.begin);
  }

  draw(group) {
    this.group = group;
    const { width, height } = this.place.getBoundingClientRect();
    if (!width) return;
    this.width = width;
    const { run } = this;
    const long = Math.max(1, run.end - run.begin);
    const x = (t) => (Math.max(0, t - run.begin) / long) * width;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren(svg("rect", { class: "lane", x: 0, y: TOP, width, height: LEAD + FAULT + MARKS + 4, rx: 4 }));
    for (const one of run.leaders) {
      if (one.group !== group) continue;
      const from = x(one.from), to = x(one.to ?? run.end);
      this.svg.append(svg("rect", { x: from, y: TOP + 1, width: Math.max(1, to - from), height: LEAD - 2, fill: termColour(one.term), rx: 2 }));
      if (to - from > 30) {
        const label = svg("text", { class: "label", x: from + 5, y: TOP + 14 });
        label.textContent = to - from > 86 ? `${one.host} · term ${one.term}` : one.host;
        if (to - from > 86 || label.textContent.length * 7 < to - from - 8) this.svg.append(label);
      }
    }
    for (const one of run.faults) {
      this.svg.append(svg("rect", { class: `fault ${one.by ?? ""}`, x: x(one.from), y: TOP + LEAD + (one.by === "found" ? FAULT / 2 : 1), width: Math.max(2, x(Math.min(one.to, run.end)) - x(one.from)), height: one.by ? FAULT / 2 - 1 : FAULT - 2 }));
    }
    const top = TOP + LEAD + FAULT;
    const marks = { election: [top + 1, top + MARKS - 2], decision: [top + 4, top + MARKS], drop: [top + 8, top + MARKS + 2] };
    for (const [kind, [from, to]] of Object.entries(marks)) {
      const places = [...new Set(run.marks[kind].map((t) => Math.round(x(t))))];
      this.svg.append(svg("path", { class: `marks ${kind}`, d: places.map((at) => `M${at + 0.5},${from}V${to}`).join("") }));
    }
    const step = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300].find((s) => (s * 1e6 * width) / long > 52) ?? 600;
    for (let n = Math.ceil(run.begin / 1e6 / step); n * step * 1e6 <= run.end; n++) {
      const s = Number((n * step).toFixed(2));
      if (x(s * 1e6) > width - 38) break;
      const label = svg("text", { class: "axis", x: x(s * 1e6), y: height - 7 });
      label.textContent = `${s} s`;
      this.svg.append(label);
    }
    if (run.broken >= 0) {
      const at = x(run.events[run.broken].t);
      this.svg.append(svg("path", { class: "fault", style: "opacity:1", d: `M${at - 7},${TOP}h14l-7,12z` }));
    }
    this.line = svg("line", { class: "now", y1: 0, y2: height - 18 });
    this.knob = svg("circle", { class: "knob", r: 5, cy: height - 20 });
    this.svg.append(this.line, this.knob);
    this.svg.setAttribute("aria-valuemin", Math.round(run.begin / 1e6));
    this.svg.setAttribute("aria-valuemax", Math.round(run.end / 1e6));
    this.show(this.t ?? 0);
  }

  show(t) {
    this.t = t;
    if (!this.line) return;
    const { begin, end } = this.run;
    const x = Math.round(((t - begin) / Math.max(1, end - begin)) * this.width * 2) / 2;
    if (x !== this.x || !this.line.hasAttribute("x1")) {
      this.x = x;
      this.line.setAttribute("x1", x);
      this.line.setAttribute("x2", x);
      this.knob.setAttribute("cx", Math.min(this.width - 5, Math.max(5, x)));
      this.svg.setAttribute("aria-valuenow", Math.round(t / 1e6));
      this.svg.setAttribute("aria-valuetext", `${(t / 1e6).toFixed(3)} seconds`);
    }
  }
}
