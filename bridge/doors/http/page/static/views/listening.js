// What can be found out about a take: scores, lyric times, a description, semantic codes; shown, copied, taken along. And its stems.

import { sentence } from "../app.js";
import { button, el, openDialog } from "../dom.js";
import { isSound } from "../sounds.js";
import { has, t } from "../words.js";
import { saveText } from "./assist.js";

const STEMS = "split-into-stems";

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
  if (takesOf(row).length > 1 && (measured(row) || app.operations.has("score"))) acts.push({ words: t("take.best"), run: () => promote(app, row) });
  if (!file.track && app.operations.has(STEMS)) acts.push({ words: t("take.stems"), run: () => app.submit(STEMS, { source: file.path }).catch((error) => app.fail(error)) });
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
    el("div", { class: "row" }, button(t("json.copy"), () => navigator.clipboard.writeText(text).catch(() => {})), button(t("take.codes_use"), (event) => use(event, app, data)))];
}

function use(event, app, data) {
  event.currentTarget.closest("dialog").close();
  app.useIn("create", { audio_codes: data.audio_codes });
}

// The takes of a result, one sound of each.
function takesOf(row) {
  const found = new Map();
  for (const file of row.files) if (isSound(file) && !file.preview && !file.copy_of && !found.has(file.variant ?? 0)) found.set(file.variant ?? 0, file);
  return [...found.values()];
}

const measured = (row) => takesOf(row).every((file) => typeof file.score === "number");

async function scoreOf(app, row, file) {
  const { result } = await app.run("score", { source: file.path, caption: row.caption, lyrics: row.lyrics ?? "" });
  return result.data.total;
}

// Gives the result of the best take a star, and says in its note how every take scores: as it was measured when they were made, else by the
// language model. What is noted already stays.
async function promote(app, row) {
  app.tell(t("take.asking", { what: t("take.best") }));
  try {
    const scored = [], judged = measured(row);
    for (const file of takesOf(row)) scored.push({ take: (file.variant ?? 0) + 1, score: judged ? file.score : await scoreOf(app, row, file) });
    scored.sort((a, b) => b.score - a.score);
    const note = bestNote(scored), before = await app.call("history.mark", { id: row.id, star: true });
    if (!before.note.includes(note)) await app.call("history.mark", { id: row.id, note: [before.note, note].filter(Boolean).join("\n") });
    app.dispatchEvent(new Event("history"));
    app.tell(note);
  } catch (error) {
    app.tell(`${t("take.best")}: ${sentence(error)}`, "bad");
  }
}

function bestNote([best, ...others]) {
  const words = others.map(({ take, score }) => t("take.other_score", { take, score: plain(score) })).join(", ");
  return t("take.best_note", { take: best.take, score: plain(best.score), others: words });
}
