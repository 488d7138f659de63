// What tests.web.measure runs in the page. Each is called by its name, with arguments; the last takes the answer.
(() => {
  const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const nextTask = () => new Promise((resolve) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = resolve; port2.postMessage(0); });
  // A callback of a frame runs before the frame is painted, the task after it when it has been.
  const painted = async () => { await nextFrame(); await nextTask(); };

  /** Tasks of 50 ms and more while something runs: [start, duration, what ran in it], in milliseconds. */
  function watchTasks(buffered = false) {
    const tasks = [], frames = [];
    const take = (entries) => entries.forEach((one) => (one.entryType === "longtask" ? tasks : frames).push(one));
    const observer = new PerformanceObserver((list) => take(list.getEntries()));
    observer.observe({ type: "longtask", buffered });
    observer.observe({ type: "long-animation-frame", buffered });
    return () => {
      take(observer.takeRecords());
      observer.disconnect();
      return tasks.map((task) => [task.startTime, task.duration, ranIn(task, frames)]);
    };
  }

  /** The browser names scripts by frame; what is left of a task is style, layout, painting, or garbage. */
  function ranIn(task, frames) {
    const end = task.startTime + task.duration, parts = [];
    for (const frame of frames.filter((one) => one.startTime < end && one.startTime + one.duration > task.startTime)) {
      for (const one of frame.scripts.filter((script) => script.startTime < end && script.startTime + script.duration > task.startTime)) {
        const file = (one.sourceURL || "?").split("/").pop().slice(0, 40);
        parts.push(`${one.sourceFunctionName || "a script"} of ${file} ${Math.round(one.duration)} ms, ${Math.round(one.forcedStyleAndLayoutDuration)} of it layout`);
      }
      if (frame.styleAndLayoutStart && frame.styleAndLayoutStart < end) parts.push(`style, layout and painting ${Math.round(end - frame.styleAndLayoutStart)} ms`);
    }
    return parts.join("; ") || "no script: the browser itself, as for garbage";
  }

  /** Open what is named as links name it, "member:h1/1"; "" closes. */
  function open(see) {
    const [kind, id] = see.split(":");
    switchraft.choose(see ? { kind, id: ["message", "call"].includes(kind) ? Number(id) : id } : null);
  }

  /** Frames in the second that has fewest of them; in all there is, if that is less than a second. */
  function slowest(frames) {
    let least = frames.length - 1;
    for (let from = 0, to = 0; to < frames.length; to++) {
      // From a frame that is late, the second goes back over the gap before it.
      while (frames[to] - frames[from] > 1000) { least = Math.min(least, to - from - 1); from++; }
    }
    return least;
  }

  globalThis.measures = {
    /** When the whole run was on the screen, in milliseconds since the address was asked for; tasks until then. */
    async opened(done) {
      while (document.documentElement.dataset.ready !== "true") await nextFrame();
      await painted();
      const now = performance.now(), stop = watchTasks(true);
      setTimeout(() => done([now, stop()]), 100);
    },

    /** What the run is of, and things to open in it: of each kind one that has much to show. */
    run(done) {
      const { run } = switchraft, { network } = run;
      const message = run.messages.findLast((one) => one?.hops?.length > 1 && one.ended > 0);
      const call = run.calls.findLast((one) => one?.answer > 0);
      done({
        members: network.hosts.filter((one) => one.member).length,
        switches: network.switches.length,
        seconds: run.end / 1e6,
        operations: run.calls.filter((one) => one?.answer >= 0).length,
        events: run.events.length,
        things: ["", `member:${run.leaders.at(-1).host}/1`, `switch:${network.switches[0]}`, `message:${message.m}`,
          `call:${run.events[call.call].call}`, `host:${network.hosts.find((one) => !one.member).name}`, "controller:controller"],
      });
    },

    /** Go to moments with something open: milliseconds each, until it is painted. */
    async jumps(moments, see, done) {
      const took = [];
      open(see);
      await painted();
      for (const t of moments) {
        const begin = performance.now();
        switchraft.player.seek(t);
        await painted();
        took.push(performance.now() - begin);
      }
      open("");
      done(took);
    },

    /** Frames and tasks while the page goes on by itself, with something open: as `plays`. */
    async watches(seconds, see, done) {
      const frames = [];
      open(see);
      await painted();
      const stop = watchTasks();
      do frames.push(await nextFrame()); while (frames.at(-1) - frames[0] < 1000 * seconds);
      setTimeout(() => done([(1000 * (frames.length - 1)) / (frames.at(-1) - frames[0]), slowest(frames), stop()]), 100);
    },

    /** Play for some seconds with something open, from the start again at the end: [frames a second, of the slowest second, tasks]. */
    async plays(seconds, speed, from, see, done) {
      const { player } = switchraft, frames = [];
      open(see);
      if (from !== null) player.seek(from * 1e6);
      await painted();
      const stop = watchTasks();
      player.speed = speed;
      player.play();
      do {
        frames.push(await nextFrame());
        if (!player.playing) player.play();
      } while (frames.at(-1) - frames[0] < 1000 * seconds);
      player.pause();
      await painted();
      setTimeout(() => done([(1000 * (frames.length - 1)) / (frames.at(-1) - frames[0]), slowest(frames), stop()]), 100);
    },
  };
})();
