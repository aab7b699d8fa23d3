// Edit: a source with its waveform, regions on it, and an operation on them; what stays and what becomes new can be seen.

import { drafts, sentence } from "../app.js";
import { contradictions } from "../checks.js";
import { deviceChoice } from "../device.js";
import { button, el, iconButton, newId, segments } from "../dom.js";
import { Form } from "../form.js";
import { takeActions, takeRow, soundsOf } from "../list.js";
import { loadPeaks } from "../peaks.js";
import { soundOf, uploadSound } from "../sounds.js";
import { Grid, regionFault } from "../waveform.js";
import "../wave-view.js";
import { t } from "../words.js";
import { requestDialog } from "./assist.js";
import { regionRows, spans } from "./regions.js";
import { sourcePicker } from "./source.js";

export const KNOWN = ["repaint", "cover", "extend", "extract", "lego", "complete", "flow-edit"];
const NEEDS_REGION = new Set(["repaint"]);
const WHOLE = new Set(["repaint", "extend"]);
const OURS = ["source", "upload", "source_latent", "start", "end", "start_seconds", "end_seconds", "regions", "bpm", "time_signature", "bar_offset", "tempo_map", "duration", "crossfade_side", "folder", "length", "span_start", "span_end"];
const SHORT = ["caption", "lyrics", "track", "tracks", "source_caption", "source_lyrics", "mode", "strength", "noise_strength", "variants", "seed", "model", "steps", "format"];
const METRES = ["4/4", "3/4", "2/4", "6/8", "5/4", "7/8", "9/8", "12/8"];

