// A lab that runs: its stream, kept at what happens now unless somebody has gone back; saving; and what to do when the
// stream, the lab or the session ends.
import { FaultsView } from "page/faults.js";
import { Hands } from "page/hands.js";
import { html, isThere } from "page/panels.js";

const KEY = "switchraft-key", CHOSEN = "switchraft-chosen", LEFT = "switchraft-left";
const AGAIN = 1500; // milliseconds between two tries to reach the server
const NEAR = 300_000; // microseconds behind the last event, where the present is shown: events come in batches
const FAR = 1_500_000; // further behind than that, the present is jumped to
const LONG = 6 * 3_600_000_000; // then the page is opened anew: its lists of what is gone have grown
const MORE = 0.01; // of what the server keeps, that is kept here beyond that: letting go takes a while
const LATE = 3_000_000; // behind the machine's clock: so late are events that have waited for a page which stood still
const CURRENT = 2_000_000; // no further behind, it has caught up
const REDRAWN = 1000; // milliseconds between two drawings of the line of time
const MOMENT = 10_000_000; // before and after, when a moment is saved

/** Why a page was opened anew, by the server's words or its own; of so many seconds without news. */
const REASONS = {
  behind: (seconds) => `This page stood still for ${seconds} s, longer than the server remembers. It was opened anew; what is older is gone.`,
  frozen: (seconds) => `The browser had frozen this page, and nothing came in for ${seconds} s. It was opened anew, with all that the server remembers.`,
  lost: (seconds) => `Nothing was heard of the page's server for ${seconds} s. This was opened anew, with all that the server remembers.`,
  another: () => "The network is another one than before, or has more members. This was opened anew.",
};

/** The source of a lab's events, and what the page can do beyond showing them. */
export class Live {
  constructor() {
    this.waiting = new Map(); // by number of a command: who waits for its answer
    this.asked = 0;
    this.sampled = null;
    this.followed = true;
    this.keeps = Infinity; // microseconds that the server remembers, as it says
    this.currentAt = Date.now(); // when the page was last up to date
    this.frozen = false; // by the browser, since the page was up to date
    document.addEventListener("freeze", () => { this.frozen = true; });
    this.late = undefined; // whether what comes has waited for this page; unknown until the page has been up to date
  }

  /** Resolves once something is shown; then goes on. */
  open(head, more) {
    this.head = head;
    this.more = more;
    return new Promise((resolve) => { this.began = resolve; this.connect(); });
  }

  connect() {
    const address = new URL("stream", location.href);
    address.protocol = "ws:";
    address.search = address.hash = "";
    const socket = (this.socket = new WebSocket(address));
    socket.onopen = () => socket.send(JSON.stringify({ key: localStorage.getItem(KEY) }));
    socket.onmessage = (message) => this.take(message.data);
    socket.onclose = (event) => this.closed(event.code);
  }

  take(text) {
    let events = [];
    for (const one of JSON.parse(`[${text.replaceAll("\n", ",")}]`)) {
      if (one.k !== undefined) events.push(one);
      else if (one.format) this.begin(one);
      else if (one.answer !== undefined) this.answered(one);
      else if (one.keeps) this.keeps = one.keeps;
      else if (one.reopen) this.reopen(one.reopen);
      else if (one.waiting) this.banner(one.waiting);
    }
    if (!this.app || this.left) return;
    for (const one of events) if (one.k === "sampled") this.sampled = one;
    const oldest = events[0];
    this.more(events);
    if (!this.shown) this.show();
    else if (oldest) this.keepUp(oldest.t);
    this.redraw();
  }

  /** Say so where events have waited for this page, as while the browser had frozen it. `oldest`: the time of the first that came. */
  keepUp(oldest) {
    const { run } = this.app;
    const behind = (t) => 1000 * Date.now() - (1e6 * run.header.began + t);
    if (behind(oldest) > LATE && this.late !== undefined) this.late = true;
    if (behind(run.end) > CURRENT) return;
    if (this.late) this.news(`${this.frozen ? "The browser had frozen this page: it" : "This page"} stood still for ${this.silence()} s and has caught up. The line of time has what happened.`);
    this.late = this.frozen = false;
    this.currentAt = Date.now();
  }

  silence() { return Math.round((Date.now() - this.currentAt) / 1000); }

