// What becomes of a field of `describe`, and of what people type into it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { control, grouped, read, shown, shownChoices } from "../../../../../bridge/doors/http/page/static/fields.js";

const field = (type, more = {}) => ({ name: "x", type, summary: "", ...more });

test("every type has its control", () => {
  const kinds = [[field("bool"), "check"], [field("str"), "text"], [field("str", { max_length: 4096 }), "area"], [field("str", { max_length: 4095 }), "text"], [field("int"), "number"],
    [field("float", { min: 0, max: 1 }), "slider"], [field("float", { min: 0, max: 600 }), "number"], [field("str", { choices: ["a", "b"] }), "select"], [field("int", { choices: [1, 2] }), "select"],
    [field("list[str]", { choices: ["drums", "bass"] }), "ticks"], [field("list[str]"), "lines"], [field("list[int]"), "list"], [field("list[map]"), "json"], [field("map"), "json"], [field("list[list[int]]"), "json"], [field("something-new"), "json"]];
  for (const [one, kind] of kinds) assert.equal(control(one), kind, JSON.stringify(one));
});

test("what equals the default is left to the daemon", () => {
  assert.equal(read(field("float", { default: 1 }), "1.0").value, undefined);
  assert.equal(read(field("bool", { default: true }), true).value, undefined);
  assert.equal(read(field("bool", { default: true }), false).value, false);
  assert.equal(read(field("str", { default: "auto", choices: ["auto", "b"] }), "auto").value, undefined);
  assert.equal(read(field("int"), " ").value, undefined);
  assert.equal(read(field("str", { default: "auto", choices: ["small"] }), "").value, undefined);
  assert.equal(read(field("list[str]", { choices: ["patch", "whole"] }), []).value, undefined);
});

test("numbers are read as people write them, and refused with their limits", () => {
  assert.equal(read(field("float", { min: 30, max: 300 }), "92,5").value, 92.5);
  assert.deepEqual(read(field("int", { min: 1, max: 8 }), "9"), { fault: "fault.between", limits: { min: 1, max: 8 } });
  assert.equal(read(field("int", { min: 1 }), "0").fault, "fault.least");
  assert.equal(read(field("int"), "1.5").fault, "fault.whole");
  for (const text of ["abc", "1e999", "NaN", "--3"]) assert.equal(read(field("float"), text).fault, "fault.number", text);
  assert.equal(read(field("float", { unit: "s", min: 0, max: 600 }), "8 bars").value, "8bars");
});

test("lists and JSON", () => {
  assert.deepEqual(read(field("list[int]"), "1, 2,3").value, [1, 2, 3]);
  assert.equal(read(field("list[int]"), "1, x").fault, "fault.numbers");
  assert.deepEqual(read(field("list[str]", { default: [] }), "velvet=0.8\n tape\n\n").value, ["velvet=0.8", "tape"]);
  assert.deepEqual(read(field("list[str]", { default: [] }), "slow, warm, wide").value, ["slow, warm, wide"]);
  assert.equal(read(field("map"), "{").fault, "fault.json");
  assert.deepEqual(read(field("map"), '{"a": 1}').value, { a: 1 });
  assert.equal(read(field("str", { max_length: 3 }), "four").fault, "fault.long");
  assert.equal(read(field("str", { required: true }), "").fault, "fault.needed");
});

test("semantic codes are taken in the planner's own spelling, too", () => {
  assert.deepEqual(read(field("list[int]"), "<|audio_code_12|><|audio_code_63999|>\n<|audio_code_0|>").value, [12, 63999, 0]);
  assert.equal(read(field("list[int]"), "12 13").fault, "fault.numbers");
});

test("a value that was read is shown so that it is read again", () => {
  for (const [one, value] of [[field("list[int]"), [3, 4]], [field("list[str]"), ["slow, warm", "/home/me/a, b"]], [field("map"), { a: [1] }], [field("float"), 0.25], [field("bool"), true], [field("int", { choices: [1, 2] }), 2]]) {
    assert.deepEqual(read(one, shown(one, value)).value, value);
  }
});

test("the short form comes first, groups keep their order, unknown groups come last, internal ones not at all", () => {
  const fields = [field("int", { name: "steps", group: "sampling" }), field("str", { name: "caption" }), field("str", { name: "mine", group: "glitter" }), field("map", { name: "raw", group: "internal" }), field("int", { name: "seed", group: "sampling" })];
  const groups = grouped(fields, ["caption", "seed"], []);
  assert.deepEqual([...groups].map(([name, members]) => [name, members.map((one) => one.name)]), [["short", ["caption", "seed"]], ["sampling", ["steps"]], ["glitter", ["mine"]]]);
});

test("keys are offered in one spelling", () => {
  assert.deepEqual(shownChoices(field("str", { choices_from: "keys", choices: ["A♯ minor", "A# minor", "B♭ major"] })), ["A# minor"]);
});
