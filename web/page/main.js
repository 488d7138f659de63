// The page: opens a run, and binds the parts to each other.
import { Live } from "page/live.js";
import { Embedded, Remote } from "page/source.js";
import { NetworkView } from "page/network.js";
import { html, isThere, panelOf } from "page/panels.js";
import { KINDS, Player } from "page/player.js";
import { Run } from "page/run.js";
import { tell } from "page/tell.js";
import { Timeline } from "page/timeline.js";

const $ = (id) => document.getElementById(id);
const SPEEDS = [0.001, 0.01, 0.1, 0.5, 1, 5];

class App {
  constructor(header) {
    this.run = new Run(header);
    this.group = this.run.network.groups[0]?.id;
    this.chosen = null;
    this.hop = null; // the one that was chosen, of a message's
    document.title = `${header.title} – switchraft`;
    $("title").textContent = header.title;
    this.player = new Player(this.run, () => this.plan());
    this.network = new NetworkView($("network"), this.run, (target) => this.choose(target));
    this.timeline = new Timeline($("timeline"), this.run, (t) => { this.player.pause(); this.player.stepped = false; this.player.seek(t); });
    this.controls();
  }

  get state() { return this.player.state; }
  get count() { return this.player.count; }
  get t() { return this.player.t; }

  /** The run is whole. */
  opened() {
    this.run.done();
    this.timeline.draw(this.group);
    this.follow(location.hash) || this.player.seek(0);
    document.documentElement.dataset.ready = "true";
  }

  /** Draw with the next frame. */
  plan() {
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame(() => { this.planned = false; this.draw(); });
  }

  draw() {
    const { player, run } = this;
    const about = this.say();
    const focus = player.playing ? undefined : this.chosen?.kind === "message" ? this.chosen.id : about?.kind === "message" ? about.id : undefined;
    this.network.show(player.state, player.count, player.shown, this.group, player.playing ? player.speed * 1000 : 0, this.chosen, focus);
    this.timeline.show(player.t);
    $("clock").textContent = `${(player.t / 1e6).toFixed(6)} s`;
    const playing = player.playing;
    if ($("play").dataset.playing !== String(playing)) {
      $("play").dataset.playing = String(playing);
      $("play").replaceChildren(playing ? "❚❚" : "▶", html("span", {}, playing ? "Pause" : "Play"));
      $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
      $("line").setAttribute("aria-live", playing ? "off" : "polite");
    }
    if (run.broken >= 0 && player.count > run.broken && !this.toldBroken && !playing) {
      this.toldBroken = true;
      this.choose({ kind: "broken", id: 0 });
      return;
    }
    const now = performance.now();
    if (this.chosen && this.chosen.kind !== "help" && (!playing || now - (this.panelAt ?? 0) > 250)) this.showPanel();
    if (!playing) this.remember();
    this.live?.draw();
  }

  /** The line that says what just happened, and why. Returns what it is about. */
  say() {
    const { player, run } = this;
    const last = player.count - 1;
    const i = player.playing || !player.stepped ? run.lastNotable(player.count) : last;
    if (i === this.told) return this.about;
    this.told = i;
    const nothing = run.gone ? "Nothing out of the ordinary up to here, as far back as this page remembers" : "Nothing has happened yet";
    const said = i < 0 ? { text: nothing, why: "" } : tell(run, i, run.stateAfter(i));
    const e = run.events[i];
    const time = e ? `${(e.t / 1e6).toFixed(3)} s` : "";
    $("line").replaceChildren(html("span", { class: "tag" }, time), html("span", {}, html("b", {}, said.text), said.why ? html("span", { class: "why" }, ` – ${said.why}`) : ""));
    $("line").classList.toggle("broken", e?.k === "broken");
    return (this.about = said.about ?? null);
  }

