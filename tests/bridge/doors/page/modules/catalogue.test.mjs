// Models and adapters in rows and in requests.

import assert from "node:assert/strict";
import { test } from "node:test";
import { asked, named, noncommercial, sorted, strengthIn, withAdapter } from "../../../../../bridge/doors/http/page/static/catalogue.js";

test("the default model comes first, language models last; absent ones apart", () => {
  const row = (name, more) => ({ name, kind: "checkpoint", present: true, ...more });
  const { here, absent } = sorted([row("lm-1.7B", { kind: "language" }), row("turbo"), row("nano", { default: true }), row("lm-4B", { kind: "language", present: false }), row("v1", { present: false })]);
  assert.deepEqual([here.map((one) => one.name), absent.map((one) => one.name)], [["nano", "turbo", "lm-1.7B"], ["v1", "lm-4B"]]);
});

test("only licences that forbid money need a yes", () => {
  for (const license of ["CC-BY-NC-4.0", "cc-by-nc-sa-4.0", "CC BY NC"]) assert.ok(noncommercial(license), license);
  for (const license of ["MIT", "Apache-2.0", "CC-BY-4.0", "MIT (built on Qwen3, Apache-2.0)", "", null, "Licence of NCSA"]) assert.ok(!noncommercial(license), license);
});

test("loaded models are told by name or as rows", () => {
  assert.deepEqual([named(["nano"], "nano"), named([{ name: "nano" }], "nano"), named(undefined, "nano")], [true, true, false]);
});

test("an adapter is put in once, at its strength, and taken out again", () => {
  assert.deepEqual([asked("my songs", 1), asked("my songs", 0.8), asked("my songs", -0.25), asked("a", 0)], ["my songs", "my songs=0.8", "my songs=-0.25", "a=0"]);
  assert.deepEqual(withAdapter(["other", "my songs=0.5"], "my songs", 0.7), ["other", "my songs=0.7"]);
  assert.deepEqual(withAdapter(["my songs@20=0.5"], "my songs", 1), ["my songs@20=0.5", "my songs"]);
  assert.deepEqual(withAdapter(["other", "my songs"], "my songs", null), ["other"]);
  assert.deepEqual([strengthIn(["a=0.4"], "a"), strengthIn(["a"], "a"), strengthIn(["ab"], "a"), strengthIn(undefined, "a"), strengthIn(["a=x"], "a")], [0.4, 1, null, null, 1]);
});
