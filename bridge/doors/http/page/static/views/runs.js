// Trainings: how far each is, its losses as a plot and as numbers, what it kept on the way, and a take with what it has learned.

import { sentence } from "../app.js";
import { asked } from "../catalogue.js";
import { button, el, newId } from "../dom.js";
import { figure, lines, summary } from "../losses.js";
import { keyed, menu } from "../list.js";
import { drawLosses } from "../plot.js";
import { ENDS } from "../store.js";
import { t } from "../words.js";
import { operationDialog } from "./operation.js";
import { strength } from "./strength.js";

const TRAIN = "train";
const POINTS = 500;

export function trainingList(app, again) {
  const list = el("ul", { class: "cards", id: "trainings" }), none = el("p", { class: "soft", role: "status" }), place = el("div", {});
  const element = el("div", { class: "panel" }, el("h3", {}, t("runs.title"), button(t("runs.look"), () => load(), { class: "plain" })), none, list, place);
  const names = new Map(); // job -> name of the training
  let rows = [], shown = "", detail = null, percent = -1;

  const jobOf = (name) => [...names].filter(([, one]) => one === name).map(([id]) => app.store.jobs.get(id)).find((job) => job && !ENDS.has(job.state));

  async function load() {
    if (!app.connected || !element.isConnected) return;
    try {
      rows = (await app.run("trainings", {})).result.data.trainings;
      draw();
      if (shown) await show(shown, false);
    } catch (error) {
      if (error.code !== "disconnected") app.fail(error);
    }
  }

  function draw() {
    none.textContent = rows.length ? "" : t("runs.none");
    keyed(list, rows, (row) => row.name, runRow);
  }

  function runRow(row) {
    const look = button(t("runs.show"), () => show(row.name), { "aria-label": t("runs.show_named", { name: row.name }), "aria-pressed": "false" });
    const stop = button(t("runs.stop"), () => app.cancel(jobOf(row.name)?.id), { data: { act: "stop" }, "aria-label": t("runs.stop_named", { name: row.name }) });
    const go = button(t("runs.continue"), () => goOn(row), { data: { act: "continue" }, "aria-label": t("runs.continue_named", { name: row.name }) });
    const more = menu(t("runs.more", { name: row.name }), [
      { words: t("runs.settings"), run: () => settingsOf(row.name).then(again, (error) => app.fail(error)) },
      { words: t("adapters.sweep"), run: () => operationDialog(app, "lora-sweep", { lora: row.name }) },
      { words: t("adapters.export"), run: () => operationDialog(app, "lora-export", { lora: row.name }) },
      { words: t("adapters.merge"), run: () => operationDialog(app, "lora-merge", { lora: [row.name] }) },
    ]);
    const said = el("p", { class: "soft num" }), state = el("span", { class: "tag" });
    const box = el("li", { class: "card", data: { training: row.name } }, el("div", { class: "top-line" }, el("h3", {}, row.name, " ", state), el("div", { class: "row" }, look, go, stop, more)), said);
    box.update = (one) => {
      row = one;
      const job = jobOf(row.name);
      state.textContent = t(job ? (job.state === "suspended" ? "runs.aside" : job.state === "queued" ? "runs.waits" : "runs.runs") : row.finished ? "runs.finished" : "runs.stopped");
      stop.hidden = !job;
      go.hidden = Boolean(job) || row.finished;
      look.setAttribute("aria-pressed", String(shown === row.name));
      said.textContent = [row.model, t("runs.epoch", { epoch: row.epoch, epochs: row.epochs }), t("runs.step", { step: row.step, steps: row.steps }), row.loss === null ? "" : t("runs.loss", { loss: figure(row.loss) }), row.validation ? t("runs.validation", { loss: figure(row.validation) }) : "", job || row.finished ? "" : row.broke_off].filter(Boolean).join(" · ");
    };
    return box;
  }

  // One training

  async function show(name, fresh = true) {
    try {
      const { data, notes } = (await app.run("trainings", { name, points: POINTS })).result;
      if (fresh && shown === name && detail) {
        shown = "";
        detail = null;
        place.replaceChildren();
        return draw();
      }
      if (shown !== name || !detail) {
        shown = name;
        detail = runDetail(app, name);
        place.replaceChildren(detail.element);
      }
      draw();
      return detail.update(data, notes ?? []);
    } catch (error) {
      return error.code === "disconnected" ? null : app.fail(error);
    }
  }

  // The request that a training was handed in with, so that the same one can be handed in again.
  async function settingsOf(name) {
    const known = [...names].reverse().find(([, one]) => one === name);
    if (known) return { ...(await app.requestOf(known[0])) };
    const { settings, model } = (await app.run("trainings", { name, points: 0 })).result.data;
    const { shape, device, ...rest } = settings;
    return { dataset: name, name, model, ...rest, ...shape };
  }

  async function goOn(row) {
    try {
      const fields = new Set(app.operations.get(TRAIN).fields.map((field) => field.name));
      const values = Object.entries(await settingsOf(row.name)).filter(([name, value]) => fields.has(name) && value !== null);
      await app.submit(TRAIN, Object.fromEntries(values));
      app.say(t("say.queued", { name: row.name }));
    } catch (error) {
      app.tell(sentence(error), "bad");
    }
  }

  async function learn(id) {
    const job = app.store.jobs.get(id);
    if (job?.operation !== TRAIN || names.has(id)) return;
    names.set(id, "");
    names.set(id, (await app.requestOf(id)).name ?? "");
    draw();
  }

  app.store.addEventListener("change", async ({ job: id, told }) => {
    if (!id) for (const each of app.store.jobs.keys()) learn(each);
    const job = id && app.store.jobs.get(id);
    if (job?.operation !== TRAIN) return;
    await learn(id);
    draw();
    // A hundred times in a training: each look is a job of its own.
    const now = Math.floor((job.progress?.fraction ?? 0) * 100);
    if (ENDS.has(told?.kind) || (now !== percent && element.isConnected && told?.kind === "progress")) {
      percent = now;
      load();
    }
  });
  app.addEventListener("connected", load);
  return { element, load };
}

