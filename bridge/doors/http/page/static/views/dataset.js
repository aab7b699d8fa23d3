// The table of a dataset: every sample with its labels, changed in place. What is typed goes to the daemon when the cell is left.

import { sentence } from "../app.js";
import { button, el, iconButton } from "../dom.js";
import { clock } from "../format.js";
import { COLUMNS, change, doubt, neighbour, shownLabel } from "../labels.js";
import { keyed } from "../list.js";
import { t } from "../words.js";

const PAGE = 50;

export function datasetTable(app, changed = () => {}) {
  const state = el("p", { class: "soft", role: "status", data: { part: "saved" } }), error = el("p", { class: "error", role: "alert", hidden: true });
  const body = el("tbody", {});
  const table = el("table", { class: "labels" }, el("caption", { class: "unseen" }, t("dataset.table")),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("dataset.sample")), COLUMNS.map(({ name }) => el("th", { scope: "col" }, t(`label.${name}`))), el("th", { scope: "col" }, t("dataset.acts")))), body);
  const count = el("span", { class: "soft num" });
  const back = button(t("dataset.back"), () => turn(-PAGE)), next = button(t("dataset.next"), () => turn(PAGE));
  const element = el("div", { class: "regions" }, el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("dataset.table") }, table), el("div", { class: "row" }, back, next, count, state), error);
  let dataset = "", offset = 0, total = 0, samples = [];

  async function load(name = dataset, from = name === dataset ? offset : 0) {
    [dataset, offset] = [name, from];
    if (!name) return show([]);
    const { result } = await app.run("dataset-list", { dataset: name, offset: from, limit: PAGE });
    if (name !== dataset) return null;
    total = result.data.total;
    show(result.data.samples);
    return result.data;
  }

  function show(rows) {
    samples = rows;
    keyed(body, rows, (row) => row.id, sampleRow);
    count.textContent = rows.length ? t("dataset.shown", { from: offset + 1, to: offset + rows.length, total }) : "";
    back.hidden = !offset;
    next.hidden = offset + rows.length >= total;
  }

  const turn = (step) => load(dataset, Math.max(0, offset + step)).catch((failure) => refuse(failure));

  function refuse(failure) {
    error.textContent = sentence(failure);
    error.hidden = false;
  }

  function sampleRow(sample) {
    const name = sample.filename || sample.id;
    const play = iconButton("play", t("dataset.play", { name }), () => app.player.play({ key: `dataset/${dataset}/${sample.id}`, address: `/studio/songs/${encodeURIComponent(dataset)}/${encodeURIComponent(sample.id)}`, name }));
    const length = el("span", { class: "soft num" }), side = el("span", { class: "tag" }, t("dataset.validates"));
    const cells = COLUMNS.map((column) => cell(column, () => sample, name));
    const row = el("tr", { data: { sample: name } }, el("th", { scope: "row" }, el("span", { class: "row" }, play, el("span", {}, name, " ", length, " ", side))), cells.map((one) => one.element),
      el("td", {}, iconButton("trash", t("dataset.remove", { name }), () => remove(sample), { class: "icon plain" })));
    row.update = (one) => {
      sample = one;
      length.textContent = clock(one.acestep_bridge?.seconds || one.duration, 0);
      side.hidden = !one.validates;
      for (const each of cells) each.update(one);
    };
    return row;
  }

  // One label. Arrow keys go to the cell above or below; Escape takes back what was typed.
  function cell(column, sampleNow, name) {
    const about = { "aria-label": t("dataset.cell", { label: t(`label.${column.name}`), name }), data: { label: column.name } };
    const input = column.kind === "check" ? el("input", { type: "checkbox", ...about }) : column.kind === "select" ? el("select", about, column.choices.map((one) => el("option", { value: one }, t(`split.${one || "auto"}`))))
      : column.kind === "area" ? el("textarea", { rows: 2, ...about }) : el("input", { type: "text", autocomplete: "off", ...about });
    const typed = () => (column.kind === "check" ? input.checked : input.value);
    const put = (value) => { if (column.kind === "check") input.checked = value; else input.value = value; };
    input.addEventListener("change", () => save(column, sampleNow(), typed(), input));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") put(shownLabel(column, sampleNow()));
      const step = (column.kind === "text" || column.kind === "number" || column.kind === "check") && neighbour({ row: samples.findIndex((one) => one.id === sampleNow().id), column: column.name }, event.key, samples.length);
      if (!step) return;
      event.preventDefault();
      body.children[step.row]?.querySelector(`[data-label="${column.name}"]`)?.focus();
    });
    return {
      element: el("td", {}, input),
      update(sample) {
        if (document.activeElement !== input || input.dataset.from !== shownLabel(column, sample).toString()) put(shownLabel(column, sample));
        input.dataset.from = shownLabel(column, sample).toString();
        const why = doubt(column, sample);
        input.classList.toggle("unsure", Boolean(why));
        input.title = why && t("dataset.unsure", { reason: why });
      },
    };
  }

  async function save(column, sample, typed, input) {
    const changes = change(column, sample, typed);
    error.hidden = true;
    input.setAttribute("aria-invalid", "false");
    if (!changes) return;
    state.textContent = t("dataset.saving");
    try {
      const { result } = await app.run("dataset-edit", { dataset, sample: sample.id, changes });
      samples = samples.map((one) => (one.id === sample.id ? { ...one, ...result.data.sample } : one));
      show(samples);
      state.textContent = t("dataset.saved", { label: t(`label.${column.name}`), name: sample.filename || sample.id });
      changed(result.data);
    } catch (failure) {
      state.textContent = "";
      input.setAttribute("aria-invalid", "true");
      refuse(failure);
    }
  }

  async function remove(sample) {
    try {
      await app.run("dataset-edit", { dataset, remove: [sample.id] });
      app.tell(t("dataset.removed", { name: sample.filename || sample.id }));
      await load();
      changed(null);
    } catch (failure) {
      refuse(failure);
    }
  }

  return { element, load };
}