export function editView(app) {
  const draft = { operation: "repaint", values: {}, snap: "bar", ...drafts.read("edit", {}) };
  const keep = () => drafts.write("edit", draft);
  const marks = drafts.read("marks", {}); // source -> grid and regions of this browser
  let source = null, wanted = "", form = null, edits = [];

  const picker = sourcePicker(app, (upload) => { drafts.write("upload", upload); app.go("edit", "upload", upload.id); });
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const wave = el("wave-view", {});
  const name = el("h3", {}), facts = el("p", { class: "soft num" }), meaning = el("p", { role: "status" });
  const regions = regionRows(wave);

  // The grid

  const number = (label, input) => el("div", { class: "field" }, el("label", { for: input.id }, label), input);
  const bpm = el("input", { id: newId("bpm"), type: "text", inputmode: "decimal", class: "num", placeholder: t("edit.unknown"), on: { change: () => setGrid() } });
  const metre = el("select", { id: newId("metre"), on: { change: () => setGrid() } }, METRES.map((one) => el("option", { value: one }, one)));
  const offset = el("input", { id: newId("offset"), type: "text", inputmode: "numeric", class: "num", value: "0", on: { change: () => setGrid() } });
  const snap = segments(t("edit.snap"), [["bar", t("edit.snap_bar")], ["beat", t("edit.snap_beat")], ["off", t("edit.snap_off")]], draft.snap, (value) => { draft.snap = wave.snapTo = value; keep(); });
  wave.snapTo = draft.snap;

  const transport = el("div", { class: "row" },
    button(t("edit.play"), () => play(), { data: { act: "play" } }), button(t("edit.play_region"), () => playRegion()),
    iconButton("plus", t("edit.zoom_in"), () => wave.zoom(1.6)), iconButton("minus", t("edit.zoom_out"), () => wave.zoom(0.625)), button(t("edit.zoom_all"), () => wave.all()),
    button(t("edit.bar_one"), () => { offset.value = String(wave.playhead); setGrid(); }, { data: { act: "bar-one" } }));

  const legend = el("div", { class: "legend" }, el("span", {}, t("edit.kept")), el("span", { class: "new" }, t("edit.new")), el("span", { class: "fade" }, t("edit.fade")));
  const wavePanel = el("div", { class: "panel", hidden: true },
    el("div", { class: "head" }, el("div", {}, name, facts), button(t("edit.other"), () => app.go("edit"))),
    wave, el("div", { class: "head" }, transport, legend),
    el("div", { class: "fields" }, number(t("edit.bpm"), bpm), number(t("edit.metre"), metre), number(t("edit.offset"), offset), el("div", { class: "field" }, el("span", { class: "label" }, t("edit.snap")), snap)),
    regions.element, meaning);

  // The operation

  const opPlace = el("div", { class: "row" }), formPlace = el("div", {}), warnings = el("div", { class: "regions", role: "status" }), cannot = el("p", { class: "soft" });
  const before = el("input", { id: newId("before"), type: "text", inputmode: "decimal", value: "0" }), after = el("input", { id: newId("after"), type: "text", inputmode: "decimal", value: "10" });
  const lengths = el("div", { class: "fields", hidden: true }, number(t("edit.before"), before), number(t("edit.after"), after));
  const device = deviceChoice(app);
  const go = button(t("edit.run"), () => run(), { class: "go", data: { act: "edit" } });
  const opPanel = el("div", { class: "panel", hidden: true }, el("h3", {}, t("edit.operation")), opPlace, cannot, lengths, formPlace, warnings, error,
    el("div", { class: "row end" }, device.element, button(t("create.json"), () => showRequest()), go));
  const results = el("ul", { class: "cards" });
  const element = el("section", {}, el("div", {}, el("h2", {}, t("edit.title")), el("p", { class: "lead" }, t("edit.lead"))), picker.element, wavePanel, opPanel, results);

  // Source

  async function open(words) {
    const key = words.join("/");
    if (source && source.key === key) return;
    wanted = key;
    source = null;
    wave.dataset.source = "";
    reveal();
    if (!words.length) return;
    const drawn = (peaks) => { if (wanted === key) setPeaks(peaks); };
    try {
      const found = words[0] === "upload" ? await uploaded(words[1]) : await resulted(words[0], Number(words[1] || 0));
      if (wanted !== key) return; // another source was asked for meanwhile
      source = { ...found, key };
      wave.setRegions([], false);
      drawn(await loadPeaks(found.sound.peaks, drawn));
    } catch (failure) {
      if (wanted !== key) return;
      source = null;
      reveal();
      picker.refuse(failure.status === 404 || ["unknown_job", "not_found"].includes(failure.code) ? t("edit.gone") : failure.message === "cut" || failure.message === "no peaks" ? t("edit.unreadable") : sentence(failure));
    }
  }

  async function uploaded(id) {
    const stored = drafts.read("upload", {});
    const upload = stored.id === id ? stored : { id, name: id };
    return { sound: uploadSound(upload), params: { upload: id }, music: {} };
  }

  async function resulted(id, index) {
    const { rows } = await app.call("history.list", { search: id, limit: 20 });
    const row = rows.find((one) => one.id === id) ?? rowOf(await app.call("job.result", { id }));
    const file = row.files.find((one) => one.index === index) ?? row.files[index];
    if (!file) throw Object.assign(new Error("gone"), { status: 404 });
    return { sound: soundOf(row, file), params: { source: file.path }, music: row, start: file.start ?? 0 };
  }

  const rowOf = (job) => ({ ...job, files: (job.result?.files ?? []).map((file, index) => ({ ...file, index })) });

  function setPeaks(peaks) {
    wave.peaks = peaks;
    if (wave.dataset.source !== source.key) {
      wave.dataset.source = source.key;
      const known = marks[source.key] ?? {};
      bpm.value = known.bpm ?? source.music.bpm ?? "";
      metre.value = known.metre ?? metreOf(source.music.time_signature);
      offset.value = String(known.offset ?? source.music.bar_offset ?? 0);
      reveal();
      setGrid(false);
      wave.setRegions(known.regions ?? []);
      app.player.load(source.sound, "a"); // what is seen can be heard: a long song is still being drawn for a while
      app.player.choose("a");
    }
    name.textContent = source.sound.name;
    facts.textContent = t("edit.facts", { seconds: (peaks.length / peaks.rate).toFixed(2), samples: peaks.length.toLocaleString(), rate: peaks.rate, channels: peaks.channels });
    wave.draw();
  }

  const metreOf = (text) => (!text ? "4/4" : /\//.test(text) ? text : text === "6" ? "6/8" : `${text}/4`);

  function setGrid(store = true) {
    const tempo = Number(String(bpm.value).replace(",", "."));
    const right = bpm.value === "" || (tempo >= 30 && tempo <= 300);
    bpm.setAttribute("aria-invalid", String(!right));
    const first = Number(offset.value);
    offset.setAttribute("aria-invalid", String(!Number.isInteger(first)));
    wave.grid = right && tempo ? new Grid(wave.peaks.rate, tempo, metre.value, Number.isInteger(first) ? first : 0) : null;
    if (store) remember();
    regions.rows();
    tellMeaning();
    wave.draw();
  }

  function remember() {
    if (!source) return;
    marks[source.key] = { bpm: bpm.value, metre: metre.value, offset: Number(offset.value) || 0, regions: wave.regions };
    for (const key of Object.keys(marks).slice(0, -40)) delete marks[key];
    drafts.write("marks", marks);
  }

  function reveal() {
    picker.element.hidden = Boolean(source);
    wavePanel.hidden = opPanel.hidden = !source;
    results.hidden = !source;
    if (!source) edits = [];
    drawResults();
  }

  function tellMeaning() {
    if (!source || !wave.peaks) return;
    const fault = regionFault(wave.regions, wave.length);
    meaning.textContent = !wave.regions.length ? t("edit.mark") : fault ? t(fault) : t("edit.meaning", { spans: spans(wave) });
    wave.fade = ((form?.value("crossfade") ?? 50) / 1000) * wave.peaks.rate;
    wave.strength = draft.operation === "cover" ? form?.value("strength") ?? 1 : null;
  }

  // Operations that the model can do

  const works = (one) => one.fields.some((field) => field.name === "source") && one.fields.some((field) => field.name === "start") && one.group !== "planner";

  function buildOperations() {
    if (!app.knows(draft.values.model)) return app.know(draft.values.model).then(buildOperations, () => {}); // a lost connection tells itself
    const model = app.model(draft.values.model);
    const names = KNOWN.filter((one) => app.operations.has(one));
    const fit = names.filter((one) => app.can(one, draft.values.model));
    const others = [...app.operations.values()].filter((one) => works(one) && !KNOWN.includes(one.name)).map((one) => one.name);
    if (![...fit, ...others].includes(draft.operation)) draft.operation = fit[0] ?? others[0];
    const words = (one) => app.operations.get(one).title || t(`operation.${one}`) === `operation.${one}` ? app.operations.get(one).title || one : t(`operation.${one}`);
    const row = segments(t("edit.operation"), fit.map((one) => [one, words(one)]), draft.operation, (one) => { more.value = ""; choose(one); });
    const more = el("select", { "aria-label": t("edit.more"), on: { change: () => { if (more.value) { row.choose(""); choose(more.value); } } } },
      el("option", { value: "" }, t("edit.more")), others.map((one) => el("option", { value: one, selected: one === draft.operation }, words(one))));
    opPlace.replaceChildren(row, others.length ? el("div", {}, more) : "");
    const unable = names.filter((one) => !fit.includes(one));
    cannot.textContent = unable.length ? t("edit.cannot", { model: model?.name ?? "", operations: unable.map(words).join(", ") }) : "";
    choose(draft.operation, false);
  }

  function choose(operation, kept = true) {
    if (form && kept) draft.values = { ...draft.values, ...form.values };
    draft.operation = operation;
    keep();
    const { summary } = app.operations.get(operation);
    form = new Form(fields(), { values: draft.values, short: SHORT, omit: OURS, find: true, changed });
    formPlace.replaceChildren(el("p", { class: "lead" }, summary), form.element);
    lengths.hidden = operation !== "extend";
    tellMeaning();
    warn();
    wave.draw();
  }

  const fields = () => app.fieldsOf(draft.operation, draft.values.model);

  function changed(name) {
    draft.values = form.values;
    keep();
    if (name === "model") return buildOperations();
    tellMeaning();
    warn();
    wave.draw();
  }

  function warn() {
    const said = contradictions(form.values, { model: app.model(form.values.model), fields: fields(), tier: app.status.worker?.info ?? {} });
    warnings.replaceChildren(...said.map(([key, values]) => el("p", { class: "warn" }, t(key, values))));
  }

  // Running

  function request() {
    const takes = (field) => fields().some((one) => one.name === field);
    const params = { ...form.values, ...source.params };
    if (draft.operation === "extend") {
      const [first, last] = [before, after].map((one) => Number(one.value.replace(",", ".")) || 0);
      Object.assign(params, { start: -Math.round(first * wave.peaks.rate), end: wave.length + Math.round(last * wave.peaks.rate) });
    } else if (wave.regions.length === 1) Object.assign(params, wave.regions[0]);
    else if (wave.regions.length) params.regions = [...wave.regions].sort((a, b) => a.start - b.start);
    if (wave.grid && takes("bpm")) Object.assign(params, { bpm: wave.grid.bpm, time_signature: metre.value, bar_offset: wave.grid.offset });
    if (takes("crossfade_side")) params.crossfade_side = "inside";
    if (takes("returns") && !params.returns?.length && WHOLE.has(draft.operation)) params.returns = ["whole"];
    return params;
  }

  const refuse = (words) => { error.textContent = words; error.hidden = false; };

  async function run() {
    if (!source || form.toFault()) return;
    error.hidden = true;
    const fault = regionFault(wave.regions, wave.length);
    if (draft.operation !== "extend" && fault && (wave.regions.length || NEEDS_REGION.has(draft.operation))) return refuse(t(fault));
    go.disabled = true;
    try {
      const id = await app.submit(draft.operation, request(), { device: device.value });
      edits.unshift(id);
      app.say(t("say.queued", { name: draft.operation }));
    } catch (failure) {
      const words = failure.code === "not_found" || failure.code === "source_changed" ? t("edit.source_gone") : sentence(failure);
      if (!failure.field || !form.refuse(failure.field, words)) refuse(words);
    } finally {
      go.disabled = false;
    }
  }

  function showRequest() {
    if (source) requestDialog({ operation: draft.operation, params: request() });
  }

  // What came of it: to hear against the source

  function drawResults() {
    const actions = takeActions(app), rows = (app.newest ?? []).filter((row) => edits.includes(row.id));
    results.replaceChildren(...rows.map((row) => el("li", { class: "card", data: { result: row.id } }, el("h3", {}, t("edit.result", { operation: row.operation })),
      soundsOf(row).map((file) => takeRow(app, row, file, [{ words: t("edit.against"), run: () => { app.player.load(source.sound, "a"); app.player.load(soundOf(row, file), "b", true); app.player.choose("b"); } }, ...actions(row, file)])))));
  }

  // Hearing

  function play() {
    if (!source) return;
    app.player.setLoop(app.player.loop, null);
    if (app.player.sound?.key !== source.sound.key) app.player.load(source.sound, "a");
    app.player.choose("a");
    app.player.toggle();
  }

  function playRegion() {
    const one = wave.regions[wave.chosen];
    if (!one) return play();
    const span = { start: one.start / wave.peaks.rate, end: one.end / wave.peaks.rate };
    if (app.player.sound?.key !== source.sound.key) app.player.load(source.sound, "a");
    app.player.choose("a");
    app.player.setLoop(true, span);
    app.player.seek(span.start);
    app.player.play();
  }

  wave.addEventListener("regions", () => { regions.rows(); tellMeaning(); remember(); });
  wave.addEventListener("seek", (event) => { if (app.player.sound?.key === source?.sound.key) app.player.seek(event.sample / wave.peaks.rate); });
  app.player.addEventListener("tick", () => {
    if (!source || !wave.peaks || !app.player.playing) return;
    wave.playhead = Math.round(app.player.seconds * wave.peaks.rate);
    wave.draw();
  });
  addEventListener("resize", () => wave.draw());
  app.addEventListener("newest", drawResults);
  app.addEventListener("connected", () => { buildOperations(); if (app.shown?.element === element) open(app.place.words); });
  app.addEventListener("models", buildOperations);
  return { element, run, show: (words) => { if (app.connected) open(words); else if (!source) reveal(); }, use: () => {} };
}