  begin(header) {
    document.getElementById("banner")?.remove();
    this.app = this.head(header);
    const { app } = this;
    app.live = this;
    app.remember = () => {}; // a moment's time is another one when the stream is opened anew
    const choose = app.choose.bind(app);
    app.choose = (target, stay) => {
      const message = target?.kind === "message" ? app.run.messages[target.id] : undefined;
      if (message?.told?.error) message.told = undefined; // once more
      const goesOn = this.following && !["message", "moment", "broken"].includes(target?.kind);
      this.chooseLink(null);
      choose(target, stay);
      this.hands.choose(target);
      if (target && ["member", "switch", "controller", "host"].includes(target.kind)) sessionStorage.setItem(CHOSEN, JSON.stringify({ kind: target.kind, id: target.id }));
      else sessionStorage.removeItem(CHOSEN);
      if (goesOn) this.toNow();
    };
    document.head.append(html("link", { rel: "stylesheet", href: "live.css" }));
    document.documentElement.dataset.live = "true";
    this.controls();
    this.hands = new Hands(this);
    addEventListener("keydown", (event) => {
      // Between a panel's beginning and what may be done there can be a hundred links.
      if (event.key !== "h" || event.altKey || event.ctrlKey || event.metaKey || event.target.matches?.("select, input")) return;
      event.preventDefault();
      this.hands.focus();
    });
    this.faults = new FaultsView(app, (link) => this.chooseLink(link));
    app.network.drawn = (link) => { if (this.shown) this.faults.draw(link); };
  }

  /** The first events are there: show the present. */
  show() {
    this.shown = true;
    this.began();
    this.app.run.complete = false;
    this.toNow();
    const chosen = JSON.parse(sessionStorage.getItem(CHOSEN) ?? "null");
    const state = this.app.state;
    if (chosen && (chosen.kind !== "member" || state.members[chosen.id])) this.app.choose(chosen, true);
    else this.hands.choose(null);
    this.currentAt = Date.now();
    const left = sessionStorage.getItem(LEFT);
    sessionStorage.removeItem(LEFT);
    if (left) this.news(left);
    document.documentElement.dataset.ready = "true";
  }

  // -- the present --------------------------------------------------------------------------------------------------

  get following() { return this.followed && this.app.player.playing; }

  /** Show what happens now, and go on with it. */
  toNow() {
    const { player, run } = this.app;
    player.stepped = false;
    this.followed = true;
    player.speed = 1;
    document.getElementById("speed").value = "1";
    player.seek(Math.max(0, run.end - NEAR));
    if (!player.playing) player.play();
  }

  redraw() {
    const { app } = this;
    if (this.following && app.run.end - app.player.t > FAR) app.player.seek(app.run.end - NEAR);
    const now = performance.now();
    if (now - (this.redrawnAt ?? 0) < REDRAWN) return;
    this.redrawnAt = now;
    app.timeline.draw(app.group);
    if (this.following && app.run.end > LONG) this.reopen();
    if (this.following && app.run.end - app.run.begin > (1 + MORE) * this.keeps) this.forget();
    app.plan();
  }

  /** Let go of what the server remembers no more. */
  forget() {
    const { app } = this;
    const less = app.run.forget(app.run.end - this.keeps);
    app.player.count -= less;
    app.told = app.told < less ? undefined : app.told - less;
    if (app.chosen && !isThere(app, app.chosen)) app.choose(null, true);
  }

  /** Called with each drawing of the page. */
  draw() {
    if (!this.shown) return;
    if (!this.app.player.playing) this.followed = false;
    this.faults.draw();
    this.hands.draw();
    const behind = this.app.run.end - this.app.player.t;
    const label = this.following ? "Now" : `To now (${(behind / 1e6).toFixed(0)} s)`;
    if (this.nowButton.textContent !== label) this.nowButton.textContent = label;
    this.nowButton.setAttribute("aria-pressed", String(this.following));
    const share = this.sampled && this.sampled.of > this.sampled.told ? `${this.sampled.told}/${this.sampled.of} packets` : "";
    if (this.share.textContent !== share) this.share.textContent = share;
  }

  controls() {
    const gap = document.querySelector("#transport .gap");
    this.nowButton = html("button", { type: "button", id: "now", onclick: () => this.toNow() }, "Now");
    this.share = html("small", { id: "share", title: "So many are drawn of how many there were: fairly chosen; the switches' counters count all of them" });
    gap.before(this.nowButton, this.share);
    document.getElementById("link").hidden = true;
    gap.after(
      html("button", { type: "button", id: "save-moment", title: "Ten seconds before and after what is shown; for `switchraft view`", onclick: () => this.save(true) }, "Save moment"),
      html("button", { type: "button", id: "save-all", title: "All that is remembered; the same: switchraft web --save lab.rec", onclick: () => this.save(false) }, "Save all"),
    );
  }

