// Lists of jobs and results: rows stay where they are, focus with them; a job's row says how it stands; menus work by keys.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Element, install } from "./dom.mjs";
import { readWords } from "./words.mjs";
import { jobRow, keyed, menu, soundsOf, takeActions, takeRow } from "../../../../../bridge/doors/http/page/static/list.js";

let body;
beforeEach(() => { body = install(); readWords("en"); });

const item = (id, name = id) => ({ id, name });
const row = (made) => (one) => {
  const element = new Element("li");
  made.push(one.id);
  element.update = ({ name }) => { element.textContent = name; };
  return element;
};
const texts = (list) => list.children.map((one) => one.textContent);

test("a row is made once, moved and brought up to date afterwards, and goes with its item", () => {
  const list = new Element("ul"), made = [];
  body.append(list);
  const bring = (items) => keyed(list, items, (one) => one.id, row(made));
  bring([item("a"), item("b"), item("c")]);
  const first = list.children[0];
  bring([item("c"), item("a", "new"), item("d")]);
  assert.deepEqual([texts(list), made], [["c", "new", "d"], ["a", "b", "c", "d"]]);
  assert.equal(list.children[1], first);
  bring([]);
  assert.equal(list.children.length, 0);
});

test("focus stays on a row that is moved", () => {
  const list = new Element("ul"), made = [];
  body.append(list);
  keyed(list, [item("a"), item("b")], (one) => one.id, row(made));
  const second = list.children[1];
  second.focus();
  keyed(list, [item("b"), item("a")], (one) => one.id, row(made));
  assert.deepEqual([texts(list), document.activeElement === second], [["b", "a"], true]);
});

const app = (more = {}) => ({ calls: [], store: { active: [], jobs: new Map(), note() { } }, async call(...asked) { this.calls.push(asked); return []; }, say(words) { this.said = words; }, fail(error) { throw error; }, cancel(id) { this.cancelled = id; }, ...more });

test("a job's row says where it waits, how far it is, and how long it takes", () => {
  const one = jobRow(app(), { id: "j" }), facts = () => one.querySelector(".num").textContent;
  one.update({ id: "j", operation: "generate", state: "queued", position: 2, caption: "rain" });
  assert.deepEqual([one.querySelector("h3").textContent, facts(), one.querySelector("progress").hidden], ["rain", "generate · waiting, number 2", true]);
  one.update({ id: "j", operation: "generate", state: "running", progress: { stage: "denoise", fraction: 0.426, eta: 65 } });
  assert.deepEqual([facts(), one.querySelector("progress").value], ["generate · denoise · 43 % · 1:05 left", "0.426"]);
  one.update({ id: "j", operation: "generate", state: "running", cancelling: true });
  assert.deepEqual([facts(), one.querySelector(".cancel").disabled], ["generate · cancelling…", true]);
});

test("a job of many songs says how many a minute, of each stage anew", (context) => {
  let now = 0;
  context.mock.method(performance, "now", () => now);
  const one = jobRow(app(), { id: "j" }), facts = () => one.querySelector(".num").textContent;
  const at = (seconds, stage, step) => {
    now = seconds * 1000;
    one.update({ id: "j", operation: "dataset-prepare", state: "running", progress: { stage, step, steps: 40, fraction: 0.5, eta: 600 } });
    return facts();
  };
  assert.equal(at(0, "sounds", 8), "dataset-prepare · sounds · 8 of 40 · 50 % · 10:00 left");
  assert.equal(at(10, "sounds", 9), "dataset-prepare · sounds · 9 of 40, 6.0 a minute · 50 % · 10:00 left");
  assert.equal(at(12, "sounds", 9), "dataset-prepare · sounds · 9 of 40, 6.0 a minute · 50 % · 10:00 left");
  assert.equal(at(14, "words", 1), "dataset-prepare · words · 1 of 40 · 50 % · 10:00 left");
  assert.equal(at(15, "words", 3), "dataset-prepare · words · 3 of 40, 120 a minute · 50 % · 10:00 left");
});

