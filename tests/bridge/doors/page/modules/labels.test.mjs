// The cells of a dataset's table.

import assert from "node:assert/strict";
import { test } from "node:test";
import { COLUMNS, change, doubt, neighbour, shownLabel } from "../../../../../bridge/doors/http/page/static/labels.js";

const column = (name) => COLUMNS.find((one) => one.name === name);
const sample = { id: "a", caption: "a bright tone", bpm: 96, keyscale: "", lyrics: "[Instrumental]", is_instrumental: true, acestep_bridge: { split: "validation", unsure: { bpm: "96 or 48" } } };

test("labels are shown as text, unknown ones as nothing", () => {
  assert.deepEqual(["caption", "bpm", "keyscale", "split", "is_instrumental"].map((name) => shownLabel(column(name), sample)), ["a bright tone", "96", "", "validation", true]);
  assert.deepEqual([shownLabel(column("bpm"), { bpm: null }), shownLabel(column("split"), {}), shownLabel(column("is_instrumental"), {})], ["", "", false]);
});

test("only what is new becomes a change; the daemon reads it", () => {
  assert.equal(change(column("caption"), sample, " a bright tone "), null);
  assert.deepEqual(change(column("caption"), sample, "a dark tone"), { caption: "a dark tone" });
  assert.deepEqual(change(column("bpm"), sample, "48"), { bpm: "48" });
  assert.deepEqual(change(column("bpm"), sample, ""), { bpm: "" });
  assert.deepEqual(change(column("is_instrumental"), sample, false), { is_instrumental: false });
  assert.equal(change(column("split"), sample, "validation"), null);
});

test("a doubtful measurement says why", () => {
  assert.deepEqual([doubt(column("bpm"), sample), doubt(column("keyscale"), sample), doubt(column("bpm"), {})], ["96 or 48", "", ""]);
});

test("arrow keys stay in the column and inside the table", () => {
  assert.deepEqual(neighbour({ row: 0, column: "bpm" }, "ArrowDown", 2), { row: 1, column: "bpm" });
  assert.deepEqual([neighbour({ row: 1, column: "bpm" }, "ArrowDown", 2), neighbour({ row: 0, column: "bpm" }, "ArrowUp", 2), neighbour({ row: 0, column: "bpm" }, "x", 2)], [null, null, null]);
});
