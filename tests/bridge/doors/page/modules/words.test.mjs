// Words: one and many, in each language; what a language lacks is said in English.

import assert from "node:assert/strict";
import { test } from "node:test";
import { read, readWords } from "./words.mjs";
import { setWords, t } from "../../../../../bridge/doors/http/page/static/words.js";

test("one is not many", () => {
  readWords("en");
  assert.deepEqual([0, 1, 2, 1000].map((count) => t("library.count", { count })), ["0 results", "One result", "2 results", "1000 results"]);
  assert.equal(t("library.gone", { count: 1 }), "One result was deleted. It can be restored for a day.");
  assert.equal(t("library.further", { count: 1 }), "One more file is in the ZIP.");
  assert.equal(t("edit.facts", { seconds: "1.00", samples: "48,000", rate: 48000, channels: 1 }), "1.00 s · 48,000 samples · 48000 Hz · 1 channel");
  assert.equal(t("create.curve_label", { steps: 8, values: "1" }), "8 steps from noise to sound, at 1");
});

test("languages without a plural need none", () => {
  for (const code of ["zh", "ja"]) {
    readWords(code);
    assert.equal(t("library.count", { count: 1 }), t("library.count", { count: 2 }).replace("2", "1"));
  }
});

test("a language with forms of its own uses its own rules", () => {
  setWords({ x: "{count:une prise|{count} prises}" }, {}, "fr");
  assert.deepEqual([0, 1, 2].map((count) => t("x", { count })), ["une prise", "une prise", "2 prises"]);
});

test("what a language lacks is said in English, by English rules", () => {
  setWords({}, { x: "{count:one|{count} many}" }, "ja");
  assert.deepEqual([t("x", { count: 1 }), t("x", { count: 3 }), t("y")], ["one", "3 many", "y"]);
});

test("foreign text with braces stays as it is", () => {
  setWords({}, { x: "{name}: {count:one|{count} many}" });
  assert.equal(t("x", { name: "{count:a|b} {name}", count: 2 }), "{count:a|b} {name}: 2 many");
});

test("no count stands before a word for many that has no word for one", () => {
  const bare = (text) => text.replace(/\{\w+:(?:[^{}]|\{\w+\})*\}/g, "");
  const wrong = Object.entries(read("en")).filter(([, text]) => /\{(count|channels|files|takes|results|stages)\} (more )?[a-z]+s\b/.test(bare(text)));
  assert.deepEqual(wrong, []);
});
