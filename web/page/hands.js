// What may be done to the lab, and the command of the shell that does the same: a button is its command's words.
import { html } from "page/panels.js";

/** Words as one would type them in a shell. */
export function typed(words) {
  return ["switchraft", ...words].map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\"'\"'")}'`)).join(" ");
}

export class Hands {
  constructor(live) {
    this.live = live;
    this.app = live.app;
    this.title = html("h2", { id: "hands-title" });
    this.acts = html("div", { id: "acts", role: "group", "aria-labelledby": "hands-title" });
    this.same = html("code", { id: "same", "aria-label": "The command that does the same" });
    this.done = html("output", { id: "done" });
    this.place = html("section", { id: "hands", "aria-label": "What may be done" }, this.title, this.acts, html("p", {}, this.same, " ", this.done));
    document.getElementById("line").before(this.place);
    this.buttons = [];
  }

  /** Show what may be done with something that was chosen; null: with the lab as a whole. */
  choose(target) {
    const { kind, id } = target ?? {};
    const make = { member: this.member, switch: this.aSwitch, controller: this.controller, host: this.host, link: this.link }[kind] ?? this.lab;
    this.buttons = [];
    this.title.textContent = "";
    this.same.textContent = this.done.textContent = this.done.className = "";
    this.acts.replaceChildren(...make.call(this, id, target));
    this.draw();
  }

  /** A button may be pressed where what it does is not so already. */
  draw() {
    const state = this.app.run.state; // hands act now, whatever moment is shown
    for (const { button, allowed } of this.buttons) {
      const off = Boolean(allowed && !allowed(state));
      if (button.disabled !== off) button.disabled = off;
    }
  }

  /** To the first of them, by keyboard. */
  focus() { this.acts.querySelector("button:enabled, select, input")?.focus(); }

  button(text, words, allowed) {
    const given = () => (typeof words === "function" ? words() : words);
    const show = () => { this.same.textContent = typed(given()); };
    const button = html("button", { type: "button", onclick: () => this.act(given()), onmouseenter: show, onfocus: show, "data-does": typeof words === "function" ? words.name : words.join(" ") }, text);
    this.buttons.push({ button, allowed });
    return button;
  }

  async act(words) {
    this.same.textContent = typed(words);
    this.done.className = "";
    this.done.textContent = "…";
    const answer = await this.live.command(words);
    this.say(answer.ok, answer.command || typed(words), answer.text);
  }

  say(ok, command, text) {
    if (command) this.same.textContent = command;
    this.done.className = ok ? "ok" : "bad";
    this.done.textContent = text;
  }

  process(words, name, more = []) {
    const is = (what) => (state) => Object.values(state.faults).some((fault) => fault.on === name && fault.what === `${name} ${what}`);
    const died = (state) => Object.values(state.faults).some((fault) => fault.on === name && /ended by itself/.test(fault.what));
    const alive = (state) => !is("killed")(state) && !died(state);
    const at = (action) => (name === "controller" ? [...words, action] : [...words, action, name]);
    return [
      this.button("Kill", at("kill"), alive),
      this.button("Start", at("start"), (state) => !alive(state)),
      ...more,
      this.button("Pause", at("pause"), (state) => alive(state) && !is("paused")(state)),
      this.button("Go on", at("resume"), is("paused")),
    ];
  }

  group(id) { return this.app.run.network.groups.length > 1 ? ["--group", String(id)] : []; }

  member(id) {
    const [name, group] = id.split("/");
    this.title.textContent = name;
    const votes = (state) => Object.values(state.members).some((one) => one.group === Number(group) && one.role === "leader" && one.up && one.voters.includes(state.members[id]?.id));
    return [
      ...this.process(["node"], name),
      this.button("Let it lead", ["transfer", name, ...this.group(group)], (state) => state.members[id]?.up && state.members[id].role !== "leader"),
      this.button("Add as a member", ["member", "add", name, ...this.group(group)], (state) => !votes(state)),
      this.button("Remove as a member", ["member", "remove", name, ...this.group(group)], votes),
    ];
  }

  aSwitch(name) {
    this.title.textContent = name;
    const feature = this.features();
    return [
      ...this.process(["switch"], name, [this.button("Restart", ["switch", "restart", name])]),
      html("span", { class: "gap" }), feature,
      this.button("Off here", () => ["feature", "off", feature.value, "--switch", name]),
      this.button("On here", () => ["feature", "on", feature.value, "--switch", name]),
    ];
  }

  controller() {
    this.title.textContent = "Controller";
    return this.process(["controller"], "controller");
  }

  host(name) {
    this.title.textContent = name;
    return [...this.request(["--from", name]), this.button("Add as a member", ["member", "add", name])];
  }

  link(_, { a, b }) {
    this.title.textContent = `Link ${a} – ${b}`;
    const broken = (state) => Object.values(state.faults).some((fault) => fault.by === "hand" && [`${a}-${b}`, `${b}-${a}`, `${a}>${b}`, `${b}>${a}`].includes(fault.on));
    return [
      this.button("Cut", ["link", "down", a, b]),
      this.button(`Cut ${a} → ${b}`, ["link", "down", a, b, "--one-way"]),
      this.button(`Cut ${b} → ${a}`, ["link", "down", b, a, "--one-way"]),
      this.button("Mend", ["link", "up", a, b], broken),
    ];
  }

  lab() {
    this.title.textContent = "The lab";
    const feature = this.features();
    return [
      ...this.request([]),
      html("span", { class: "gap" }), feature,
      this.button("Off", () => ["feature", "off", feature.value]),
      this.button("On", () => ["feature", "on", feature.value]),
      this.button("Mend all links", ["heal"]),
    ];
  }

  features() {
    return html("select", { "aria-label": "Feature of the switches" }, ...Object.keys(this.app.run.program?.features ?? {}).map((name) => html("option", {}, name)));
  }

  /** Send, put, get: fields and a button. */
  request(from) {
    const { network } = this.app.run;
    const members = network.hosts.filter((host) => host.member).map((host) => host.name);
    const what = html("select", { id: "request", "aria-label": "Request" }, ...["send", "put", "get"].map((name) => html("option", {}, name)));
    const key = html("input", { id: "key", size: 8, placeholder: "key", "aria-label": "Key" });
    const value = html("input", { id: "value", size: 14, placeholder: "value", "aria-label": "Value: JSON, or text" });
    const to = html("select", { id: "to", "aria-label": "To" }, ...["service", ...members].map((name) => html("option", {}, name)));
    const fit = () => { key.hidden = what.value === "send"; value.hidden = what.value === "get"; };
    what.onchange = fit;
    fit();
    const words = () => {
      const operands = { send: [value.value], put: [key.value, value.value], get: [key.value] }[what.value];
      const options = [...from, ...(to.value === "service" ? [] : ["--to", to.value]), ...this.group(this.app.group)];
      return [what.value, ...options, ...(operands.some((one) => one.startsWith("-")) ? ["--"] : []), ...operands];
    };
    const ask = this.button("Ask", words);
    for (const field of [key, value]) {
      field.addEventListener("input", () => { this.same.textContent = typed(words()); });
      field.addEventListener("keydown", (event) => { if (event.key === "Enter") ask.click(); });
    }
    return [what, key, value, html("label", {}, "to ", to), ask];
  }
}
