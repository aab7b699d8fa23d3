// The Pipeline view, with a daemon that answers from a table: what it asks, what it shows, what it keeps.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Element, install } from "./dom.mjs";
import { readWords } from "./words.mjs";
import { CallError } from "../../../../../bridge/doors/http/page/static/client.js";
import { chosenSource, fillSources, latentPlaces, takePlaces } from "../../../../../bridge/doors/http/page/static/views/chain-sources.js";
import { t } from "../../../../../bridge/doors/http/page/static/words.js";
import { pipelineView } from "../../../../../bridge/doors/http/page/static/views/pipeline.js";
import { presetBar } from "../../../../../bridge/doors/http/page/static/views/presets.js";
import { stageCard } from "../../../../../bridge/doors/http/page/static/views/stage.js";

let body;
beforeEach(() => { body = install(); readWords("en"); });

const field = (name, type, more = {}) => ({ name, type, summary: name, label: name, ...more });
const CHAIN = {
  conditioning: [field("caption", "str", { max_length: 4096 }), field("duration", "float", { min: 0, max: 600 })],
  output: [field("variants", "int", { min: 1, max: 8, default: 1 })],
  shared: [field("model", "str", { choices: ["", "nano"], default: "" }), field("steps", "int", { min: 1, max: 200 }), field("preview", "bool", { default: false }), field("caption", "str", { max_length: 4096, group: "chain" })],
  stages: [{ type: "generate", source: "none", fields: [] }, { type: "refine", source: "optional", fields: [field("t_start", "float", { min: 0, max: 1, default: 0.35 })] }, { type: "cover", source: "required", fields: [] }],
};
const ROWS = [{ id: "job-1", caption: "rain", operation: "generate", files: [{ index: 0, name: "a.wav", path: "/l/a.wav", role: "part", variant: 0 }] }];

class Daemon extends EventTarget {
  connected = true; asked = []; told = []; newest = []; models = [{ name: "nano", present: true }, { name: "gone", present: false }]; store = Object.assign(new EventTarget(), { jobs: new Map() }); status = {};
  operations = new Map([["render", { name: "render", chain: CHAIN }], ...CHAIN.stages.map((one) => [one.type, { name: one.type, summary: `does ${one.type}` }])]);
  answers = { "history.list": () => ({ rows: ROWS }), "preset.list": () => [{ name: "built", title: "Built", own: false }, { name: "mine", own: true }], "job.check": ({ params }) => ({ notes: [], stages: params.stages.map(({ type }) => ({ type, times: [1, 0.5, 0] })) }) };

  async call(method, params) {
    this.asked.push([method, params]);
    return this.answers[method]?.(params) ?? {};
  }
  async run() { return { result: { data: { latents: [{ id: "job-0/t.safetensors", caption: "snow" }] } } }; }
  async submit(operation, params) { this.asked.push(["submit", { operation, params }]); return "page-1"; }
  tell(words, kind, act) { this.told.push({ words, act }); }
  say(words) { this.said = words; }
  fail(error) { throw error; }
  refreshModels() { this.dispatchEvent(new Event("models")); }
  last(method) { return this.asked.filter(([name]) => name === method).at(-1)?.[1]; }
}

const settled = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));
const CHECKED = 500; // longer than the view waits for the typing to end

async function opened(draft = null) {
  if (draft) localStorage.setItem("studio.pipeline", JSON.stringify(draft));
  const app = new Daemon(), view = pipelineView(app);
  body.append(view.element);
  app.dispatchEvent(new Event("connected"));
  await settled();
  const cards = () => view.element.querySelectorAll("li[data-stage]");
  const act = (name, root = view.element) => root.querySelector(`[data-act="${name}"]`);
  return { app, view, cards, act, state: () => view.element.querySelector('[data-part="state"]').textContent, run: async () => { await view.run(); return app.last("submit")?.params; } };
}

