// Help with words: tags for a caption by dimension, captions used before, and a request to read and to take along.

import { button, el, openDialog } from "../dom.js";
import { clashes, toggled, words } from "../checks.js";
import { t } from "../words.js";

// Tags by dimension, put into the caption of a form or taken out; what contradicts each other is said.
export function assistant(app, form) {
  const guide = [...app.operations.values()].find((one) => one.guide?.caption_tags)?.guide;
  if (!guide) return app.tell(t("assist.none"));
  const text = el("p", { class: "lead", role: "status" }), clash = el("div", {});
  const tags = [];
  const refresh = () => {
    const caption = form.text("caption") ?? "", present = words(caption);
    text.textContent = caption || t("assist.empty");
    for (const tag of tags) tag.setAttribute("aria-pressed", String(present.includes(tag.dataset.tag)));
    clash.replaceChildren(...clashes(caption).map(([a, b]) => el("p", { class: "warn" }, t("warn.clash", { a, b }))));
  };
  const groups = Object.entries(guide.caption_tags).map(([dimension, choices]) => el("details", { class: "group", open: dimension === "genre" },
    el("summary", {}, t(`dimension.${dimension}`)),
    guide.caption_tag_kinds?.[dimension] ? el("p", { class: "help", lang: "en" }, guide.caption_tag_kinds[dimension]) : "",
    el("div", { class: "chips" }, choices.map((tag) => {
      const one = button(tag, () => { form.set("caption", toggled(form.text("caption"), tag)); refresh(); }, { "aria-pressed": "false", lang: "en", data: { tag } });
      tags.push(one);
      return one;
    }))));
  const lyric = el("details", { class: "group" }, el("summary", {}, t("assist.lyrics")), el("div", { class: "chips" }, (guide.lyric_tags ?? []).map((tag) => button(tag, () => {
    const before = form.text("lyrics") ?? "";
    form.set("lyrics", `${before}${before && !before.endsWith("\n") ? "\n\n" : ""}${tag}\n`);
  }, { lang: "en", title: guide.lyric_tag_meanings?.[tag] }))));
  const rules = el("details", { class: "group" }, el("summary", {}, t("assist.rules")), el("ul", { lang: "en" }, (guide.rules ?? []).map((rule) => el("li", {}, rule))));
  refresh();
  openDialog(t("assist.title"), t("close"), text, clash, ...groups, form.has("lyrics") ? lyric : "", rules);
}

// Captions and lyrics of earlier results, newest first, to use again.
export async function prompts(app, use) {
  const list = el("ul", { class: "cards" });
  const search = el("input", { type: "search", "aria-label": t("prompts.search"), placeholder: t("prompts.search"), on: { input: () => load() } });
  const dialog = openDialog(t("prompts.title"), t("close"), search, list);
  async function load() {
    try {
      const { rows } = await app.call("history.list", { search: search.value, limit: 200 });
      const known = new Map();
      for (const row of rows) if (row.caption && !known.has(`${row.caption}\n${row.lyrics ?? ""}`)) known.set(`${row.caption}\n${row.lyrics ?? ""}`, row);
      list.replaceChildren(...[...known.values()].map((row) => el("li", { class: "card" },
        el("p", {}, row.caption), row.lyrics ? el("p", { class: "soft" }, row.lyrics.slice(0, 140)) : "",
        el("div", { class: "row end" }, button(t("prompts.use"), () => {
          dialog.close();
          use({ caption: row.caption, ...(row.lyrics ? { lyrics: row.lyrics } : {}), ...(row.bpm ? { bpm: row.bpm } : {}), ...(row.key ? { key: row.key } : {}) });
        })))));
      if (!known.size) list.replaceChildren(el("li", { class: "soft" }, t("prompts.none")));
    } catch (error) {
      app.fail(error);
    }
  }
  await load();
}

// A request as JSON, to read, copy and save.
export function requestDialog(request) {
  const text = JSON.stringify(request, null, 2);
  const said = el("span", { role: "status", class: "soft" });
  openDialog(t("json.title"), t("close"), el("pre", { tabindex: "0" }, text), el("div", { class: "row" },
    button(t("json.copy"), () => navigator.clipboard.writeText(text).then(() => { said.textContent = t("json.copied"); }, () => { said.textContent = t("json.not_copied"); })),
    button(t("json.save"), () => saveText(`${request.operation}.json`, text)), said));
}

export function saveText(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