test("cancel is for exactly this job, and its name says which", () => {
  const page = app(), one = jobRow(page, { id: "j" });
  one.update({ id: "j", state: "queued", caption: "rain" });
  const cancel = one.querySelector(".cancel");
  assert.equal(cancel.getAttribute("aria-label"), "Cancel rain");
  cancel.click();
  assert.equal(page.cancelled, "j");
});

test("a waiting job goes before the one ahead of it, or lets the next one go first", async () => {
  const waiting = ["a", "b", "c"].map((id, n) => ({ id, state: "queued", position: n + 1 }));
  for (const [name, expected] of [["Earlier", { id: "b", ahead_of: "a" }], ["Later", { id: "c", ahead_of: "b" }]]) {
    const page = app(), one = jobRow(page, waiting[1]);
    page.store.active = waiting;
    one.update(waiting[1]);
    one.querySelector(`[aria-label="${name}"]`).click();
    await new Promise(setImmediate);
    assert.deepEqual(page.calls[0], ["queue.move", expected]);
  }
});

test("a menu opens on its first entry, goes round by arrow keys, and gives the focus back", () => {
  const ran = [], box = menu("More", [{ words: "One", run: () => ran.push(1) }, { words: "Two", run: () => ran.push(2) }, { words: "Get", href: "/x", download: "x" }]);
  body.append(box);
  const [opener, list] = box.children;
  opener.click();
  assert.deepEqual([list.hidden, document.activeElement.textContent, opener.getAttribute("aria-expanded")], [false, "One", "true"]);
  document.activeElement.press("ArrowUp");
  assert.equal(document.activeElement.getAttribute("href"), "/x");
  document.activeElement.press("ArrowDown");
  document.activeElement.press("ArrowDown");
  assert.ok(document.activeElement.press("Escape").defaultPrevented);
  assert.deepEqual([list.hidden, document.activeElement === opener], [true, true]);
  opener.click();
  list.children[1].click();
  assert.deepEqual([ran, list.hidden], [[2], true]);
});

const result = { id: "job-1", caption: "rain", files: [{ index: 0, name: "a.wav", role: "part", variant: 1, length: 48000, rate: 48000, path: "/l/a.wav", seed: 7 }, { index: 1, name: "a.safetensors", role: "latent" }, { index: 2, name: "b.wav", role: "part", variant: 0, stage: 2, preview: true, length: 1, rate: 1 }] };

test("a take plays, pauses and says so; a preview is called one", () => {
  const player = { sounds: {}, side: "a", playing: false, play(sound) { this.sound = sound; this.playing = true; }, pause() { this.playing = false; } };
  const made = takeRow(app({ player }), result, result.files[0]);
  const play = made.querySelector(".round");
  assert.deepEqual([made.dataset.take, play.getAttribute("aria-label"), made.querySelector(".name").textContent], ["job-1/0", "Play part 2", "part 2 0:01.0"]);
  play.click();
  made.mark();
  assert.deepEqual([player.sound.address, made.classList.contains("on"), play.getAttribute("aria-pressed")], ["/studio/sounds/job-1/0/a.wav", true, "true"]);
  play.click();
  made.mark();
  assert.equal(play.getAttribute("aria-pressed"), "false");
  const preview = takeRow(app({ player }), result, result.files[2]);
  assert.equal(preview.querySelector(".round").getAttribute("aria-label"), "Play preview of stage 2 · 1");
});

test("sounds are what can be heard; every take can go on to the other views", () => {
  assert.deepEqual(soundsOf(result).map((file) => file.index), [0, 2]);
  const used = [], page = app({ useIn: (...asked) => used.push(asked), go: (...asked) => used.push(asked) });
  const acts = takeActions(page)(result, result.files[0]);
  const run = (words) => acts.find((one) => one.words === words).run();
  for (const words of ["Edit", "Use as reference", "Use in the pipeline", "Use its seed"]) run(words);
  assert.deepEqual(used, [["edit", "job-1", 0], ["create", { reference: "/l/a.wav" }], ["pipeline", { source: { path: "/l/a.wav" } }], ["create", { seed: 7 }]]);
  assert.deepEqual(acts.filter((one) => one.href).map((one) => one.href.split("/").pop()), ["wav", "flac", "mp3", "ogg"]);
});