test("what is put together is what is handed in, and what a reload finds", async () => {
  const { app, view, cards, act, run } = await opened();
  view.element.querySelector('[data-field="caption"]').querySelector("textarea").type("rain");
  act("add-stage").click();
  cards()[1].querySelector('[data-field="t_start"]').querySelectorAll("input")[1].type("0.5");
  cards()[0].querySelector('[data-field="preview"]').querySelector("input").checked = true;
  const params = await run();
  assert.deepEqual(params, { stages: [{ type: "generate", preview: true }, { type: "refine", t_start: 0.5 }], conditioning: { caption: "rain" } });
  assert.equal(app.said, "rain is in the queue.");
  const kept = JSON.parse(localStorage.getItem("studio.pipeline"));
  assert.deepEqual([kept.stages.map((one) => [one.type, one.from]), kept.ran], [[["generate", "source"], ["refine", 0]], ["page-1"]]);
});

test("the daemon is asked once the typing rests, and its timesteps are shown", async () => {
  const { app, act, cards, state } = await opened();
  act("add-stage").click();
  assert.equal(state(), "Checking…");
  await settled(CHECKED);
  assert.equal(state(), "Ready to run.");
  assert.equal(app.asked.filter(([name]) => name === "job.check").length, 1);
  assert.deepEqual(cards().map((card) => card.querySelectorAll("details").at(-1).hidden), [false, false]);
});

test("the daemon's refusal stands at its stage and its field, and goes with the next change", async () => {
  const { app, act, cards, state } = await opened();
  app.answers["job.check"] = () => { throw new CallError({ code: "bad_request", field: "stages[1].t_start", message: "stage 2: too late" }); };
  act("add-stage").click();
  await settled(CHECKED);
  const wrong = cards()[1].querySelector('[data-field="t_start"]').querySelector(".wrong");
  assert.deepEqual([state(), wrong.textContent, wrong.hidden], ["Stage 2: too late", "too late", false]);
  cards()[1].querySelector('[data-field="steps"]').querySelector("input").type("4");
  assert.equal(wrong.hidden, true);
});

test("a deleted model is told at its stage, keeps its name, and nothing is handed in", async () => {
  const { app, cards, state, run } = await opened({ stages: [{ type: "generate", from: "source", region: {}, values: { model: "gone" } }] });
  const model = cards()[0].querySelector('[data-field="model"]').querySelector("select");
  assert.deepEqual([model.value, model.options.at(-1).textContent], ["gone", "gone (no longer available)"]);
  assert.equal(state(), "Stage 1: The model “gone” is no longer on this machine. Choose another one.");
  assert.equal(await run(), undefined);
  model.choose("nano");
  assert.deepEqual((await run()).stages, [{ type: "generate", model: "nano" }]);
  assert.equal(app.asked.filter(([name]) => name === "submit").length, 1);
});

test("without a daemon nothing is said to be ready; once it is back, the chain is looked at again", async () => {
  const { app, act, state } = await opened();
  app.connected = false;
  act("add-stage").click();
  await settled(CHECKED);
  assert.equal(state(), "Not checked: the daemon does not answer. It checks again when you run.");
  app.connected = true;
  app.dispatchEvent(new Event("connected"));
  await settled(CHECKED);
  assert.equal(state(), "Ready to run.");
});

test("another chain takes the place of this one, and gives it back", async () => {
  const { app, view, cards, run } = await opened();
  view.useRequest({ stages: [{ type: "cover" }, { type: "refine" }], source: { path: "/l/a.wav" }, conditioning: { caption: "snow" } });
  assert.equal(cards().length, 2);
  assert.deepEqual((await run()).source, { path: "/l/a.wav" });
  app.told.find((one) => one.act).act.run();
  assert.equal(cards().length, 1);
  view.useRequest({ caption: "no chain" });
  assert.deepEqual([cards().length, view.element.querySelector(".error").textContent], [1, t("pipeline.fault.none")]);
});

test("a card keeps what its form does not know, and samples give way to seconds", () => {
  const acts = { changed() { }, move() { }, remove() { }, dragging() { } };
  const stage = { type: "cover", from: 0, region: { start: 4800, length: 9600 }, values: { steps: 3, glitter: 1 } };
  const card = stageCard(new Daemon(), { stage, at: 1, count: 2, kind: CHAIN.stages[2], shared: CHAIN.shared, summary: "" }, acts);
  body.append(card.element);
  card.offer([{ type: "generate" }, stage], []);
  assert.deepEqual(card.stage, stage);
  const from = card.element.querySelector("select");
  from.choose('"source"');
  card.offer([{ type: "generate" }, stage], [{ place: { path: "/l/new.wav" }, words: "new", group: "takes" }]);
  assert.equal(card.stage.from, "source");
  from.choose("0");
  card.element.querySelector('[data-region="start_seconds"]').type("1,5");
  assert.deepEqual(card.stage.region, { length: 9600, start_seconds: 1.5 });
  card.element.querySelector('[data-region="end_seconds"]').type("3");
  assert.deepEqual(card.stage.region, { start_seconds: 1.5, end_seconds: 3 });
  card.element.querySelector('[data-region="end_seconds"]').type("x");
  assert.equal(card.element.querySelector('[data-region="end_seconds"]').getAttribute("aria-invalid"), "true");
  assert.deepEqual(card.stage.region, { start_seconds: 1.5, end_seconds: 3 });
});

