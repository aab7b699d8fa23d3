// Training: a folder of songs becomes a dataset, the dataset is labelled and prepared, and a training makes an adapter of it.

import { drafts, sentence } from "../app.js";
import { button, el, newId } from "../dom.js";
import { Form } from "../form.js";
import { clock } from "../format.js";
import { jobRow, keyed } from "../list.js";
import { ENDS } from "../store.js";
import { t } from "../words.js";
import { datasetTable } from "./dataset.js";
import { operationDialog, question } from "./operation.js";
import { trainingList } from "./runs.js";

const WORK = new Set(["dataset-scan", "dataset-load", "dataset-label", "dataset-prepare", "train", "lora-merge"]);
const CHANGES = new Set([...WORK, "dataset-edit"]);
const SCAN = ["folders", "dataset", "custom_tag", "validation", "replace"];
const SHORT = ["name", "epochs", "kind", "rank", "alpha", "learning_rate", "batch", "save_every", "sample_prompts", "sample_every", "model"];
const PREPARE = ["model", "max_seconds"];
const LABEL = ["skip", "instrumental", "replace", "understand"];

// The settings of a dataset, which `dataset-edit` takes as a map.
const settingFields = () => [
  { name: "custom_tag", type: "str", max_length: 200, default: "" }, { name: "tag_position", type: "str", choices: ["prepend", "append", "replace"], default: "prepend" },
  { name: "genre_ratio", type: "int", unit: "%", min: 0, max: 100, default: 0 }, { name: "validation", type: "float", min: 0, max: 0.5, default: 0 }, { name: "all_instrumental", type: "bool", default: false },
].map((field) => ({ ...field, label: t(`setting.${field.name}`), summary: t(`setting.${field.name}_help`) }));

