// What a chain or a stage can work on: sounds and latents of the newest results, and a sound that was sent.

import { drafts } from "../app.js";
import { el } from "../dom.js";
import { soundsOf } from "../list.js";
import { takeName } from "../sounds.js";
import { t } from "../words.js";

const RESULTS = 60;

// The places, each {place, words, group}, asked of the daemon: what was sent and the newest takes, and the latents, which are a job to list
// and so wait where the queue is paused.
export async function takePlaces(app) {
  const { rows } = await app.call("history.list", { limit: RESULTS });
  const upload = drafts.read("upload", null);
  const takes = rows.flatMap((row) => soundsOf(row).map((file) => ({ place: { path: file.path }, words: `${row.caption || row.operation} · ${takeName(file)}`, group: t("pipeline.sounds") })));
  return [...(upload ? [{ place: { upload: upload.id }, words: upload.name, group: t("pipeline.uploads") }] : []), ...takes];
}

export async function latentPlaces(app) {
  const { result } = await app.run("latents", { limit: RESULTS });
  return (result.data?.latents ?? []).map((one) => ({ place: { latent: one.latent ?? one.id }, words: [one.caption, one.latent ?? one.id].filter(Boolean).join(" · "), group: t("pipeline.latents") }));
}

const code = (value) => JSON.stringify(value ?? null);
const nameOf = (place) => place.path ?? place.latent ?? place.upload;

// A select of `first` ({value, words} each) and of the places; what is chosen and no longer listed stays choosable.
export function fillSources(select, chosen, first, places) {
  const now = code(chosen), known = [...first.map(({ value }) => code(value)), ...places.map(({ place }) => code(place))];
  const option = (value, words) => el("option", { value: code(value), selected: code(value) === now }, words);
  const groups = new Map();
  for (const { place, words, group } of places) groups.set(group, [...(groups.get(group) ?? []), option(place, words)]);
  select.replaceChildren(...first.map(({ value, words }) => option(value, words)), known.includes(now) ? "" : option(chosen, nameOf(chosen)), ...[...groups].map(([label, options]) => el("optgroup", { label }, options)));
}

export const chosenSource = (select) => JSON.parse(select.value);
