// Where events come from. A source has one method, `open(head, more, done)`: it calls `head` with the recording's
// header, `more` with each batch of events in the order of time, and `done` when there are no more. A lab
// (page/live.js) never calls `done`.

/** A recording that is compressed with gzip, behind an address. */
export class Remote {
  constructor(address) {
    this.address = address;
  }

  async open(head, more, done) {
    const answer = await fetch(this.address);
    if (!answer.ok) throw new Error(`${this.address}: ${answer.status} ${answer.statusText}`);
    await unpack(answer.body, head, more);
    done();
  }
}

const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%.()*+-;,=>?@^_`{|}~";
const VALUES = new Uint8Array(128);
[...LETTERS].forEach((letter, value) => { VALUES[letter.charCodeAt(0)] = value; });

/** Five letters of base 85 are four bytes; fewer at the end, one byte less than there are letters. */
function from85(text) {
  const whole = new Uint8Array(Math.ceil(text.length / 5) * 4);
  for (let at = 0, to = 0; at < text.length; at += 5, to += 4) {
    let word = 0;
    for (let n = 0; n < 5; n++) word = word * 85 + (at + n < text.length ? VALUES[text.charCodeAt(at + n)] : 84);
    whole[to] = word >>> 24; whole[to + 1] = word >>> 16; whole[to + 2] = word >>> 8; whole[to + 3] = word;
  }
  return whole.subarray(0, Math.floor((text.length * 4) / 5));
}

/** A recording that stands in the page itself, in base 85. */
export class Embedded {
  constructor(element) {
    this.element = element;
  }

  async open(head, more, done) {
    const text = this.element.textContent.trim();
    this.element.remove();
    const size = 5 << 16;
    let at = 0;
    const bytes = new ReadableStream({
      pull(controller) {
        if (at >= text.length) return controller.close();
        controller.enqueue(from85(text.slice(at, at + size)));
        at += size;
      },
    });
    await unpack(bytes, head, more);
    done();
  }
}

const PIECE = 1 << 20; // bytes that are read as one piece

function parse(text) {
  return JSON.parse(`[${text.trim().replaceAll("\n", ",")}]`);
}

async function unpack(bytes, head, more) {
  const reader = bytes.pipeThrough(new DecompressionStream("gzip")).getReader();
  const decoder = new TextDecoder();
  let pieces = [], size = 0, rest = "", begun = false, rested = performance.now();
  for (;;) {
    const { value, done } = await reader.read();
    if (!done) {
      pieces.push(value);
      size += value.length;
      if (size < PIECE) continue;
    }
    const text = rest + pieces.map((piece) => decoder.decode(piece, { stream: true })).join("");
    const end = text.lastIndexOf("\n");
    rest = text.slice(end + 1);
    pieces = [];
    size = 0;
    let events = parse(text.slice(0, Math.max(0, end)));
    if (!begun && events.length) {
      if (events[0]?.format !== "switchraft recording") throw new Error("this is no recording of switchraft");
      if (events[0].version !== 1) throw new Error(`a recording of version ${events[0].version}; this page reads version 1`);
      head(events[0]);
      events = events.slice(1);
      begun = true;
    }
    if (begun) more(events);
    if (done) break;
    // The page stays alive meanwhile.
    if (performance.now() - rested > 80) {
      await new Promise((resolve) => { const { port1, port2 } = new MessageChannel(); port1.onmessage = resolve; port2.postMessage(0); });
      rested = performance.now();
    }
  }
  if (!begun) throw new Error("the recording is empty");
}