  /** Show the details of something; null: close them. A moment is gone to. `stay`: as the time and the focus are. */
  choose(target, stay = false) {
    if (target?.kind === "moment") return this.goTo(target.id);
    if (target && !isThere(this, target)) return undefined;
    const message = target?.kind === "message" && !stay ? this.run.messages[target.id] : undefined;
    if (message && (message.sent >= this.count || message.end < this.player.t)) {
      this.player.stepped = false;
      this.player.seek(message.t);
    }
    if (!target) {
      const before = this.chosen;
      this.chosen = null;
      $("panel").hidden = true;
      // The drawing is made anew when it has more room, so nodes are known by their names.
      const opener = before?.opener?.dataset?.name ? this.network.nodes[before.opener.dataset.name]?.root : before?.opener;
      if (!stay && opener?.isConnected) opener.focus();
    } else {
      const opener = $("panel").contains(document.activeElement) ? this.chosen?.opener : document.activeElement;
      this.chosen = { ...target, opener };
      this.hop = null;
      this.player.pause();
      this.drawnPanel = "";
      this.showPanel();
      $("panel").scrollTop = 0;
      // Who follows links wants to go on to the next one.
      if (!stay) $("panel").focus({ preventScroll: true });
    }
    this.plan();
    return undefined;
  }

  chooseHop(hop) {
    this.hop = hop;
    this.drawnPanel = "";
    this.showPanel();
  }

  showPanel() {
    this.panelAt = performance.now();
    const { kind, id } = this.chosen;
    const key = ["message", "help"].includes(kind) ? `${kind} ${id} ${this.hop}` : `${kind} ${id} ${this.count} ${Math.round(this.t / 1000)}`;
    if (key === this.drawnPanel) return;
    this.drawnPanel = key;
    const panel = $("panel");
    const { title, content, wide } = panelOf(this);
    const top = panel.scrollTop;
    panel.hidden = false;
    panel.classList.toggle("wide", Boolean(wide));
    panel.dataset.kind = kind;
    panel.replaceChildren(html("header", {}, html("h2", {}, title), html("button", { type: "button", "aria-label": "Close", onclick: () => this.choose(null) }, "×")), ...content);
    panel.scrollTop = top;
  }

  // -- moments ------------------------------------------------------------------------------------------------------

