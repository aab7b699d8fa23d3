// The losses of a training as lines of a plot.

import assert from "node:assert/strict";
import { test } from "node:test";
import { figure, frame, lines, smoothed, summary, ticks } from "../../../../../bridge/doors/http/page/static/losses.js";

const TRAINING = {
  losses: [[1, 1], [2, 0.5], [3, 0.75], [4, 0.25]],
  history: [{ epoch: 1, step: 2, loss: 0.75, validation: 0.9 }, { epoch: 2, step: 4, loss: 0.5, validation: 0.95 }, { epoch: 3, step: 6, loss: 0.4 }],
};

test("training by step and smoothed, validation at its epochs' steps", () => {
  const found = Object.fromEntries(lines(TRAINING).map((line) => [line.name, line.points]));
  assert.deepEqual(found.steps, TRAINING.losses);
  assert.equal(found.training.length, 4);
  assert.deepEqual(found.training[0], [1, 1]);
  assert.deepEqual(found.validation, [[2, 0.9], [4, 0.95]]);
});

test("a training without steps or validation has the lines it has", () => {
  assert.deepEqual(lines({ losses: [], history: [{ epoch: 1, step: 2, loss: 0.75 }] }), [{ name: "training", points: [[2, 0.75]] }]);
  assert.deepEqual(lines({ history: [], losses: [] }), []);
  assert.equal(frame([]), null);
});

test("the running mean stays what is constant, and begins at the first point", () => {
  assert.deepEqual(smoothed([[1, 2], [2, 2], [3, 2]]).map(([, y]) => Number(y.toFixed(9))), [2, 2, 2]);
  const [, second] = smoothed([[1, 0], [2, 1]], 0.5);
  assert.ok(Math.abs(second[1] - 2 / 3) < 1e-12);
});

test("what is no number is left out of lines and box", () => {
  const found = lines({ losses: [[1, 1], [2, null], [3, NaN], [4, Infinity], [5, 3]], history: [] });
  assert.deepEqual(found.find((line) => line.name === "steps").points, [[1, 1], [5, 3]]);
  const box = frame(found);
  assert.ok(box.low < 1 && box.high > 3 && box.left === 1 && box.right === 5);
});

test("one point has a box, too", () => {
  const box = frame([{ name: "training", points: [[3, 0]] }]);
  assert.ok(box.right > box.left && box.high > box.low);
});

test("ticks are round and inside", () => {
  assert.deepEqual(ticks(0.11, 0.93), [0.2, 0.4, 0.6, 0.8]);
  assert.deepEqual(ticks(0, 100, 5), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(ticks(-0.02, 0.02, 4), [-0.02, -0.01, 0, 0.01, 0.02]);
  assert.deepEqual([ticks(1, 1), ticks(NaN, 2), ticks(0, Infinity)], [[], [], []]);
});

test("the summary says the newest values and the best epoch", () => {
  const { epoch, loss, validation, best } = summary(TRAINING);
  assert.deepEqual([epoch, loss, validation, best.epoch], [3, 0.4, 0.95, 1]);
  assert.deepEqual(summary({}), { epoch: 0, loss: null, validation: null, best: null });
  assert.deepEqual([figure(0.123456), figure(null), figure(12345.6)], ["0.1235", "–", "12350"]);
});
