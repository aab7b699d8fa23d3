// Lists of jobs and results. Rows are kept by id, so that focus and playing stay where they are when the list changes.

import { button, el, iconButton, newId } from "./dom.js";
import { spark } from "./draw.js";
import { clock, dragged } from "./format.js";
import { icon, setIcon } from "./icons.js";
import { Meter } from "./meter.js";
import { loadPeaks } from "./peaks.js";
import { copyAddress, isLatent, isSound, soundOf, takeName } from "./sounds.js";
import { t } from "./words.js";

// Brings a list to the given items: `make(item)` builds a row with a method `update(item)`.
export function keyed(list, items, key, make) {
  const rows = new Map([...list.children].map((row) => [row.dataset.key, row]));
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  let place = null;
  for (const item of items) {
    const id = key(item);
    let row = rows.get(id);
    rows.delete(id);
    if (!row) {
      row = make(item);
      row.dataset.key = id;
    }
    row.update?.(item);
    const next = place ? place.nextSibling : list.firstChild;
    if (row !== next) list.insertBefore(row, next);
    place = row;
  }
  for (const row of rows.values()) row.remove();
  if (focused?.isConnected && document.activeElement !== focused) focused.focus(); // moving a row takes its focus away
}

const COUNTED = new Set(["dataset-label", "dataset-prepare", "train"]); // jobs of many like units, whose rate people want to know

// How many units of a stage are done, and how fast they come: a function of progress.
function pace() {
  let stage = "", meter = new Meter();
  return ({ stage: now, step, steps }) => {
    if (now !== stage) [stage, meter] = [now, new Meter()];
    if (meter.done !== step || !meter.total) meter.feed(performance.now() / 1000, step, steps);
    const rate = meter.speed * 60;
    return [t("job.count", { step, steps }), rate ? t("job.rate", { rate: rate < 10 ? rate.toFixed(1) : Math.round(rate) }) : ""].filter(Boolean).join(", ");
  };
}

export function jobRow(app, job) {
  const counted = pace();
  const title = el("h3", {}), facts = el("p", { class: "soft num" }), bar = el("progress", { max: 1, "aria-label": t("job.progress") });
  const cancel = button(t("job.cancel"), () => app.cancel(job.id), { class: "cancel" });
  const up = iconButton("up", t("queue.up"), () => move(-1)), down = iconButton("down", t("queue.down"), () => move(1));
  const row = el("li", { class: "card job", data: { job: job.id } }, el("div", { class: "top-line" }, title, el("span", { class: "row" }, up, down, cancel)), bar, facts);

  async function move(step) {
    const waiting = app.store.active.filter((one) => one.state === "queued").sort((a, b) => a.position - b.position);
    const at = waiting.findIndex((one) => one.id === job.id), other = waiting[at + step];
    if (!other) return;
    const [first, second] = step < 0 ? [job.id, other.id] : [other.id, job.id];
    try {
      await app.call("queue.move", { id: first, ahead_of: second });
      await refreshPlaces(app);
      app.say(t("queue.moved", { place: app.store.jobs.get(job.id)?.position ?? "" }));
    } catch (error) {
      app.fail(error);
    }
  }

  row.update = (one) => {
    job = one;
    const progress = one.progress ?? {}, waits = one.state === "queued";
    title.textContent = one.caption || one.operation || one.id;
    for (const each of [up, down]) each.hidden = !waits;
    bar.hidden = waits;
    if (progress.fraction === undefined || progress.fraction === null) bar.removeAttribute("value");
    else bar.value = progress.fraction;
    const eta = progress.eta > 0 ? t("job.eta", { time: clock(progress.eta) }) : "";
    const percent = progress.fraction === undefined ? "" : `${Math.round(progress.fraction * 100)} %`;
    const where = one.cancelling ? t("job.cancelling") : waits ? t("job.place", { place: one.position || "…" }) : one.state === "suspended" ? t("job.suspended") : [progress.stage, COUNTED.has(one.operation) && progress.steps > 1 ? counted(progress) : "", percent, eta].filter(Boolean).join(" · ");
    facts.textContent = [one.operation, where].filter(Boolean).join(" · ");
    cancel.disabled = Boolean(one.cancelling);
    cancel.setAttribute("aria-label", t("job.cancel_named", { name: title.textContent }));
  };
  return row;
}

export async function refreshPlaces(app) {
  const rows = await app.call("job.list", { states: ["queued"], limit: 100 });
  for (const row of rows) app.store.note(row.id, { position: row.position });
}