export function trainingView(app) {
  const draft = { dataset: "", train: {}, label: {}, prepare: {}, ...drafts.read("training", {}) };
  const keep = () => drafts.write("training", draft);
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const choose = el("select", { id: newId("dataset"), on: { change: () => pick(choose.value) } });
  const facts = el("p", { class: "soft num" }), problem = el("p", { class: "warn", hidden: true });
  const table = datasetTable(app, () => loadDatasets());
  const work = el("ul", { class: "cards", id: "training-jobs" });
  const forms = {}; // operation -> form
  let rows = [];

  const scan = button(t("training.dataset-scan"), () => operationDialog(app, "dataset-scan", {}, { short: SCAN, omit: ["regions"], done: made }), { class: "go", data: { act: "scan" } });
  const open = button(t("training.dataset-load"), () => operationDialog(app, "dataset-load", {}, { done: made }));
  const save = button(t("training.dataset-save"), () => operationDialog(app, "dataset-save", { dataset: draft.dataset }, { short: ["file"], omit: ["dataset"] }), { data: { act: "save-file" } });
  const change = button(t("dataset.settings"), () => changeSettings(), { data: { act: "settings" } });
  const forget = button(t("dataset.forget"), () => question(t("dataset.forget"), t("dataset.forget_sure", { name: draft.dataset }), t("dataset.forget"), () => app.run("dataset-edit", { dataset: draft.dataset, delete: true }).then(() => pick(""), refuse)), { data: { act: "forget" } });
  const one = el("div", { class: "regions", hidden: true }, facts, problem, el("div", { class: "row" }, save, change, forget), table.element);

  const steps = [["dataset-label", "label", LABEL], ["dataset-prepare", "prepare", PREPARE], ["train", "train", SHORT]]
    .map(([operation, name, short]) => ({ operation, name, short, place: el("div", {}), go: button(t(`training.${operation}`), () => run(operation, name), { class: "go", data: { act: operation } }) }));
  const stepPanels = steps.map(({ operation, place, go }, number) => el("details", { class: "panel", open: operation === "train", data: { step: operation } }, el("summary", {}, t("training.step", { number: number + 1, step: t(`training.${operation}`) })), place, el("div", { class: "row end" }, go)));
  const chosen = el("div", { class: "regions", hidden: true }, stepPanels);

  const runs = trainingList(app, (settingsOfRun) => again(settingsOfRun));
  const element = el("section", {}, el("div", {}, el("h2", {}, t("training.title")), el("p", { class: "lead" }, t("training.lead"))),
    el("div", { class: "panel" }, el("h3", {}, t("dataset.title")), el("div", { class: "row" }, scan, open), el("div", { class: "field" }, el("label", { for: choose.id }, t("dataset.choose")), choose), one),
    error, work, chosen, runs.element);

  const row = () => rows.find((each) => each.dataset === draft.dataset);

  function changeSettings() {
    const now = row(), fields = settingFields(), full = (values) => Object.fromEntries(fields.map((field) => [field.name, values[field.name] ?? field.default]));
    const params = (values) => ({ dataset: now.dataset, changes: Object.fromEntries(Object.entries(full(values)).filter(([name, value]) => value !== now[name])) });
    operationDialog(app, "dataset-edit", Object.fromEntries(fields.map(({ name }) => [name, now[name]])), { fields, params, done: made });
  }

  function made(job) {
    pick(job.result.data.dataset ?? draft.dataset);
    for (const left of (job.result.data.left_out ?? []).slice(0, 3)) app.tell(t("dataset.left_out", { path: left.path, reason: left.reason }), "bad");
  }

  function pick(name) {
    draft.dataset = name;
    keep();
    return loadAll();
  }

  async function loadAll() {
    error.hidden = true;
    await loadDatasets();
    await table.load(draft.dataset).catch((failure) => refuse(failure));
  }

  async function loadDatasets() {
    if (!app.connected || !element.isConnected) return;
    try {
      rows = (await app.run("dataset-list", {})).result.data.datasets;
      drawDatasets();
    } catch (failure) {
      if (failure.code !== "disconnected") refuse(failure);
    }
  }

  function drawDatasets() {
    if (!rows.some((each) => each.dataset === draft.dataset)) draft.dataset = rows.length === 1 ? rows[0].dataset : "";
    choose.replaceChildren(el("option", { value: "" }, t(rows.length ? "dataset.none_chosen" : "dataset.none")), ...rows.map((each) => el("option", { value: each.dataset, selected: each.dataset === draft.dataset }, each.dataset)));
    const now = row();
    one.hidden = chosen.hidden = !now;
    if (!now) return;
    problem.hidden = !now.problem && !now.prepared?.stale;
    problem.textContent = now.problem || (now.prepared?.stale ? t("dataset.stale") : "");
    facts.textContent = now.problem ? "" : [t("dataset.count", { count: now.samples }), clock(now.seconds), t("dataset.labelled", { count: now.labeled }), now.custom_tag ? t("dataset.trigger", { tag: now.custom_tag }) : "",
      now.validation ? t("dataset.held", { percent: Math.round(now.validation * 100) }) : "", now.prepared?.model ? t("dataset.prepared", { count: now.prepared.songs, model: now.prepared.model }) : t("dataset.not_prepared")].filter(Boolean).join(" · ");
  }

  // The three steps, each with a form of its operation

  function buildForms() {
    for (const { operation, name, short, place } of steps) {
      const { fields, summary } = app.operations.get(operation) ?? { fields: [], summary: "" };
      forms[operation] = new Form(fields, { values: draft[name], short, omit: ["dataset", "tensors", "only"], changed: () => { draft[name] = forms[operation].values; keep(); } });
      place.replaceChildren(el("p", { class: "lead" }, summary), forms[operation].element);
    }
  }

  async function run(operation, name) {
    const form = forms[operation];
    error.hidden = true;
    if (form.toFault()) return;
    draft[name] = form.values;
    keep();
    try {
      await app.submit(operation, { dataset: draft.dataset, ...form.values });
      app.say(t("say.queued", { name: t(`training.${operation}`) }));
    } catch (failure) {
      const words = sentence(failure);
      if (!failure.field || !form.refuse(failure.field, words)) refuse(failure);
    }
  }

  function again(values) {
    const { dataset, ...rest } = values;
    draft.train = rest;
    if (rows.some((each) => each.dataset === dataset)) pick(dataset);
    keep();
    forms.train?.fill(rest);
    const panel = stepPanels[stepPanels.length - 1];
    panel.open = true;
    panel.scrollIntoView({ block: "start" });
    panel.querySelector("input, textarea, select")?.focus();
  }

  function refuse(failure) {
    error.textContent = sentence(failure);
    error.hidden = false;
    error.scrollIntoView({ block: "nearest" });
  }

  // What runs of all this, from whatever door; at its end the table is read again

  function drawWork() {
    if (element.isConnected) keyed(work, app.store.active.filter((job) => WORK.has(job.operation)), (job) => job.id, (job) => jobRow(app, job));
  }

  app.store.addEventListener("change", ({ job: id, told }) => {
    requestAnimationFrame(drawWork);
    const job = id && app.store.jobs.get(id);
    if (told && job && ENDS.has(told.kind) && CHANGES.has(job.operation) && !job.quiet && element.isConnected) loadAll();
  });
  app.addEventListener("connected", () => { buildForms(); drawWork(); loadAll(); });
  return {
    element, use: () => {},
    run: () => run("train", "train"),
    show() {
      drawWork();
      loadAll();
      runs.load();
    },
  };
}
