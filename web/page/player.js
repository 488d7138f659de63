// Where one is in a run: after so many events, at a time. Playing moves the time; stepping moves to an event.

export const KINDS = {
  "any event": () => true,
  message: (e) => e.k === "sent",
  election: (e) => e.k === "member" && e.set.role !== undefined,
  "log entry": (e) => e.k === "log",
  commit: (e, before) => e.k === "member" && e.set.commit !== undefined && (e.set.role ?? before?.role) === "leader",
  drop: (e) => e.k === "dropped",
  "table entry": (e) => e.k === "table",
  decision: (e) => e.k === "controller" && e.text !== undefined,
  "call or answer": (e) => e.k === "call" || e.k === "answer",
  fault: (e) => e.k === "fault" || e.k === "healed",
};
const QUIET = new Set(["way", "counters", "passed", "registers"]);

export class Player {
  /** `changed` is called whenever time or state is another one. */
  constructor(run, changed) {
    this.run = run;
    this.changed = changed;
    this.t = 0;
    this.count = 0;
    this.state = run.stateAfter(0);
    this.playing = false;
    this.speed = 0.1;
    this.stopped = false; // at a broken promise, once
    this.slide = null;
  }

  /** Be at a time, after all that has happened then. */
  seek(t) {
    this.slide = null;
    this.t = Math.max(this.run.begin, Math.min(t, this.run.end));
    this.goTo(this.run.countAt(this.t));
    this.changed();
  }

  goTo(count) {
    if (count < this.count || count - this.count > 2000) this.state = this.run.stateAfter(count);
    else for (let i = this.count; i < count; i++) this.state.apply(this.run.events[i], this.run.gone + i);
    this.count = count;
  }

  play() {
    if (this.t >= this.run.end) this.seek(0);
    this.playing = true;
    this.slide = null;
    this.before = undefined;
    this.changed();
    requestAnimationFrame((now) => this.frame(now));
  }

  pause() {
    this.playing = false;
    this.changed();
  }

  frame(now) {
    if (!this.playing) return;
    const passed = Math.min(100, now - (this.before ?? now));
    this.before = now;
    this.t = Math.min(this.run.end, this.t + passed * 1000 * this.speed);
    let count = this.run.countAt(this.t);
    const { broken } = this.run;
    if (broken >= 0 && this.count <= broken && count > broken) {
      count = broken + 1;
      this.t = this.run.events[broken].t;
      this.playing = false;
    }
    this.goTo(count);
    if (this.t >= this.run.end && this.run.complete) this.playing = false;
    this.changed();
    if (this.playing) requestAnimationFrame((next) => this.frame(next));
  }

  /** To the next event of a kind, or the one before; false if there is none. */
  step(kind, direction) {
    this.playing = false;
    const wanted = KINDS[kind];
    const { events } = this.run;
    for (let i = direction > 0 ? this.count : this.count - 2; i >= 0 && i < events.length; i += direction) {
      if (QUIET.has(events[i].k) || !wanted(events[i], this.memberBefore(events[i], i))) continue;
      const from = this.t;
      this.t = events[i].t;
      this.goTo(i + 1);
      if (direction > 0) this.glide(from, this.t);
      this.changed();
      return true;
    }
    this.changed();
    return false;
  }

  /** What a step's filter may have to know of a member: its role, roughly as it is now. */
  memberBefore(e, i) {
    if (e.k !== "member" || e.set.commit === undefined || e.set.role) return undefined;
    const leads = this.run.leaders.some((one) => one.host === e.who && one.group === e.group && one.from <= e.t && (one.to ?? Infinity) >= e.t);
    return { role: leads ? "leader" : "follower" };
  }

  /** Let messages be seen on their way from one time to another, unless somebody wants no motion. */
  glide(from, to) {
    if (to - from > 400_000 || to === from || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const slide = (this.slide = { from: Math.max(from, to - 2000), to, began: performance.now(), lasts: 350 });
    const go = (now) => {
      if (this.slide !== slide) return;
      if (now - slide.began >= slide.lasts) this.slide = null;
      this.changed();
      if (this.slide) requestAnimationFrame(go);
    };
    requestAnimationFrame(go);
  }

  /** The time that is drawn. */
  get shown() {
    if (!this.slide) return this.t;
    const share = Math.min(1, Math.max(0, performance.now() - this.slide.began) / this.slide.lasts);
    return this.slide.from + (this.slide.to - this.slide.from) * share;
  }
}
