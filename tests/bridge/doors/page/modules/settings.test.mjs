// Requests and recipes as the values of a form.

import assert from "node:assert/strict";
import { test } from "node:test";
import { settingsOf } from "../../../../../bridge/doors/http/page/static/settings.js";

const fields = [{ name: "caption", default: "" }, { name: "bpm" }, { name: "steps", default: 8 }, { name: "seed" }, { name: "seeds" }, { name: "format", default: "wav24" }, { name: "length" }];
const recipe = { format: "acestep-bridge/recipe", request: { conditioning: { caption: "rain", bpm: 92, key: "" }, stages: [{ type: "generate", steps: 8, seed: 5, seeds: [5], bpm: null }], output: { format: "flac", variants: 2, length: 480 } } };

test("a recipe, its request, what a door takes, and bare fields say the same", () => {
  const values = { caption: "rain", bpm: 92, seed: 5, format: "flac" };
  assert.deepEqual(settingsOf(recipe, fields, ["length"]), { values, variants: 2 });
  assert.deepEqual(settingsOf(recipe.request, fields, ["length"]), { values, variants: 2 });
  assert.deepEqual(settingsOf({ operation: "generate", params: { ...values, variants: 3 } }, fields), { values, variants: 3 });
  assert.deepEqual(settingsOf(values, fields), { values, variants: 0 });
});

test("several seeds stay, and one that is the seed goes without saying", () => {
  assert.deepEqual(settingsOf({ seed: 5, seeds: [5, 6] }, fields).values, { seed: 5, seeds: [5, 6] });
  assert.deepEqual(settingsOf({ seed: 5, seeds: [5] }, fields).values, { seed: 5 });
});

test("what holds no setting is told apart", () => {
  for (const data of [null, 3, "x", [], {}, { other: 1 }, { request: 7 }, { params: [] }]) assert.throws(() => settingsOf(data, fields), /no settings/, JSON.stringify(data));
});