function runDetail(app, name) {
  const canvas = el("canvas", { class: "curve losses", role: "img" });
  const legend = el("div", { class: "legend" }), told = el("p", { class: "soft num", role: "status" }), notes = el("div", { class: "regions" });
  const rows = el("tbody", {}), samples = el("ul", { class: "cards" });
  const table = el("details", { class: "group" }, el("summary", {}, t("runs.numbers")), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("runs.numbers") },
    el("table", { class: "num" }, el("thead", {}, el("tr", {}, ["runs.col_epoch", "runs.col_step", "runs.col_loss", "runs.col_validation"].map((key) => el("th", { scope: "col" }, t(key))))), rows)));
  const attempt = tryOne(app, name);
  const element = el("div", { class: "regions", data: { part: "training" } }, el("h3", {}, t("runs.of", { name })), canvas, legend, told, table, notes, samples, attempt.element);
  let found = [];
  addEventListener("resize", () => element.isConnected && drawLosses(canvas, found));
  return {
    element,
    update(data, said) {
      found = lines(data);
      const { best, ...now } = summary(data);
      drawLosses(canvas, found);
      const words = [t("runs.epoch", { epoch: now.epoch, epochs: data.epochs }), now.loss === null ? "" : t("runs.loss", { loss: figure(now.loss) }), now.validation === null ? "" : t("runs.validation", { loss: figure(now.validation) }), best ? t("runs.best", { epoch: best.epoch, loss: figure(best.validation) }) : ""].filter(Boolean).join(" · ");
      told.textContent = words;
      canvas.setAttribute("aria-label", t("runs.plot", { words }));
      legend.replaceChildren(...found.map((line) => el("span", { class: line.name === "validation" ? "new" : line.name === "steps" ? "quiet" : "" }, t(`line.${line.name}`))));
      rows.replaceChildren(...data.history.map((row) => el("tr", {}, el("th", { scope: "row" }, String(row.epoch)), el("td", {}, String(row.step)), el("td", {}, figure(row.loss)), el("td", {}, figure(row.validation)))));
      notes.replaceChildren(...said.map((note) => el("p", { class: "warn" }, note)));
      samples.replaceChildren(...data.samples.map((one) => el("li", {}, button(t("runs.sample", { epoch: one.epoch, prompt: one.prompt }), () => app.go("edit", one.job, 0)))));
      attempt.update(data);
    },
  };
}

// A take with the adapter, or with what it was after an epoch, at a strength.
function tryOne(app, name) {
  const adapter = el("select", { id: newId("try") });
  const caption = el("textarea", { id: newId("try-caption"), rows: 2, maxlength: 4096 });
  const seconds = el("input", { id: newId("try-seconds"), type: "text", inputmode: "decimal", value: "20" }), seed = el("input", { id: newId("try-seed"), type: "text", inputmode: "numeric", value: "1" });
  const at = strength(t("adapters.how_strong"), 1);
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const field = (words, input, wide = false) => el("div", { class: `field${wide ? " wide" : ""}` }, el("label", { for: input.id }, words), input);
  const go = button(t("runs.try"), () => run(), { class: "go", data: { act: "try" } });
  const element = el("div", { class: "panel" }, el("h3", {}, t("runs.try_title")), el("p", { class: "soft" }, t("runs.try_help")),
    el("div", { class: "fields" }, field(t("field.caption"), caption, true), field(t("runs.checkpoint"), adapter), at.element, field(t("field.duration"), seconds), field(t("field.seed"), seed)), error,
    el("div", { class: "row end" }, button(t("adapters.sweep"), () => operationDialog(app, "lora-sweep", { lora: adapter.value, caption: caption.value, seed: Number(seed.value) || 1 })), go));

  async function run() {
    error.hidden = true;
    const value = at.value;
    if (value === undefined) return;
    const [duration, chance] = [seconds, seed].map((one) => Number(one.value.replace(",", ".")));
    const said = caption.value.trim();
    try {
      if (!said) throw { code: "page.caption" };
      if (!Number.isFinite(duration) || !Number.isInteger(chance)) throw { message: t("fault.number") };
      await app.submit("generate", { caption: said, duration, seed: chance, lora: value === 0 ? [`${adapter.value}=0`] : [asked(adapter.value, value)], ...(model ? { model } : {}) });
      app.say(t("say.queued", { name: said }));
    } catch (failure) {
      error.textContent = sentence(failure);
      error.hidden = false;
    }
  }

  let model = "";
  return {
    element,
    update(data) {
      ({ model } = data);
      const all = [data.name, ...[...data.kept].reverse()], before = adapter.value;
      if (adapter.children.length !== all.length) adapter.replaceChildren(...all.map((one) => el("option", { value: one, selected: one === before }, one === data.name ? t("runs.newest") : t("runs.after", { epoch: one.split("@").pop() }))));
      if (!caption.value && data.samples.length) caption.value = data.samples[0].prompt ?? "";
      go.disabled = !data.epoch && !data.finished;
    },
  };
}
