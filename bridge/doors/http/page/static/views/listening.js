// What can be found out about a take: scores, lyric times, a description, semantic codes; shown, copied, taken along.

import { sentence } from "../app.js";
import { button, el, openDialog } from "../dom.js";
import { has, t } from "../words.js";
import { saveText } from "./assist.js";

export function listening(app, row, file) {
  const said = { caption: row.caption, lyrics: row.lyrics ?? "", ...(row.bpm ? { bpm: row.bpm } : {}), ...(row.key ? { key: row.key } : {}) };
  const acts = [];
  const offer = (operation, words, params, show) => {
    if (app.operations.has(operation)) acts.push({ words, run: () => ask(app, operation, { source: file.path, ...params }, words, show) });
  };
  offer("score", t("take.score"), { caption: said.caption, lyrics: said.lyrics }, facts);
  if (said.lyrics) offer("lyrics-timing", t("take.times"), { lyrics: said.lyrics, caption: said.caption }, lyricTimes);
  offer("understand", t("take.describe"), {}, facts);
  offer("codes", t("take.codes"), {}, (data) => codes(app, data));
  if (app.operations.has("score") && row.files.length > 1) acts.push({ words: t("take.best"), run: () => promote(app, row) });
  return acts;
}

async function ask(app, operation, params, title, show) {
  app.tell(t("take.asking", { what: title }));
  try {
    const { result } = await app.run(operation, params);
    openDialog(title, t("close"), ...show(result.data ?? {}), el("div", { class: "row end" }, button(t("json.save"), () => saveText(`${operation}.json`, JSON.stringify(result.data, null, 1)))));
  } catch (error) {
    app.tell(`${title}: ${sentence(error)}`, "bad");
  }
}

const plain = (value) => (typeof value === "number" ? String(Math.round(value * 1000) / 1000) : typeof value === "object" ? JSON.stringify(value) : String(value));

function facts(data) {
  const rows = Object.entries(data).filter(([, value]) => value !== null && value !== "");
  return [el("dl", { class: "facts" }, rows.flatMap(([name, value]) => [el("dt", {}, has(`field.${name}`) ? t(`field.${name}`) : name.replaceAll("_", " ")), el("dd", {}, plain(value))]))];
}

function lyricTimes(data) {
  return data.lrc ? [el("pre", { tabindex: "0" }, data.lrc)] : facts(data);
}

function codes(app, data) {
  const text = (data.audio_codes ?? []).join(", ");
  return [el("p", { class: "soft" }, t("take.codes_count", { count: data.audio_codes?.length ?? 0 })), el("pre", { tabindex: "0" }, text),
    el("div", { class: "row" }, button(t("json.copy"), () => navigator.clipboard.writeText(text).catch(() => {})), button(t("take.codes_use"), () => app.useIn("create", { audio_codes: data.audio_codes })))];
}

// Scores every take of a result and gives the result of the best one a star and a note.
async function promote(app, row) {
  app.tell(t("take.asking", { what: t("take.best") }));
  try {
    const scored = [];
    for (const file of row.files.filter((one) => one.role !== "latent")) {
      const { result } = await app.run("score", { source: file.path, caption: row.caption, lyrics: row.lyrics ?? "" });
      const value = Object.values(result.data ?? {}).find((one) => typeof one === "number");
      scored.push({ file, value: result.data?.score ?? value ?? 0 });
    }
    const best = scored.sort((a, b) => b.value - a.value)[0];
    const note = t("take.best_note", { take: best.file.variant + 1, score: plain(best.value) });
    await app.call("history.mark", { id: row.id, star: true, note });
    app.dispatchEvent(new Event("history"));
    app.tell(note);
  } catch (error) {
    app.tell(`${t("take.best")}: ${sentence(error)}`, "bad");
  }
}
