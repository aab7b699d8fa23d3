// Pipeline: stages as an ordered list, each with its own settings, looked at by the daemon before it runs; presets, import and export.

import { drafts, sentence } from "../app.js";
import { NoChain, SOURCE, added, chainOf, faults, moved, newStage, placeOfFault, preset, read, removed, request } from "../chain.js";
import { deviceChoice } from "../device.js";
import { button, el, newId } from "../dom.js";
import { Form } from "../form.js";
import { soundsOf, takeActions, takeRow } from "../list.js";
import { t } from "../words.js";
import { assistant, prompts, requestDialog, saveText } from "./assist.js";
import { chosenSource, fillSources, latentPlaces, takePlaces } from "./chain-sources.js";
import { presetBar } from "./presets.js";
import { kindName, stageCard } from "./stage.js";
import { sourcePicker } from "./source.js";

const SONG = ["caption", "duration", "bpm", "key", "time_signature", "instrumental"];
const OUTPUT = ["variants", "format", "level", "check"];
const CHECK_MS = 400;
const KEPT_RUNS = 8;

export function pipelineView(app) {
  const fresh = () => ({ stages: [newStage("generate", 0)], conditioning: {}, output: {}, source: null });
  const draft = { ...fresh(), ran: [], ...drafts.read("pipeline", {}) };
  let cards = [], song = null, output = null, takes = [], latents = [], kinds = new Map(), marked = [], turn = 0, timer = 0;

  const list = el("ol", { class: "stages" });
  const type = el("select", { id: newId("type") });
  const add = button(t("pipeline.add"), () => addStage(), { data: { act: "add-stage" } });
  const source = el("select", { id: newId("source"), data: { part: "source" }, on: { change: () => { draft.source = chosenSource(source); changed(); } } });
  const sourceWrong = el("p", { class: "wrong", hidden: true });
  const picker = sourcePicker(app, (upload) => { drafts.write("upload", upload); useSource({ upload: upload.id }); });
  const songPlace = el("div", {}), outputPlace = el("div", {});
  const state = el("p", { class: "soft", role: "status", data: { part: "state" } }), notes = el("div", { class: "regions" });
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const device = deviceChoice(app);
  const go = button(t("pipeline.run"), () => run(), { class: "go", data: { act: "pipeline" } });
  const results = el("ul", { class: "cards" });
  const bar = presetBar(app, { chain: (name) => preset(name, take().stages, parts()), use: replace, failed: (words) => refuse(words) });
  const field = (select, words, ...more) => el("div", { class: "field wide" }, el("label", { for: select.id }, words), select, more);
  const element = el("section", {}, el("div", {}, el("h2", {}, t("pipeline.title")), el("p", { class: "lead" }, t("pipeline.lead"))),
    el("div", { class: "panel" }, el("div", { class: "row" }, ...bar.elements,
      button(t("pipeline.import"), () => importFile(), { data: { act: "import" } }), button(t("pipeline.export"), () => saveText("pipeline.preset.json", JSON.stringify(preset("pipeline", take().stages, parts()), null, 1)), { data: { act: "export" } }),
      button(t("create.json"), () => requestDialog({ operation: "render", params: chain() }), { data: { act: "json" } }), button(t("pipeline.clear"), () => replace({ stages: [], conditioning: {}, output: {}, source: null }))), error),
    el("div", { class: "panel" }, el("h3", {}, t("pipeline.song")), el("div", { class: "row" }, button(t("assist.title"), () => assistant(app, song)), button(t("prompts.title"), () => prompts(app, (values) => { for (const [name, value] of Object.entries(values)) song.set(name, value); }))), songPlace,
      el("div", { class: "fields" }, field(source, t("pipeline.source"), sourceWrong)), el("details", { class: "group" }, el("summary", {}, t("pipeline.own_sound")), picker.element)),
    list, el("div", { class: "panel row" }, field(type, t("pipeline.type")), add),
    el("div", { class: "panel" }, el("h3", {}, t("pipeline.output")), outputPlace, notes, el("div", { class: "head" }, state, device.element, go)), results);

  // The draft

  const parts = () => ({ conditioning: draft.conditioning, output: draft.output, source: draft.source, kinds });

  // What the forms say becomes the draft.
  function take() {
    if (cards.length === draft.stages.length) draft.stages = cards.map((card) => card.stage);
    if (song) draft.conditioning = { ...unknown(draft.conditioning, song), ...song.values };
    if (output) draft.output = { ...unknown(draft.output, output), ...output.values };
    drafts.write("pipeline", draft);
    return draft;
  }

  const unknown = (map, form) => Object.fromEntries(Object.entries(map).filter(([name]) => !form.has(name)));

  const chain = () => request(take().stages, parts());

  // Another chain in place of this one; the old one can be had back.
  function replace(chosen) {
    const { stages, conditioning, output: asked, source: sound } = take();
    set(chosen);
    if (stages.length) app.tell(t("pipeline.replaced"), "", { words: t("library.undo"), run: () => set({ stages, conditioning, output: asked, source: sound }) });
  }

  function set(chosen) {
    error.hidden = true;
    Object.assign(draft, { conditioning: {}, output: {}, ...chosen, source: chosen.source ?? null });
    [cards, song, output] = [[], null, null];
    drafts.write("pipeline", draft);
    build();
  }

  // Drawing

  function build() {
    const { chain: known } = app.operations.get("render") ?? {};
    if (!known) return;
    if (song) take();
    kinds = new Map(known.stages.filter((one) => app.operations.has(one.type)).map((one) => [one.type, one]));
    type.replaceChildren(...[...kinds.keys()].map((one) => el("option", { value: one, selected: one === "refine" }, kindName(one))));
    [song, output] = [null, null];
    const form = (fields, values, short) => new Form(fields, { values, short, changed, find: true, folded: true });
    [song, output] = [form(known.conditioning, draft.conditioning, SONG), form(known.output, draft.output, OUTPUT)];
    songPlace.replaceChildren(song.element);
    outputPlace.replaceChildren(output.element);
    offerSource();
    draw();
    bar.refresh();
  }

  function draw() {
    const { shared } = app.operations.get("render").chain, { stages } = draft;
    cards = [];
    cards = stages.map((stage, at) => stageCard(app, { stage, at, count: stages.length, kind: kinds.get(stage.type), shared, summary: app.operations.get(stage.type)?.summary }, { move, remove, changed, dragging }));
    cards.forEach((card) => card.offer(stages, places()));
    list.replaceChildren(...cards.map((card) => card.element));
    marked = [];
    changed();
  }

  function addStage() {
    draft.stages = added(take().stages, type.value);
    draw();
    cards[cards.length - 1].focusSource();
    app.say(t("pipeline.added", { number: cards.length }));
  }

  function remove(at) {
    const before = take().stages, { stages, rewired } = removed(before, at);
    draft.stages = stages;
    draw();
    (cards[Math.min(at, cards.length - 1)]?.element.querySelector('[data-act="grip"]') ?? add).focus();
    app.tell([t("pipeline.removed", { number: at + 1 }), rewiredWords(rewired)].filter(Boolean).join(" "), "", { words: t("library.undo"), run: () => replace({ ...take(), stages: before }) });
  }

  function move(at, to, act) {
    const { stages, rewired } = moved(take().stages, at, to);
    if (stages === draft.stages) return;
    draft.stages = stages;
    draw();
    const control = cards[to].element.querySelector(`[data-act="${act}"]`);
    (control.disabled ? cards[to].element.querySelector('[data-act="grip"]') : control).focus();
    const words = rewiredWords(rewired);
    if (words) app.tell(`${t("pipeline.moved", { number: to + 1 })} ${words}`);
    else app.say(t("pipeline.moved", { number: to + 1 }));
  }

  // While a stage is dragged only the heads are shown, so that no place is far away.
  const dragging = (on) => list.classList.toggle("dragging", on);

  // A stage that had to go on from something else is said by name: nothing changes in silence.
  function rewiredWords(rewired) {
    return rewired.map((at) => {
      const { from } = draft.stages[at];
      const words = from === SOURCE ? t("pipeline.from_source") : typeof from === "number" ? t("pipeline.from_stage", { number: from + 1, type: kindName(draft.stages[from].type) }) : "";
      return kinds.get(draft.stages[at].type)?.source === "none" || !words ? "" : t("pipeline.rewired", { number: at + 1, from: words });
    }).filter(Boolean).join(" ");
  }

  // Checking: what can be seen here at once, the rest by the daemon's own check

  function changed() {
    if (!song || !output || cards.length !== draft.stages.length) return;
    take();
    clearTimeout(timer);
    turn += 1;
    const found = faults(draft.stages, { kinds, models: present(), source: draft.source });
    unmark();
    for (const [at, key, values] of found) if (at >= 0) cards[at].tell(t(key, values));
    if (found.length) return stands(faultWords(found[0]));
    stands(t("pipeline.checking"));
    timer = setTimeout(() => check(), CHECK_MS);
  }

  const present = () => app.models.filter((one) => one.present).map((one) => one.name);
  const faultWords = ([at, key, values]) => (at < 0 ? t(key, values) : t("pipeline.in_stage", { number: at + 1, what: t(key, values) }));

  function stands(words, ready = false) {
    state.textContent = words;
    state.dataset.ready = String(ready);
    if (!ready) notes.replaceChildren();
  }

  async function check() {
    if (!app.connected) return stands(t("pipeline.unchecked"));
    const mine = turn;
    try {
      const answer = await app.call("job.check", { operation: "render", params: chain() });
      if (mine !== turn) return;
      stands(t("pipeline.ready"), true);
      notes.replaceChildren(...answer.notes.map((one) => el("p", { class: "warn" }, one)));
      answer.stages.forEach((one, at) => cards[at]?.showTimes(one.times));
    } catch (failure) {
      if (mine !== turn) return;
      if (["disconnected", "timeout", "busy"].includes(failure.code)) stands(t("pipeline.unchecked"));
      else mark(failure);
    }
  }

  // The daemon's sentence at the place that it is about.
  function mark(failure, chosen = false) {
    const words = sentence(failure), { part, index, field: name } = placeOfFault(failure.field);
    const plain = words.replace(/^stage \d+: /, "");
    unmark();
    stands(index >= 0 ? t("pipeline.in_stage", { number: index + 1, what: plain }) : words);
    const form = { stage: cards[index]?.form, conditioning: song, output }[part];
    if (form && (chosen ? form.refuse(name, plain) : form.mark(name, plain))) marked.push([form, name]);
    else if (cards[index]) cards[index].tell(plain);
    else if (part === "source") { sourceWrong.textContent = plain; sourceWrong.hidden = false; }
    if (chosen && part === "source") (cards[index] ? cards[index].focusSource() : source.focus());
    if (chosen) refuse(state.textContent);
  }

  function unmark() {
    for (const [form, name] of marked) form.mark(name, "");
    marked = [];
    sourceWrong.hidden = true;
    cards.forEach((card) => { card.tell(""); card.showTimes([]); });
  }

  const refuse = (words) => { error.textContent = words; error.hidden = false; error.scrollIntoView({ block: "nearest" }); };

  // Presets and files

  function importFile() {
    const input = el("input", { type: "file", accept: ".json,application/json", on: { change: async () => load(() => input.files[0].text()) } });
    input.click();
  }

  async function load(text) {
    try {
      replace(read(await text()));
      app.say(t("pipeline.loaded", { count: draft.stages.length }));
    } catch (failure) {
      refuse(failure instanceof NoChain ? t(failure.key, failure.values) : sentence(failure));
    }
  }

  const places = () => [...takes, ...latents];

  function offerSource() { fillSources(source, draft.source, [{ value: null, words: t("pipeline.no_source") }], places()); }

  function useSource(place) {
    draft.source = place;
    offerSource();
    changed();
  }

  function refreshPlaces() {
    takePlaces(app).then((found) => { takes = found; offer(); }, tellUnlessLost);
    latentPlaces(app).then((found) => { latents = found; offer(); }, tellUnlessLost);
  }

  const tellUnlessLost = (failure) => { if (failure.code !== "disconnected") app.fail(failure); };

  function offer() {
    if (!song) return;
    take();
    offerSource();
    cards.forEach((card) => card.offer(draft.stages, places()));
  }

  // Running

  async function run() {
    error.hidden = true;
    if (!song || [song, output, ...cards.map((card) => card.form)].some((form) => form.toFault())) return;
    const found = faults(take().stages, { kinds, models: present(), source: draft.source });
    if (found.length) return refuse(faultWords(found[0]));
    go.disabled = true;
    try {
      const id = await app.submit("render", chain(), { device: device.value });
      draft.ran = [id, ...draft.ran].slice(0, KEPT_RUNS);
      drafts.write("pipeline", draft);
      app.say(t("say.queued", { name: draft.conditioning.caption ?? t("pipeline.title") }));
    } catch (failure) {
      mark(failure, true);
    } finally {
      go.disabled = false;
    }
  }

  function drawResults() {
    const actions = takeActions(app), rows = (app.newest ?? []).filter((row) => draft.ran.includes(row.id));
    results.replaceChildren(...rows.map((row) => el("li", { class: "card", data: { result: row.id } }, el("h3", {}, t("edit.result", { operation: row.caption || t("pipeline.title") })),
      soundsOf(row).map((file) => takeRow(app, row, file, actions(row, file))))));
  }

  app.addEventListener("connected", () => { build(); if (element.isConnected) refreshPlaces(); });
  app.addEventListener("models", build);
  app.addEventListener("newest", () => { drawResults(); if (element.isConnected) refreshPlaces(); });
  return {
    element, run,
    use: ({ source: place }) => useSource(place),
    useRequest(made) {
      try {
        replace(chainOf(made));
      } catch (failure) {
        refuse(failure instanceof NoChain ? t(failure.key, failure.values) : sentence(failure));
      }
    },
    show() {
      if (!app.connected) return;
      refreshPlaces();
      if (song) changed();
    },
  };
}
