// The device of a job: asked where the daemon has several, and never else.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { install } from "./dom.mjs";
import { readWords } from "./words.mjs";
import { deviceChoice } from "../../../../../bridge/doors/http/page/static/device.js";

class Daemon extends EventTarget {
  status = {};
  say(...names) {
    this.status = { devices: names.map((device) => ({ device })) };
    this.dispatchEvent(new Event("status"));
  }
}

beforeEach(() => { install(); readWords("en"); });

test("one device is no choice", () => {
  const app = new Daemon(), choice = deviceChoice(app);
  assert.equal(choice.element.hidden, true);
  app.say("cuda:0");
  assert.deepEqual([choice.element.hidden, choice.value], [true, ""]);
});

test("of several the next free one is usual, and what was chosen stays chosen", () => {
  const app = new Daemon(), choice = deviceChoice(app);
  app.say("cuda:0", "cuda:1");
  const select = choice.element.querySelector("select");
  assert.deepEqual([...select.options].map((one) => [one.value, one.textContent]), [["", "Next free one"], ["cuda:0", "cuda:0"], ["cuda:1", "cuda:1"]]);
  assert.deepEqual([choice.element.hidden, choice.value], [false, ""]);
  select.value = "cuda:1";
  app.say("cuda:0", "cuda:1");
  assert.equal(choice.value, "cuda:1");
  app.say("cuda:0", "cuda:1", "cpu");
  assert.equal(choice.value, "cuda:1");
  app.say("cuda:0", "cpu");
  assert.equal(choice.value, "");
  app.say("cuda:0");
  assert.equal(choice.element.hidden, true);
});