test("a stage is moved by arrow keys, and to either end", () => {
  const moves = [], acts = { changed() { }, move: (...asked) => moves.push(asked), remove: (at) => moves.push(at), dragging() { } };
  const card = stageCard(new Daemon(), { stage: { type: "cover", from: "source", region: {}, values: {} }, at: 1, count: 4, kind: CHAIN.stages[2], shared: [], summary: "" }, acts);
  const grip = card.element.querySelector('[data-act="grip"]');
  for (const key of ["ArrowUp", "ArrowDown", "Home", "End", "x"]) grip.press(key);
  for (const name of ["up", "down", "remove"]) card.element.querySelector(`[data-act="${name}"]`).click();
  assert.deepEqual(moves, [[1, 0, "grip"], [1, 2, "grip"], [1, 0, "grip"], [1, 3, "grip"], [1, 0, "up"], [1, 2, "down"], 1]);
});

test("takes, latents and a sound that was sent are offered; one that is gone stays chosen", async () => {
  localStorage.setItem("studio.upload", JSON.stringify({ id: "up-1", name: "mine.wav" }));
  const places = [...(await takePlaces(new Daemon())), ...(await latentPlaces(new Daemon()))], select = new Element("select");
  assert.deepEqual(places.map((one) => one.place), [{ upload: "up-1" }, { path: "/l/a.wav" }, { latent: "job-0/t.safetensors" }]);
  fillSources(select, { path: "/old.wav" }, [{ value: null, words: "none" }], places);
  assert.deepEqual([chosenSource(select), select.options.map((one) => one.textContent)], [{ path: "/old.wav" }, ["none", "/old.wav", "mine.wav", "rain · part 1", "snow · job-0/t.safetensors"]]);
  fillSources(select, 0, [{ value: 0, words: "stage 1" }], places);
  assert.deepEqual([chosenSource(select), select.options.length], [0, 4]);
});

test("presets: one's own can be deleted and had back, and one is kept with its name", async () => {
  const app = new Daemon(), used = [], failed = [];
  const bar = presetBar(app, { chain: (name) => ({ name, stages: [{ type: "generate" }] }), use: (chain) => used.push(chain), failed: (words) => failed.push(words) });
  body.append(...bar.elements);
  await bar.refresh();
  const choose = body.querySelector("select"), forget = body.querySelectorAll("button").find((one) => one.textContent === "Delete the preset");
  app.answers["preset.show"] = () => ({ name: "built", stages: [{ type: "generate" }] });
  choose.choose("built");
  await settled();
  assert.deepEqual([used[0].stages[0].type, forget.hidden], ["generate", true]);
  choose.choose("mine");
  assert.equal(forget.hidden, false);
  app.answers["preset.export"] = () => ({ text: "{}" });
  forget.click();
  await settled();
  assert.deepEqual(app.last("preset.delete"), { name: "mine" });
  app.told.at(-1).act.run();
  assert.deepEqual(app.last("preset.import"), { text: "{}" });
  app.answers["preset.show"] = () => { throw new CallError({ code: "not_found", message: "no such preset" }); };
  choose.choose("built");
  await settled();
  assert.deepEqual(failed, ["no such preset"]);
  body.querySelector('[data-act="save-preset"]').click();
  const dialog = body.querySelector("dialog");
  dialog.querySelector("input").type(" new-one ");
  dialog.querySelectorAll("button").find((one) => one.textContent === "Save").click();
  await settled();
  assert.deepEqual(app.last("preset.import"), { text: '{"name":"new-one","stages":[{"type":"generate"}]}', replace: false });
});