  // -- what is asked ------------------------------------------------------------------------------------------------

  /** Carry out a command of the shell, by its words: {ok, text, command}. */
  command(words) { return this.ask({ do: words }); }

  /** Learn what the switches' programs did to a message, unless that was asked already; then show it if it is still open. It is worked
      out for who asks, from what the switches held then. */
  async learn(message) {
    const { app } = this, { run } = app, known = message.hops.length;
    if (message.told !== undefined && message.told?.known >= known) return;
    message.told = { known };
    const answer = await this.ask({ open: message.m, at: Math.round(run.header.began * 1e6 + message.t) });
    if (answer.ok) {
      if (!run.program.fields.length) run.program.fields = answer.fields;
      const hops = answer.hops.map((hop) => ({ ...hop, way: run.wayOf(answer.ways[hop.way]) }));
      message.told = { known, hops, ends: answer.ends };
    } else message.told = { known, error: answer.text };
    if (app.chosen?.kind !== "message" || app.chosen.id !== message.m) return;
    app.drawnPanel = "";
    app.showPanel();
  }

  /** Ask the server: what it answers. */
  ask(request) {
    const id = ++this.asked;
    return new Promise((resolve) => {
      if (this.socket.readyState !== WebSocket.OPEN) {
        resolve({ ok: false, text: "the page's server does not answer", command: "" });
        return;
      }
      this.waiting.set(id, resolve);
      this.socket.send(JSON.stringify({ id, ...request }));
    });
  }

  answered(answer) {
    this.waiting.get(answer.answer)?.(answer);
    this.waiting.delete(answer.answer);
  }

  chooseLink(link) {
    if (!this.hands) return;
    this.faults.chosen = link;
    if (link) this.hands.choose({ kind: "link", ...link });
  }

  async save(moment) {
    const { run, player } = this.app;
    const began = run.header.began * 1e6;
    const part = moment ? `?from=${Math.round(began + player.t - MOMENT)}&to=${Math.round(began + player.t + MOMENT)}` : "";
    const answer = await fetch(`run.rec${part}`, { headers: { "X-Switchraft-Key": localStorage.getItem(KEY) ?? "" } });
    if (!answer.ok) return this.hands.say(false, "", await answer.text());
    const file = html("a", { href: URL.createObjectURL(await answer.blob()), download: moment ? "moment.rec" : "lab.rec" });
    file.click();
    URL.revokeObjectURL(file.href);
    return this.hands.say(true, "", `saved as ${file.download}; look at it with: switchraft view ${file.download}`);
  }

  // -- ends ---------------------------------------------------------------------------------------------------------

  /** `why`: one of REASONS, to be said then. */
  reopen(why) {
    this.left = true;
    if (this.shown && REASONS[why]) sessionStorage.setItem(LEFT, REASONS[why](this.silence()));
    location.reload();
  }

  async closed(code) {
    if (this.left) return;
    for (const resolve of this.waiting.values()) resolve({ ok: false, text: "the page's server has ended before it answered", command: "" });
    this.waiting.clear();
    if (code === 4403) return this.ended();
    this.banner("The page's server does not answer. This goes on as soon as it does.");
    for (;;) {
      await new Promise((resolve) => { setTimeout(resolve, AGAIN); });
      const status = await fetch("live.js", { cache: "no-store" }).then((answer) => answer.status, () => 0);
      if (status === 403) return this.ended();
      if (status === 200) return this.app ? this.reopen(this.frozen ? "frozen" : "lost") : this.connect();
    }
  }

  ended() {
    this.banner("This session has ended. Open the address that `switchraft web` prints: each is good once.");
    return this.began();
  }

  /** Something that has happened to this page, to be read and closed. */
  news(text) {
    document.getElementById("news")?.remove();
    const close = html("button", { type: "button", "aria-label": "Close this note", onclick: () => document.getElementById("news").remove() }, "×");
    document.body.prepend(html("p", { id: "news", role: "status" }, html("span", {}, text), close));
  }

  banner(text) {
    document.getElementById("banner")?.remove();
    document.body.prepend(html("p", { id: "banner", role: "alert" }, text));
  }
}
