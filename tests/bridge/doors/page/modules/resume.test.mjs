// A stored step as a request: the stage that continues, the take that is made, steps that are stored once more.

import assert from "node:assert/strict";
import { test } from "node:test";
import { continuation } from "../../../../../bridge/doors/http/page/static/resume.js";

const chain = {
  format: "acestep-bridge/render",
  conditioning: { caption: "rain" },
  source: { path: "/a.wav" },
  output: { variants: 2, length: 480 },
  weights: { nano: "12ab" },
  stages: [{ type: "generate", steps: 8, seed: 5, seeds: [5, 6], checkpoint_step: 3 }, { type: "refine", steps: 4, seed: 8, seeds: [8, 9], checkpoint_step: 2 }],
};
const facts = (stage, index, seed) => ({ id: "job-1/step.safetensors", seed, recipe: { request: chain }, checkpoint: { stage, index } });

test("the first stage continues as the stored take, and the one behind it follows with its own seed and step", () => {
  const { stages, ...rest } = continuation(facts(0, 2, 6));
  assert.deepEqual(stages, [{ type: "generate", steps: 8, seed: 6, seeds: [6], checkpoint_step: null, resume: "job-1/step.safetensors" }, { type: "refine", steps: 4, seed: 9, seeds: [9], checkpoint_step: 2 }]);
  assert.deepEqual(rest, { format: chain.format, conditioning: chain.conditioning, source: chain.source, output: { variants: 1, length: 480 }, weights: chain.weights });
});

test("a later stage continues after the whole of those before it, which store nothing more", () => {
  const [first, second] = continuation(facts(1, 1, 8)).stages;
  assert.deepEqual([first.resume, first.checkpoint_step, first.seeds], [undefined, null, [5]]);
  assert.deepEqual([second.resume, second.checkpoint_step, second.seeds], ["job-1/step.safetensors", null, [8]]);
});

test("a step that lies ahead is stored as asked", () => {
  assert.equal(continuation(facts(0, 1, 5)).stages[0].checkpoint_step, 3);
});

test("a file that does not say its run gives no request", () => {
  assert.equal(continuation({ ...facts(0, 2, 5), recipe: {} }), null);
  assert.equal(continuation(facts(7, 2, 5)), null);
  assert.equal(continuation(facts(undefined, 2, 5)), null);
});
