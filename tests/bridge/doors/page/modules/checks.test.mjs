// Sentences about settings that contradict each other or will be changed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { clashes, contradictions, timesteps, toggled } from "../../../../../bridge/doors/http/page/static/checks.js";

const keys = (values, about) => contradictions(values, about).map(([key]) => key);

test("tags that exclude each other are named as a pair, and a word inside another is none", () => {
  assert.deepEqual(clashes("Calm piano, AGGRESSIVE drums"), [["calm", "aggressive"]]);
  assert.deepEqual(clashes("female vocal, male vocal"), [["female vocal", "male vocal"]]);
  for (const fine of ["female vocal", "male vocal", "calmly aggressive", "", null]) assert.deepEqual(clashes(fine), [], String(fine));
});

test("a tag goes in, and out again however it is written", () => {
  assert.equal(toggled("rhodes", "house"), "rhodes, house");
  assert.equal(toggled("rhodes, House", "house"), "rhodes");
  assert.equal(toggled("", "house"), "house");
});

test("what is said twice and differently has its sentence, what agrees has none", () => {
  const cases = [
    [{ caption: "house at 90 bpm", bpm: 120 }, ["warn.tempo"]],
    [{ caption: "house at 120 BPM", bpm: 120 }, []],
    [{ caption: "house at 90 bpm" }, ["warn.tempo_field"]],
    [{ lyrics: "la la", language: "en", instrumental: true }, ["warn.instrumental"]],
    [{ lyrics: "[Instrumental]", instrumental: true }, []],
    [{ lyrics: "la la" }, ["warn.language"]],
    [{ seed: 1, seeds: [1, 2] }, ["warn.seeds"]],
    [{ timesteps: [1, 0.5, 0], steps: 4 }, ["warn.timesteps"]],
    [{ duration: 5 }, ["warn.short"]],
    [{ variation: 0.2 }, ["warn.variation"]],
    [{ variation: 0.2, seed: 4 }, []],
    [{}, []],
  ];
  for (const [values, expected] of cases) assert.deepEqual(keys(values), expected, JSON.stringify(values));
});

test("the limits of the model and of the tier are told before anything is clamped, and reached they are fine", () => {
  const about = { fields: [{ name: "duration", max: 600 }], tier: { minutes: 4, items: 2 } };
  assert.deepEqual(keys({ duration: 240, variants: 2 }, about), []);
  assert.deepEqual(contradictions({ duration: 241, variants: 3 }, about), [["warn.tier_long", { most: 240 }], ["warn.tier_takes", { most: 2 }]]);
  assert.deepEqual(keys({ duration: 300, variants: 8 }, { tier: { minutes: null, items: null } }), []);
  assert.deepEqual(contradictions({ duration: 601 }, { fields: about.fields }), [["warn.long", { max: 600 }]]);
});

test("a turbo model is told from one that is guided", () => {
  const values = { guidance_scale: 7, steps: 30 };
  assert.deepEqual(keys(values, { model: { variant: "turbo" } }), ["warn.turbo_guidance", "warn.turbo_steps"]);
  for (const variant of ["base", "sft", "nano"]) assert.deepEqual(keys(values, { model: { variant } }), [], variant);
});

test("the curve goes from noise to nothing, bent by the shift; given timesteps are taken as they are", () => {
  assert.deepEqual(timesteps(2), [1, 0.5, 0]);
  assert.deepEqual(timesteps(2, 3), [1, 0.75, 0]);
  assert.deepEqual(timesteps(2, 3, [1, 0.2, 0]), [1, 0.2, 0]);
});
