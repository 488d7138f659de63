// What the tests ask of the page. Each is called by its name, with arguments.
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const overlap = (a, b, by = 0) => a.left < b.right - by && b.left < a.right - by && a.top < b.bottom - by && b.top < a.bottom - by;

  globalThis.questions = {
    /** What the drawing says of each node, by name. */
    nodes: () => Object.fromEntries(all("#network .node").map((one) => [one.dataset.name, one.getAttribute("aria-label")])),

    /** Nodes of the drawing that overlap, or are cut off. */
    overlaps() {
      const nodes = all("#network .node").map((node) => {
        const boxes = all("text, path, rect:not(.halo), circle.track, circle.crown", node)
          .filter((one) => getComputedStyle(one).visibility === "visible" && one.getBoundingClientRect().width)
          .map((one) => one.getBoundingClientRect());
        return {
          name: node.dataset.name,
          left: Math.min(...boxes.map((box) => box.left)), right: Math.max(...boxes.map((box) => box.right)),
          top: Math.min(...boxes.map((box) => box.top)), bottom: Math.max(...boxes.map((box) => box.bottom)),
        };
      });
      const area = document.getElementById("network").getBoundingClientRect();
      const found = nodes.filter((one) => one.left < area.left || one.right > area.right || one.top < area.top || one.bottom > area.bottom)
        .map((one) => `${one.name} is cut off`);
      nodes.forEach((a, place) => nodes.slice(place + 1).forEach((b) => overlap(a, b) && found.push(`${a.name} and ${b.name}`)));
      return found;
    },

    /** Controls that overlap. */
    controls() {
      const boxes = all("#transport button, #transport select, #transport output, #bar button, #bar h1, #hands button, #hands select, #hands input, #hands h2, #hands p")
        .filter((one) => one.getClientRects().length).map((one) => [one.id || one.textContent || one.ariaLabel, one.getBoundingClientRect()]);
      return boxes.flatMap(([a, p], place) => boxes.slice(place + 1).filter(([, q]) => overlap(p, q, 0.5)).map(([b]) => `${a} and ${b}`));
    },

    /** Texts that are drawn smaller than 11 px. */
    small() {
      const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const one = walker.currentNode.parentElement, size = Number.parseFloat(getComputedStyle(one).fontSize);
        if (walker.currentNode.textContent.trim() && one.getClientRects().length && size < 11) found.push([one.textContent, size]);
      }
      return found;
    },

    /** Parts of the page that reach out of the window. */
    cutOff() {
      const wide = document.documentElement.scrollWidth;
      const found = wide > innerWidth ? [`the page is ${wide} wide`] : [];
      for (const one of all("#transport > *, #bar > *, #line, #timeline, #panel:not([hidden]), #hands, #acts > *, #news > *, #banner")) {
        const box = one.getBoundingClientRect();
        const out = box.right > innerWidth + 0.5 || box.left < -0.5 || box.bottom > innerHeight + 0.5;
        if (box.width && out) found.push(one.id || one.textContent);
      }
      return found;
    },

    /** Parts of the page that a lesson's text covers, or is covered by. */
    covered() {
      const shown = all("#bar, #network, #line, #timeline, #transport, #panel:not([hidden]), #lesson").map((one) => [one.id, one.getBoundingClientRect()]);
      const found = shown.filter(([id, box]) => overlap(box, shown.at(-1)[1], 0.5) && id !== "lesson").map(([id]) => id);
      const [, lesson] = shown.at(-1);
      if (lesson.left < 0 || lesson.right > innerWidth || lesson.bottom > innerHeight + 0.5) found.push("lesson is cut off");
      for (const one of all("#lesson *")) if (one.getBoundingClientRect().right > lesson.right) found.push(`${one.tagName}: ${one.textContent}`);
      return found;
    },

    /** Links that can be chosen, as [one end, the other]. */
    wires: () => all("#wires .wire").filter((one) => one.querySelector(".hit").getBoundingClientRect().width + one.querySelector(".hit").getBoundingClientRect().height > 0)
      .map((one) => one.dataset.link.split("-")),

    /** Links that run through a node at neither of their ends. */
    through() {
      const nodes = all("#network .node").map((node) => [node.dataset.name, node.querySelector(".box, .body, .track").getBoundingClientRect()]);
      return all("#wires .wire").flatMap((wire) => {
        const line = wire.querySelector(".hit"), ends = wire.dataset.link.split("-");
        const [x1, y1, x2, y2] = ["x1", "y1", "x2", "y2"].map((name) => Number(line.getAttribute(name)));
        const { left, top } = document.getElementById("network").getBoundingClientRect();
        const inside = (share, box) => {
          const x = left + x1 + (x2 - x1) * share, y = top + y1 + (y2 - y1) * share;
          return x > box.left && x < box.right && y > box.top && y < box.bottom;
        };
        return nodes.filter(([name, box]) => !ends.includes(name) && [...Array(101).keys()].some((n) => inside(n / 100, box)))
          .map(([name]) => `${wire.dataset.link} through ${name}`);
      });
    },

    /** How many dots are drawn, and the greatest width of a link. */
    traffic: () => [
      all(".dot").filter((one) => one.getAttribute("visibility") !== "hidden").length,
      Math.max(...all(".link").map((one) => Number(one.getAttribute("stroke-width")))),
    ],

    /** The dots of a message: of each the node that is nearest. */
    dotsOf(m) {
      const middle = (one) => { const box = one.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; };
      const nodes = all("#network .node").map((one) => [one.dataset.name, middle(one)]);
      return switchraft.network.dots.filter((dot) => dot.m === m && dot.root.getAttribute("visibility") !== "hidden").map((dot) => {
        const [x, y] = middle(dot.body);
        return nodes.map(([name, [a, b]]) => [Math.hypot(x - a, y - b), name]).sort(([p], [q]) => p - q)[0][1];
      });
    },

    /** How a message that is opened has ended. */
    ends: () => all("#panel .end").map((one) => one.textContent),

    /** Words of nodes that a dot lies on. */
    covering() {
      const dots = all(".dot").filter((one) => one.getAttribute("visibility") !== "hidden").map((one) => one.querySelector("circle").getBoundingClientRect());
      return all("#network .node text").filter((text) => dots.some((dot) => overlap(dot, text.getBoundingClientRect(), 2)))
        .map((text) => text.textContent);
    },

    /** The step of a message's way that is looked at: its title, and whether it and its line of the program are in view. */
    lookedAt() {
      const inView = (one, within) => {
        const box = one.getBoundingClientRect(), frame = within.getBoundingClientRect();
        return box.top >= frame.top - 1 && Math.min(box.bottom, box.top + 20) <= frame.bottom + 1;
      };
      const [step] = all(".steps li.here"), [line] = all(".source .here");
      return [step.querySelector("button").textContent, inView(step, document.querySelector(".steps")), inView(line, document.querySelector(".source"))];
    },

    /** Fields of a member's panel. */
    fields: () => Object.fromEntries(all("[data-field]").map((one) => [one.dataset.field, one.textContent])),

    /** Entries of a member's panel: what they say, and their marks. */
    log: () => all(".log > div").map((one) => [one.title, [...one.classList]]),

    /** Entries of a switch's panel: [table, match, action, hits]. */
    entries: () => all("[data-table] tbody tr").map((row) => [
      row.closest("[data-table]").dataset.table, row.cells[0].textContent, row.cells[1].textContent, Number(row.cells[2].textContent),
    ]),

    /** Tables of a message's way: [name, hit or miss, keys, what is done]. */
    tables: () => all(".steps li.table").map((item) => [
      item.dataset.table, item.querySelector("button").textContent.split(": ")[1],
      all("[data-key] b", item).map((one) => one.textContent).join(", "), item.querySelector(".does").textContent,
    ]),

    /** Steps of a message's way: [kind, title]. */
    steps: () => all(".steps li").map((item) => [item.classList[0], item.querySelector("button").textContent]),

    text: (id) => document.getElementById(id).textContent,
  };
})();