  /** Go to where a link points; false if it points nowhere. */
  follow(hash) {
    const given = new URLSearchParams(hash.replace(/^#/, ""));
    const t = Number.parseFloat(given.get("t"));
    if (!Number.isFinite(t)) return false;
    if (given.get("g")) this.group = Number(given.get("g"));
    this.player.pause();
    this.player.stepped = false;
    this.player.seek(Math.round(t * 1e6));
    const e = Number.parseInt(given.get("e"), 10);
    if (e > 0 && e <= this.player.count) this.goTo(e - 1);
    const [kind, id] = (given.get("see") ?? "").split(":");
    if (kind) this.choose({ kind, id: ["message", "call"].includes(kind) ? Number(id) : id }, true);
    else if (this.chosen) this.choose(null, true);
    return true;
  }

  /** Be just after an event, which the line tells. */
  goTo(i) {
    const { player, run } = this;
    player.pause();
    player.stepped = true;
    player.seek(run.events[i].t);
    player.goTo(i + 1);
  }

  /** A link to this moment. */
  hash() {
    const { player, run } = this;
    const parts = [`t=${(player.t / 1e6).toFixed(6)}`];
    if (player.stepped) parts.push(`e=${player.count}`);
    if (run.network.groups.length > 1) parts.push(`g=${this.group}`);
    if (this.chosen && this.chosen.kind !== "help") parts.push(`see=${this.chosen.kind}:${this.chosen.id}`);
    return `#${parts.join("&")}`;
  }

  remember() {
    clearTimeout(this.rememberer);
    this.rememberer = setTimeout(() => {
      const hash = this.hash();
      if (hash !== location.hash) history.replaceState(null, "", hash);
    }, 200);
  }

  // -- controls -----------------------------------------------------------------------------------------------------

  controls() {
    const { player } = this;
    $("kind").append(...Object.keys(KINDS).map((kind) => html("option", {}, kind)));
    $("speed").append(...SPEEDS.map((speed) => html("option", { value: speed, selected: speed === player.speed }, speed < 1 ? `1/${Math.round(1 / speed)}` : `${speed}×`)));
    $("speed").onchange = () => { player.speed = Number($("speed").value); };
    $("play").onclick = () => this.toggle();
    $("step").onclick = () => this.step(1);
    $("back").onclick = () => this.step(-1);
    $("help").onclick = () => this.choose({ kind: "help", id: "" });
    $("theme").onclick = () => {
      const { dataset } = document.documentElement;
      dataset.theme = dataset.theme === "dark" ? "light" : "dark";
    };
    $("link").onclick = async () => {
      history.replaceState(null, "", this.hash());
      try { await navigator.clipboard.writeText(location.href); $("link").textContent = "Copied"; } catch { $("link").textContent = "In the address bar"; }
      setTimeout(() => { $("link").textContent = "Link"; }, 1500);
    };
    const { groups } = this.run.network;
    if (groups.length > 1) {
      $("group-choice").hidden = false;
      $("group").append(...groups.map((group) => html("option", { value: group.id }, String(group.id))));
      $("group").onchange = () => { this.group = Number($("group").value); this.timeline.draw(this.group); this.plan(); };
    }
    // The address may have been remembered anew since the link was clicked; the event knows where it led.
    addEventListener("hashchange", (event) => this.follow(new URL(event.newURL).hash));
    addEventListener("click", (event) => {
      // A link to where the address is already: the run has been played on since.
      const link = event.target.closest?.("a[href^='#']");
      if (link && link.hash === location.hash) this.follow(link.hash);
    });
    addEventListener("keydown", (event) => this.key(event));
  }

  toggle() {
    this.player.stepped = false;
    if (this.player.playing) this.player.pause(); else this.player.play();
  }

  step(direction) {
    this.player.stepped = true;
    this.player.step($("kind").value, direction);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches?.("select, input, summary")) return;
    const { player } = this;
    const second = (by) => { player.pause(); player.stepped = false; player.seek(player.t + by); };
    const acts = {
      " ": () => this.toggle(),
      ArrowRight: () => (event.shiftKey ? second(1e6) : this.step(1)),
      ArrowLeft: () => (event.shiftKey ? second(-1e6) : this.step(-1)),
      Home: () => second(-Infinity), End: () => second(Infinity),
      "+": () => this.faster(1), "-": () => this.faster(-1), "−": () => this.faster(-1),
      m: () => this.about && this.choose(this.about), M: () => this.about && this.choose(this.about),
      Escape: () => this.choose(null), "?": () => this.choose({ kind: "help", id: "" }),
    };
    if (!acts[event.key] || (event.key === " " && event.target.matches?.("button"))) return;
    event.preventDefault();
    acts[event.key]();
  }

  faster(by) {
    const at = SPEEDS.indexOf(this.player.speed) + by;
    if (SPEEDS[at] === undefined) return;
    this.player.speed = SPEEDS[at];
    $("speed").value = String(SPEEDS[at]);
  }
}

function sourceOf() {
  const embedded = $("run");
  if (embedded) return new Embedded(embedded);
  return new URLSearchParams(location.search).has("live") ? new Live() : new Remote("run.rec");
}

if (matchMedia("(prefers-color-scheme: dark)").matches) document.documentElement.dataset.theme = "dark";
let app;
try {
  await sourceOf().open(
    (header) => (app = globalThis.switchraft = new App(header)),
    (events) => app.run.add(events),
    () => app.opened(),
  );
} catch (error) {
  $("line").textContent = `The run cannot be shown: ${error.message}`;
  $("line").classList.add("broken");
  console.error(error);
}
