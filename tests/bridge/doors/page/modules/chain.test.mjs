// Chains of stages: what moving and removing does to those that go on from others, what is wrong, reading and writing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { NoChain, SOURCE, added, chainOf, faults, moved, newStage, placeOfFault, preset, read, removed, request } from "../../../../../bridge/doors/http/page/static/chain.js";

const stage = (type, from, values = {}, region = {}) => ({ type, from, region, values });
const kinds = new Map([["generate", { source: "none" }], ["refine", { source: "optional" }], ["cover", { source: "required" }]]);
const froms = (stages) => stages.map((one) => one.from);

test("a new stage goes on from the one before it", () => {
  assert.deepEqual(froms(added(added([], "generate"), "refine")), [SOURCE, 0]);
});

test("who went on from a removed stage goes on from what that one went on from, and is named", () => {
  const chain = [stage("generate", SOURCE), stage("refine", 0), stage("cover", 1), stage("cover", 0)];
  const without = removed(chain, 1);
  assert.deepEqual([froms(without.stages), without.rewired], [[SOURCE, 0, 0], [1]]);
  const first = removed(chain, 0);
  assert.deepEqual([froms(first.stages), first.rewired], [[SOURCE, 0, SOURCE], [0, 2]]);
  assert.deepEqual(removed([stage("generate", SOURCE), stage("cover", { path: "/a.wav" })], 0).rewired, []);
});

test("moving keeps who goes on from whom", () => {
  const chain = [stage("generate", SOURCE), stage("refine", 0), stage("cover", 0)];
  const up = moved(chain, 2, 1);
  assert.deepEqual([up.stages.map((one) => [one.type, one.from]), up.rewired], [[["generate", SOURCE], ["cover", 0], ["refine", 0]], []]);
  assert.equal(moved(chain, 0, -1).stages, chain);
  assert.equal(moved(chain, 2, 3).stages, chain);
});

test("nobody goes on from a stage that comes later; who had to change is named", () => {
  const two = moved([stage("generate", SOURCE), stage("refine", 0)], 1, 0);
  assert.deepEqual([froms(two.stages), two.rewired], [[SOURCE, SOURCE], [0]]);
  const far = moved([stage("generate", SOURCE), stage("refine", 0), stage("cover", 1)], 0, 2);
  assert.deepEqual([far.stages.map((one) => [one.type, one.from]), far.rewired], [[["refine", SOURCE], ["cover", 0], ["generate", SOURCE]], [0]]);
});

test("what is wrong is told by stage, before anything runs", () => {
  const keys = (stages, source = null) => faults(stages, { kinds, models: ["nano"], source }).map(([n, key]) => [n, key]);
  assert.deepEqual(keys([]), [[-1, "pipeline.fault.empty"]]);
  assert.deepEqual(keys([stage("cover", SOURCE)]), [[0, "pipeline.fault.source"]]);
  assert.deepEqual(keys([stage("cover", SOURCE)], { path: "x" }), []);
  assert.deepEqual(keys([stage("cover", { latent: "a/b" })]), []);
  assert.deepEqual(keys([stage("generate", SOURCE, { model: "gone" }), stage("nope", 0)]), [[0, "pipeline.fault.model"], [1, "pipeline.fault.type"]]);
  assert.deepEqual(keys(Array.from({ length: 17 }, () => newStage("generate", 0))), [[-1, "pipeline.fault.many"]]);
});

test("the request names a source only where it is not the stage before", () => {
  const chain = [stage("generate", SOURCE, { steps: 2 }), stage("refine", 0), stage("cover", 0, {}, { start_seconds: 8 }), stage("cover", SOURCE), stage("cover", { latent: "a/b" })];
  assert.deepEqual(request(chain, { conditioning: { caption: "x" }, source: { path: "/a.wav" }, kinds }), {
    stages: [{ type: "generate", steps: 2 }, { type: "refine" }, { type: "cover", source: { stage: 1, start_seconds: 8 } }, { type: "cover", source: {} }, { type: "cover", source: { latent: "a/b" } }],
    conditioning: { caption: "x" }, source: { path: "/a.wav" },
  });
});

test("what makes something new names no source, wherever it stands", () => {
  assert.deepEqual(request([stage("generate", SOURCE), stage("generate", SOURCE, {}, { start: 4 })], { kinds }).stages, [{ type: "generate" }, { type: "generate" }]);
});

