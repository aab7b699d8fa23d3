// Bytes, speed and the time that is left.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Meter } from "../../../../../bridge/doors/http/page/static/meter.js";

test("speed and rest follow from what came in the last seconds", () => {
  const meter = new Meter();
  assert.deepEqual([meter.feed(0, 0, 1000).speed, meter.left], [0, null]);
  for (let n = 1; n <= 4; n += 1) meter.feed(n, n * 100, 1000);
  assert.deepEqual([meter.speed, meter.left], [100, 6]);
  for (let n = 5; n <= 40; n += 1) meter.feed(n, 400 + (n - 4) * 10, 1000);
  assert.ok(Math.abs(meter.speed - 10) < 0.5, String(meter.speed));
});

test("what was there before a resumed download is no speed", () => {
  const meter = new Meter().feed(10, 900_000, 1_000_000).feed(12, 910_000, 1_000_000);
  assert.deepEqual([meter.speed, meter.left], [5000, 18]);
});

test("another attempt begins again, and the end leaves nothing", () => {
  const meter = new Meter().feed(0, 0, 100).feed(1, 80, 100).feed(2, 10, 100);
  assert.deepEqual([meter.speed, meter.left], [0, null]);
  assert.equal(meter.feed(3, 100, 100).left, 0);
  assert.equal(new Meter().feed(0, 5, 0).left, null);
});

test("a line that is silent says so", () => {
  const meter = new Meter();
  for (let n = 0; n < 30; n += 1) meter.feed(n, 50, 100);
  assert.deepEqual([meter.speed, meter.left], [0, null]);
});
