// How fast bytes come, and how long the rest will take. Touches no page.

const WINDOW = 8; // seconds that the speed is taken over: long enough for a steady figure, short enough to follow the line

export class Meter {
  #seen = [];

  // `seconds`: any clock that only grows; `done`, `total`: bytes. Less than before is another attempt: it counts from there.
  feed(seconds, done, total) {
    if (this.#seen.length && done < this.#seen[this.#seen.length - 1].done) this.#seen = [];
    this.#seen.push({ seconds, done });
    while (this.#seen.length > 2 && seconds - this.#seen[1].seconds >= WINDOW) this.#seen.shift();
    Object.assign(this, { done, total });
    return this;
  }

  done = 0; total = 0;

  // Bytes a second; 0 while too little has been seen to say.
  get speed() {
    const first = this.#seen[0], last = this.#seen[this.#seen.length - 1];
    const span = first ? last.seconds - first.seconds : 0;
    return span >= 0.5 ? (last.done - first.done) / span : 0;
  }

  // Seconds until the rest is here; null where nobody can say.
  get left() {
    if (!this.total || this.done >= this.total) return this.total ? 0 : null;
    return this.speed > 0 ? (this.total - this.done) / this.speed : null;
  }
}