test("a request becomes the chain it came from", () => {
  const chain = [stage("generate", SOURCE, { steps: 2 }), stage("refine", 0, { t_start: 0.3 }), stage("cover", 0, {}, { start: 5, length: 9 }), stage("cover", SOURCE), stage("cover", { upload: "up-1" })];
  const made = request(chain, { conditioning: { caption: "x" }, source: { path: "/a.wav" }, output: { format: "flac" }, kinds });
  const whole = { stages: chain, conditioning: { caption: "x" }, output: { format: "flac" }, source: { path: "/a.wav" } };
  assert.deepEqual(chainOf(made), whole);
  for (const wrapped of [{ request: made }, { operation: "render", params: made }]) assert.deepEqual(chainOf(wrapped), whole);
});

test("a preset is a chain without its source, and comes back", () => {
  const chain = [stage("cover", SOURCE, { strength: 0.4 }), stage("refine", 0)];
  const file = preset("mine", chain, { source: { path: "/a.wav" }, conditioning: { bpm: 90 }, kinds });
  assert.deepEqual([file.name, file.source, file.stages], ["mine", true, [{ type: "cover", strength: 0.4 }, { type: "refine" }]]);
  assert.deepEqual(read(JSON.stringify(file)), { stages: chain, conditioning: { bpm: 90 }, output: {}, source: null });
});

test("what a recipe leaves open is not said; fingerprints stay behind", () => {
  const found = chainOf({ stages: [{ type: "generate", caption: null, resume: "", steps: 4 }], conditioning: { key: null, bpm: 90 }, source: { path: "/a", fingerprint: "f" } });
  assert.deepEqual([found.stages[0].values, found.conditioning, found.source], [{ steps: 4 }, { bpm: 90 }, { path: "/a" }]);
});

test("inputs of the first version of the format count from 0", () => {
  assert.deepEqual(froms(chainOf({ stages: [{ type: "generate" }, { type: "refine" }, { type: "cover", input: 0 }] }).stages), [SOURCE, 0, 0]);
});

test("what is no chain is refused with its reason", () => {
  const why = (text) => {
    try {
      read(text);
    } catch (failure) {
      assert.ok(failure instanceof NoChain, String(failure));
      return failure.key;
    }
    return "";
  };
  assert.deepEqual(["{", "", "[", "\u0000"].map(why), Array(4).fill("pipeline.fault.json"));
  assert.deepEqual(["null", "3", "[]", "{}", '"x"', '{"stages":"x"}', '{"stages":{}}', '{"stages":[]}', '{"params":{"caption":"x"}}'].map(why), Array(9).fill("pipeline.fault.none"));
  assert.deepEqual(['{"stages":[{}]}', '{"stages":[null]}', '{"stages":[[]]}', '{"stages":[{"type":1}]}', '{"stages":["generate"]}'].map(why), Array(5).fill("pipeline.fault.untyped"));
  assert.deepEqual(['{"stages":[{"type":"a","source":{"stage":1}}]}', '{"stages":[{"type":"a"},{"type":"b","source":{"stage":0}}]}', '{"stages":[{"type":"a"},{"type":"b","input":1.5}]}', '{"stages":[{"type":"a"},{"type":"b","source":{"stage":"1x"}}]}'].map(why), Array(4).fill("pipeline.fault.order"));
  assert.equal(why(JSON.stringify({ stages: Array(17).fill({ type: "a" }) })), "pipeline.fault.many");
});

test("what a stage says of names nobody knows is kept for the daemon to judge", () => {
  assert.deepEqual(chainOf({ stages: [{ type: "generate", glitter: 3 }] }).stages[0].values, { glitter: 3 });
});

test("the daemon's refusals find their places", () => {
  const cases = [["stages[1].steps", "stage", 1, "steps"], ["stages[0].source.stage", "source", 0, "source.stage"], ["stages[2].type", "stage", 2, "type"], ["conditioning.bpm", "conditioning", -1, "bpm"], ["output.format", "output", -1, "format"], ["source.path", "source", -1, "source.path"], ["stages", "", -1, "stages"], [null, "", -1, ""]];
  for (const [field, part, index, inner] of cases) assert.deepEqual(placeOfFault(field), { part, index, field: inner }, field);
});
