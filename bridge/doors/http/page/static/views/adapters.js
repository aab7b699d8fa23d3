// Adapters (LoRA and its kin): how each fits a model, at which strength Create uses it, and what it does at several strengths.

import { drafts, sentence } from "../app.js";
import { strengthIn, withAdapter } from "../catalogue.js";
import { button, el, newId } from "../dom.js";
import { keyed, menu } from "../list.js";
import { t } from "../words.js";
import { operationDialog } from "./operation.js";
import { strength } from "./strength.js";

export function adapterPanel(app) {
  const model = el("select", { id: newId("adapter-model"), on: { change: () => load() } });
  const list = el("ul", { class: "cards", id: "adapters" }), none = el("p", { class: "soft", role: "status" });
  const element = el("div", { class: "panel" }, el("h3", {}, t("adapters.title")), el("p", { class: "soft" }, t("adapters.help")),
    el("div", { class: "fields" }, el("div", { class: "field" }, el("label", { for: model.id }, t("adapters.against")), model)), none, list);
  const inCreate = () => drafts.read("create", {}).values?.lora ?? [];
  let rows = [];

  function fillModels() {
    const names = app.models.filter((one) => one.present && one.kind !== "language").map((one) => one.name);
    const chosen = model.value || app.model("")?.name || "";
    model.replaceChildren(...names.map((name) => el("option", { value: name, selected: name === chosen }, name)));
  }

  async function load() {
    if (!app.connected || !element.isConnected) return;
    fillModels();
    try {
      rows = (await app.run("loras", { model: model.value })).result.data.loras;
      draw();
    } catch (error) {
      none.textContent = sentence(error);
    }
  }

  function draw() {
    none.textContent = rows.length ? "" : t("adapters.none");
    keyed(list, rows, (row) => row.name, adapterRow);
  }

  function adapterRow(row) {
    const pair = strength(t("adapters.strength", { name: row.name }), strengthIn(inCreate(), row.name) ?? 1);
    const use = button(t("adapters.use"), () => put(pair.value), { data: { act: "use" } });
    const out = button(t("adapters.out"), () => put(null));
    const said = el("p", { class: "soft num" }), problem = el("p", { class: "warn" });
    const acts = el("div", { class: "row" }, use, out, menu(t("adapters.more", { name: row.name }), [
      { words: t("adapters.sweep"), run: () => operationDialog(app, "lora-sweep", { lora: row.name }) },
      { words: t("adapters.export"), run: () => operationDialog(app, "lora-export", { lora: row.name }) },
      { words: t("adapters.merge"), run: () => operationDialog(app, "lora-merge", { lora: withAdapter([], row.name, pair.value ?? 1) }) },
    ].filter((_, at) => app.operations.has(["lora-sweep", "lora-export", "lora-merge"][at]))));
    const box = el("li", { class: "card", data: { adapter: row.name } }, el("div", { class: "top-line" }, el("h3", {}, row.name), acts), said, problem, pair.element);

    function put(value) {
      if (value === undefined) return;
      app.useIn("create", { lora: withAdapter(inCreate(), row.name, value) });
    }
    box.update = (one) => {
      row = one;
      const on = strengthIn(inCreate(), row.name);
      said.textContent = [row.kind, row.rank ? t("adapters.rank", { rank: row.rank }) : "", row.tensors ? t("adapters.tensors", { matched: row.matched ?? 0, tensors: row.tensors }) : "", on === null ? "" : t("adapters.on", { strength: on })].filter(Boolean).join(" · ");
      problem.textContent = row.problem;
      problem.hidden = !row.problem;
      use.disabled = Boolean(row.problem);
      out.hidden = on === null;
      pair.element.hidden = Boolean(row.problem);
    };
    return box;
  }

  app.addEventListener("connected", load);
  return { element, load };
}
