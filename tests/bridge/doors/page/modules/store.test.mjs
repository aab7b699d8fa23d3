// Snapshot and events in any order come to the same picture.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Store, spoken } from "../../../../../bridge/doors/http/page/static/store.js";

const event = (seq, kind, data = {}, job = "a") => ({ job, seq, kind, data, time: 10 + seq });
const row = (id, state, seq, more = {}) => ({ id, state, seq, operation: "generate", caption: "x", progress: {}, position: 0, ...more });

test("events that came before the snapshot are applied after it, old ones are not", () => {
  const store = new Store();
  store.expect();
  store.apply(event(4, "progress", { fraction: 0.4 }));
  store.apply(event(6, "progress", { fraction: 0.6 }));
  store.snapshot([row("a", "running", 5, { progress: { fraction: 0.5 } })]);
  assert.equal(store.jobs.get("a").progress.fraction, 0.6);
});

test("nothing comes back after the end", () => {
  const store = new Store();
  store.snapshot([row("a", "running", 1)]);
  assert.ok(store.apply(event(2, "cancelled")));
  assert.equal(store.apply(event(3, "progress", { fraction: 0.9 })), false);
  assert.equal(store.jobs.get("a").state, "cancelled");
  assert.deepEqual(store.active, []);
});

test("an event twice is one event", () => {
  const store = new Store();
  let changes = 0;
  store.snapshot([row("a", "queued", 0)]);
  store.addEventListener("change", () => { changes += 1; });
  for (let n = 0; n < 3; n += 1) store.apply(event(1, "progress", { fraction: 0.1 }));
  assert.equal(changes, 1);
});

test("a job that ended while nobody listened is corrected by the next snapshot", () => {
  const store = new Store();
  store.snapshot([row("a", "running", 3)]);
  store.expect();
  store.snapshot([row("a", "done", 9)]);
  assert.equal(store.jobs.get("a").state, "done");
});

test("a snapshot older than what is known changes nothing of it", () => {
  const store = new Store();
  store.snapshot([row("a", "running", 3)]);
  store.apply(event(8, "done", { notes: ["n"] }));
  store.expect();
  store.snapshot([row("a", "running", 5)]);
  assert.equal(store.jobs.get("a").state, "done");
});

test("running first, then suspended, then by place in the queue", () => {
  const store = new Store();
  store.snapshot([row("c", "queued", 0, { position: 2 }), row("b", "queued", 0, { position: 1 }), row("s", "suspended", 1), row("a", "running", 1), row("d", "done", 1)]);
  assert.deepEqual(store.active.map((job) => job.id), ["a", "s", "b", "c"]);
});

test("jobs of other clients appear with their first event", () => {
  const store = new Store();
  store.snapshot([]);
  store.apply(event(0, "accepted", { position: 3 }, "other"));
  assert.deepEqual([store.jobs.get("other").state, store.jobs.get("other").position], ["queued", 3]);
  store.apply(event(2, "failed", { error: { code: "x", message: "why" } }, "other"));
  assert.equal(store.jobs.get("other").error.message, "why");
});

test("progress is said at every tenth only", () => {
  assert.deepEqual([spoken(0, 0.05), spoken(0.05, 0.1), spoken(0.1, 0.19), spoken(0.2, 0.41), spoken(undefined, 0.3)], [null, 10, null, 40, 30]);
});
