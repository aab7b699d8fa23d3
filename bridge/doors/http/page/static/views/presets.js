// Presets of chains: built in and one's own; used, kept, deleted.

import { sentence } from "../app.js";
import { chainOf } from "../chain.js";
import { button, el, newId, openDialog } from "../dom.js";
import { t } from "../words.js";

// A select of all presets and what can be done with them. `chain(name)` gives the present chain as a preset, `use(chain)` takes one,
// `failed(words)` tells why it could not be had.
export function presetBar(app, { chain, use, failed }) {
  let rows = [];
  const choose = el("select", { "aria-label": t("pipeline.preset"), data: { part: "preset" }, on: { change: () => { own(); if (choose.value) show(choose.value); } } });
  const forget = button(t("pipeline.forget"), () => remove(choose.value), { hidden: true });
  const elements = [el("div", {}, choose), forget, button(t("library.preset"), () => save(), { data: { act: "save-preset" } })];

  function own() { forget.hidden = !rows.some((row) => row.own && row.name === choose.value); }

  async function refresh() {
    try {
      rows = await app.call("preset.list", {});
    } catch (failure) {
      if (failure.code !== "disconnected") app.fail(failure);
      return;
    }
    const now = choose.value;
    const options = (mine) => rows.filter((row) => Boolean(row.own) === mine).map((row) => el("option", { value: row.name }, row.title || row.name));
    const [built, made] = [options(false), options(true)];
    choose.replaceChildren(el("option", { value: "" }, t("pipeline.preset")), el("optgroup", { label: t("pipeline.built_in") }, built), made.length ? el("optgroup", { label: t("pipeline.yours") }, made) : "");
    choose.value = rows.some((row) => row.name === now) ? now : "";
    own();
  }

  async function show(name) {
    try {
      use(chainOf(await app.call("preset.show", { name })));
    } catch (failure) {
      failed(failure.key ? t(failure.key, failure.values) : sentence(failure));
    }
  }

  async function remove(name) {
    try {
      const { text } = await app.call("preset.export", { name });
      await app.call("preset.delete", { name });
      app.tell(t("pipeline.forgotten", { name }), "", { words: t("library.undo"), run: () => app.call("preset.import", { text }).then(() => app.refreshModels(), (failure) => app.fail(failure)) });
      app.refreshModels();
    } catch (failure) {
      app.fail(failure);
    }
  }

  function save() {
    const name = el("input", { id: newId("preset"), type: "text", maxlength: 40, autocomplete: "off" }), wrong = el("p", { class: "wrong", role: "alert" });
    const replace = el("input", { id: newId("replace"), type: "checkbox" });
    const dialog = openDialog(t("library.preset"), t("close"), el("div", { class: "field" }, el("label", { for: name.id }, t("library.preset_name")), name, wrong),
      el("div", { class: "field check" }, replace, el("label", { for: replace.id }, t("pipeline.replace_preset"))), el("div", { class: "row end" }, button(t("save"), async () => {
        try {
          await app.call("preset.import", { text: JSON.stringify(chain(name.value.trim())), replace: replace.checked });
          dialog.close();
          app.tell(t("library.preset_saved", { name: name.value.trim() }));
          app.refreshModels();
        } catch (failure) {
          wrong.textContent = sentence(failure);
        }
      }, { class: "go" })));
    name.focus();
  }

  return { elements, refresh };
}