// One sound of a result, with its waveform. `actions` are {words, run} for the menu.
export function takeRow(app, result, file, actions = []) {
  const sound = soundOf(result, file);
  const play = iconButton("play", t("take.play", { name: takeName(file) }), () => {
    if (app.player.sound?.key === sound.key && app.player.playing) app.player.pause();
    else app.player.play(sound);
  }, { class: "round" });
  const picture = el("canvas", { class: "spark", "aria-hidden": "true" });
  const compare = button("A/B", () => {
    app.player.load(sound, app.player.sounds.a && app.player.side === "a" ? "b" : "a", true);
    app.say(t("take.compared", { name: sound.name }));
  }, { "aria-label": t("take.compare", { name: takeName(file) }) });
  const row = el("div", { class: "take", draggable: "true", data: { take: sound.key } }, play,
    el("div", {}, picture, el("span", { class: "name" }, takeName(file), " ", el("span", { class: "soft num" }, clock(file.length / file.rate, 1)), file.score === undefined ? "" : scoreTag(file.score))),
    el("div", { class: "acts" }, compare, menu(t("take.more", { name: takeName(file) }), actions.map((act) => ({ ...act, run: act.run && (() => act.run(result, file)) })))));
  row.addEventListener("dragstart", (event) => {
    for (const [type, value] of Object.entries(dragged({ ...sound, name: sound.file }, location.origin))) event.dataTransfer.setData(type, value);
    event.dataTransfer.effectAllowed = "copy";
  });
  whenSeen(row, () => loadPeaks(sound.peaks).then((peaks) => spark(picture, peaks), () => { picture.hidden = true; }));
  row.mark = () => {
    const on = app.player.sound?.key === sound.key;
    row.classList.toggle("on", on);
    setIcon(play.firstChild, on && app.player.playing ? "pause" : "play");
    play.setAttribute("aria-pressed", String(on && app.player.playing));
  };
  row.mark();
  return row;
}

// How near a take is to what was asked, where its job measured that.
function scoreTag(score) {
  return el("span", { class: "tag num", title: t("take.scored_help"), data: { part: "score" } }, t("take.scored", { score: String(Math.round(score * 100) / 100) }));
}

const seen = typeof IntersectionObserver === "undefined" ? null : new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); entry.target.whenSeen?.(); }
}, { rootMargin: "200px" });

function whenSeen(element, act) {
  element.whenSeen = act;
  seen?.observe(element);
}

// A button that opens a list of things to do.
export function menu(name, actions) {
  const id = newId("menu");
  const list = el("div", { id, role: "menu", "aria-label": name, hidden: true });
  const opener = button(icon("more"), () => show(list.hidden), { class: "icon", "aria-label": name, "aria-haspopup": "menu", "aria-expanded": "false", "aria-controls": id });
  const box = el("div", { class: "menu" }, opener, list);
  for (const act of actions) {
    const run = () => { show(false); act.run?.(); };
    const about = { role: "menuitem", tabindex: "-1" };
    list.append(act.href ? el("a", { ...about, class: "button", href: act.href, download: act.download ?? "", on: { click: run } }, act.words) : button(act.words, run, about));
  }
  function point(item) {
    for (const one of list.children) one.tabIndex = one === item ? 0 : -1;
    item?.focus();
  }
  function show(on) {
    list.hidden = !on;
    opener.setAttribute("aria-expanded", String(on));
    if (on) {
      list.classList.toggle("up", box.getBoundingClientRect().top > innerHeight / 2);
      point(list.firstChild);
      list.scrollIntoView({ block: "nearest" });
    } else if (list.contains(document.activeElement)) opener.focus();
  }
  box.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") { show(false); opener.focus(); }
    else if (step) {
      const all = [...list.children], at = all.indexOf(document.activeElement);
      point(all[(at + step + all.length) % all.length]);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  box.addEventListener("focusout", (event) => { if (!box.contains(event.relatedTarget)) show(false); });
  return box;
}

// What can be done with a take, everywhere it is shown.
export function takeActions(app) {
  return (row, file) => {
    const acts = [
      { words: t("take.edit"), run: () => app.go("edit", row.id, file.index) },
      { words: t("take.reference"), run: () => app.useIn("create", { reference: file.path }) },
      { words: t("take.pipeline"), run: () => app.useIn("pipeline", { source: { path: file.path } }) },
      { words: t("take.seed"), run: () => app.useIn("create", { seed: file.seed }) },
      { words: t("take.settings"), run: () => app.useSettings(row) },
      { words: t("take.another"), run: () => app.call("job.rerun", { job: row.id, vary: true }).catch((error) => app.fail(error)) },
      { words: t("take.again"), run: () => app.call("job.rerun", { job: row.id }).catch((error) => app.fail(error)) },
    ];
    for (const format of ["wav", "flac", "mp3", "ogg"]) acts.push({ words: t("take.download", { format: format.toUpperCase() }), href: copyAddress(row, file, format) });
    return acts;
  };
}

export const soundsOf = (row) => row.files.filter(isSound);
export const latentsOf = (row) => row.files.filter(isLatent);
