// Peaks as the daemon sends them: read while they arrive, looked up at any zoom.

const HEADER = 28;

export class Peaks {
  rate = 0; channels = 0; size = 0; length = 0; count = 0; highest = 0;
  #head = new Uint8Array(0); #low = null; #high = null; #loud = null; #rest = new Uint8Array(0); #squares = 0; #levels = [];

  // Takes the next bytes; whether there is more to draw. Throws on what is not a peaks file.
  feed(bytes) {
    if (!this.#low) {
      this.#head = joined(this.#head, bytes);
      if (this.#head.length < HEADER) return false;
      this.#begin(this.#head);
      bytes = this.#head.subarray(HEADER);
    }
    const data = joined(this.#rest, bytes);
    const bins = Math.min(Math.floor(data.length / 3), this.#low.length - this.count);
    for (let n = 0; n < bins; n += 1) {
      this.#low[this.count + n] = (data[3 * n] << 24) >> 24;
      this.#high[this.count + n] = (data[3 * n + 1] << 24) >> 24;
      this.#loud[this.count + n] = data[3 * n + 2];
      this.highest = Math.max(this.highest, this.#high[this.count + n] / 127, -this.#low[this.count + n] / 127);
      this.#squares += (data[3 * n + 2] / 255) ** 2;
    }
    this.count += bins;
    this.#rest = data.slice(3 * bins);
    this.#levels = [];
    return true;
  }

  #begin(head) {
    const view = new DataView(head.buffer, head.byteOffset, head.length);
    if (String.fromCharCode(...head.subarray(0, 4)) !== "PEAK" || view.getUint32(4, true) !== 1) throw new Error("no peaks");
    [this.rate, this.channels, this.size] = [8, 12, 16].map((at) => view.getUint32(at, true));
    this.length = Number(view.getBigUint64(20, true));
    const bins = Math.ceil(this.length / Math.max(1, this.size));
    if (!this.size || bins > 2_000_000) throw new Error("no peaks");
    this.#low = new Int8Array(bins);
    this.#high = new Int8Array(bins);
    this.#loud = new Uint8Array(bins);
  }

  get whole() { return Boolean(this.#low) && this.count === this.#low.length; }

  // Root mean square of what is here, 0 to 1.
  get loudness() { return this.count ? Math.sqrt(this.#squares / this.count) : 0; }

  // The smallest and the largest sample (-1 to 1) and the loudness of a stretch; null where nothing is read yet.
  between(start, end) {
    let from = Math.max(0, Math.floor(start / this.size)), to = Math.max(from + 1, Math.ceil(end / this.size));
    if (from >= this.count) return null;
    let level = { low: this.#low, high: this.#high, loud: this.#loud, count: this.count };
    for (let at = 0; to - from > 32; at += 1) {
      level = this.#level(at, level);
      from = Math.floor(from / 8);
      to = Math.ceil(to / 8);
    }
    to = Math.min(to, level.count);
    if (from >= to) from = to - 1;
    let low = 127, high = -127, loud = 0;
    for (let n = from; n < to; n += 1) {
      low = Math.min(low, level.low[n]);
      high = Math.max(high, level.high[n]);
      loud += level.loud[n];
    }
    return { low: low / 127, high: high / 127, loud: loud / (to - from) / 255 };
  }

  #level(at, below) {
    if (this.#levels[at]) return this.#levels[at];
    const count = Math.ceil(below.count / 8);
    const made = { low: new Int8Array(count), high: new Int8Array(count), loud: new Uint8Array(count), count };
    for (let n = 0; n < count; n += 1) {
      const to = Math.min(8 * n + 8, below.count);
      let low = 127, high = -127, loud = 0;
      for (let m = 8 * n; m < to; m += 1) {
        low = Math.min(low, below.low[m]);
        high = Math.max(high, below.high[m]);
        loud += below.loud[m];
      }
      [made.low[n], made.high[n], made.loud[n]] = [low, high, loud / (to - 8 * n)];
    }
    return (this.#levels[at] = made);
  }
}

function joined(first, second) {
  if (!first.length) return second;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

const kept = new Map(); // address -> promise of peaks
const KEPT = 40;

// The peaks at an address; `draw` is called while they come. Those of the last sounds are kept.
export function loadPeaks(address, draw = () => {}) {
  if (!kept.has(address)) {
    const made = fetchPeaks(address, draw);
    made.catch(() => kept.delete(address));
    kept.set(address, made);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  }
  return kept.get(address);
}

async function fetchPeaks(address, draw) {
  const answer = await fetch(address);
  if (!answer.ok) throw Object.assign(new Error("gone"), { status: answer.status });
  const peaks = new Peaks();
  const reader = answer.body.getReader();
  let drawn = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (peaks.feed(value) && performance.now() - drawn > 120) {
      drawn = performance.now();
      draw(peaks);
    }
  }
  if (!peaks.whole) throw new Error("cut");
  return peaks;
}
