// What the page knows of jobs: a snapshot first, then events in the order of their seq. Old and doubled events change nothing.

export const ENDS = new Set(["done", "failed", "cancelled", "interrupted"]);

const STATE_OF = { accepted: "queued", progress: "running", preview: "running", suspended: "suspended" };

export class Store extends EventTarget {
  jobs = new Map();
  #early = [];
  #live = false;

  // From now on events are kept until the snapshot is there.
  expect() {
    this.#live = false;
    this.#early = [];
  }

  // Jobs as `job.list` gives them. What ended or vanished while nobody listened is corrected.
  snapshot(rows) {
    const known = this.jobs;
    this.jobs = new Map();
    for (const row of [...rows].reverse()) {
      const before = known.get(row.id);
      this.jobs.set(row.id, before && before.seq > row.seq ? before : { ...before, ...row });
    }
    this.#live = true;
    const early = this.#early;
    this.#early = [];
    for (const event of early) this.apply(event);
    this.#changed(null);
  }

  // Whether the event was news.
  apply(event) {
    if (!this.#live) {
      this.#early.push(event);
      return false;
    }
    const job = this.jobs.get(event.job) ?? { id: event.job, seq: -1, state: "queued", operation: "", caption: "", progress: {} };
    if (event.seq <= job.seq || ENDS.has(job.state)) return false;
    const next = { ...job, seq: event.seq };
    if (ENDS.has(event.kind)) Object.assign(next, { state: event.kind, ended: event.time, position: 0 });
    else if (STATE_OF[event.kind]) next.state = STATE_OF[event.kind];
    if (event.kind === "accepted") next.position = event.data?.position ?? 0;
    if (event.kind === "progress") Object.assign(next, { progress: event.data, position: 0 });
    if (event.kind === "preview") next.previews = [...(job.previews ?? []), event.data];
    if (event.kind === "failed") next.error = event.data?.error;
    if (event.kind === "done") next.notes = event.data?.notes;
    this.jobs.set(event.job, next);
    this.#changed(event.job, event);
    return true;
  }

  // Facts that did not come as an event (what the page itself handed in, a place in the queue).
  note(id, facts) {
    const job = this.jobs.get(id) ?? { id, seq: -1, state: "queued", progress: {} };
    if (ENDS.has(job.state) && facts.state) return;
    this.jobs.set(id, { ...job, ...facts });
    this.#changed(id);
  }

  get active() {
    const all = [...this.jobs.values()].filter((job) => !ENDS.has(job.state));
    const rank = (job) => (job.state === "running" ? 0 : job.state === "suspended" ? 1 : 2);
    return all.sort((a, b) => rank(a) - rank(b) || (a.position ?? 0) - (b.position ?? 0));
  }

  #changed(id, event) {
    this.dispatchEvent(Object.assign(new Event("change"), { job: id, told: event }));
  }
}

// The steps of progress that are worth saying aloud: every tenth, and the ends.
export function spoken(before, after) {
  const tenth = (value) => Math.floor((value || 0) * 10 + 1e-9);
  return tenth(after) > tenth(before) ? tenth(after) * 10 : null;
}
