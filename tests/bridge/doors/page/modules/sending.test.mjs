// Sending to a DAW: what waits is shown, can be taken back, and is told once a host has it.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { install } from "./dom.mjs";
import { readWords } from "./words.mjs";
import { CallError } from "../../../../../bridge/doors/http/page/static/client.js";
import { sending } from "../../../../../bridge/doors/http/page/static/views/sending.js";

let body;
beforeEach(() => { body = install(); readWords("en"); });

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

function opened() {
  const app = {
    asked: [], told: [], failed: [], waiting: [],
    async call(method, params) {
      this.asked.push([method, params]);
      if (method === "handover.send") this.waiting.push({ id: `h-${this.waiting.length}`, host: params.host, title: "rain", files: params.files.length || 2 });
      if (method === "handover.cancel") {
        if (!this.waiting.some((row) => row.id === params.id)) throw new CallError({ code: "not_found", message: "gone" });
        this.waiting = this.waiting.filter((row) => row.id !== params.id);
      }
      return method === "handover.list" ? this.waiting : this.waiting.at(-1);
    },
    tell(words) { this.told.push(words); },
    fail(error) { this.failed.push(error.message); },
  };
  const view = sending(app);
  body.append(view.element);
  return { app, view, rows: () => view.element.querySelectorAll("li"), quiet: () => view.element.remove() };
}

test("every host is offered, for a take and for all of a result", async () => {
  const { app, view, rows, quiet } = opened();
  assert.deepEqual(view.actions("job-1", [3]).map((one) => one.words), ["Send to REAPER", "Send to Ardour", "Send to Ableton Live"]);
  view.actions("job-1", [3])[0].run();
  await settled();
  view.actions("job-1")[2].run();
  await settled();
  assert.deepEqual(app.asked.filter(([method]) => method === "handover.send").map(([, params]) => params), [{ job: "job-1", host: "reaper", files: [3] }, { job: "job-1", host: "ableton", files: [] }]);
  assert.deepEqual(rows().map((row) => row.firstChild.textContent), ["rain (one take) is waiting for REAPER", "rain (2 takes) is waiting for Ableton Live"]);
  quiet();
});

test("what a host has taken is told by name; what was taken back is not", async () => {
  const { app, view, rows, quiet } = opened();
  for (const host of [0, 1]) {
    view.actions("job-1")[host].run();
    await settled();
  }
  rows()[0].querySelector("button").click();
  await settled();
  assert.deepEqual([rows().length, app.told.length], [1, 2]);
  app.waiting = [];
  await view.look();
  assert.equal(app.told.at(-1), "Ardour has taken “rain”.");
  assert.equal(view.element.hidden, true);
  quiet();
});

test("a host that was quicker than the hand is told as one that took it", async () => {
  const { app, view, rows, quiet } = opened();
  view.actions("job-1")[0].run();
  await settled();
  app.waiting = [];
  rows()[0].querySelector("button").click();
  await settled();
  assert.deepEqual([app.told.at(-1), app.failed], ["REAPER has taken “rain”.", []]);
  quiet();
});

test("a refusal is told, a broken connection is waited for", async () => {
  const { app, view } = opened();
  app.call = async (method) => { throw new CallError(method === "handover.list" ? { code: "disconnected", message: "" } : { code: "unavailable", message: "the spool folder is off" }); };
  view.actions("job-1")[0].run();
  await view.look();
  assert.deepEqual(app.failed, ["the spool folder is off"]);
});
