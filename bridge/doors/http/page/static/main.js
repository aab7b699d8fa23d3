// Starts the page: words, connection, views, keys.

import { App, drafts } from "./app.js";
import { button, el, openDialog } from "./dom.js";
import { icon } from "./icons.js";
import { jobRow, keyed, soundsOf, takeActions, takeRow } from "./list.js";
import { Player } from "./player.js";
import { LANGUAGES, language, loadWords, preferred, t } from "./words.js";
import { createView } from "./views/create.js";
import { editView } from "./views/edit.js";
import { libraryView } from "./views/library.js";
import { modelsView } from "./views/models.js";
import { pipelineView } from "./views/pipeline.js";
import { systemView } from "./views/system.js";
import { trainingView } from "./views/training.js";

const VIEWS = { create: createView, edit: editView, pipeline: pipelineView, library: libraryView, models: modelsView, training: trainingView, system: systemView };
const NEWEST = 6;
const STATUS_MS = 5000;

const byId = (id) => document.getElementById(id);

async function start() {
  const theme = drafts.read("theme", "");
  if (theme) document.documentElement.dataset.theme = theme;
  await loadWords(preferred(drafts.read("language", ""), navigator.languages ?? []));
  document.title = t("title");
  byId("brand").textContent = t("brand");
  byId("skip").textContent = t("skip");
  byId("side").setAttribute("aria-label", t("side.label"));
  const app = (globalThis.studio = new App());
  app.player = new Player(byId("player"), (words) => app.tell(words, "bad"));
  for (const [name, make] of Object.entries(VIEWS)) app.views.set(name, make(app));
  app.useIn = (view, values) => { app.views.get(view).use(values); app.go(view); };
  app.useRequest = (request) => useRequest(app, request);
  app.useSettings = (row) => app.call("job.result", { id: row.id }).then(({ request }) => app.useRequest(request)).catch((error) => app.fail(error));
  tabs(app);
  tools(app);
  side(app);
  keys(app);
  addEventListener("hashchange", () => show(app));
  app.addEventListener("place", () => show(app));
  show(app);
  app.client.start();
  setInterval(() => app.connected && !document.hidden && app.refreshStatus().catch((error) => error.code === "timeout" && app.client.again()), STATUS_MS);
  document.addEventListener("visibilitychange", () => !document.hidden && app.connected && app.dispatchEvent(new Event("history")));
}

// The settings of a result or a file: those of several stages belong into the pipeline.
function useRequest(app, request) {
  const view = (request?.stages?.length ?? 0) > 1 ? "pipeline" : "create";
  app.views.get(view).useRequest(request);
  app.go(view);
}

// Views

function tabs(app) {
  const list = byId("tabs");
  list.setAttribute("aria-label", t("tabs.label"));
  for (const name of Object.keys(VIEWS)) {
    list.append(el("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "view", on: { click: () => app.go(name) } }, t(`tab.${name}`)));
  }
  list.addEventListener("keydown", (event) => {
    const all = [...list.children], at = all.indexOf(document.activeElement);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const tab = all[(next + all.length) % all.length];
    tab.focus();
    tab.click();
  });
}

function show(app) {
  const { view: wanted, words } = app.place;
  const name = VIEWS[wanted] ? wanted : "create";
  const view = app.views.get(name);
  for (const tab of byId("tabs").children) {
    const on = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(on));
    tab.tabIndex = on ? 0 : -1;
  }
  const main = byId("view");
  main.setAttribute("aria-label", t(`tab.${name}`));
  if (main.firstChild !== view.element) {
    app.shown?.hide?.();
    main.replaceChildren(view.element);
    app.shown = view;
  }
  view.show?.(words);
}

// Top right: connection, look, language, keys

function tools(app) {
  const link = el("span", { class: "link", data: { state: "lost" } }, t("link.connecting"));
  const state = () => {
    link.dataset.state = app.connected ? "open" : "lost";
    const { worker, queue } = app.status;
    const device = worker?.info?.device ?? "";
    link.textContent = app.connected ? [t("link.open"), device, queue?.length ? t("link.queue", { count: queue.length }) : ""].filter(Boolean).join(" · ") : t("link.none");
  };
  for (const kind of ["connected", "lost", "status"]) app.addEventListener(kind, state);
  const choose = el("select", { "aria-label": t("language"), on: { change: () => { drafts.write("language", choose.value); location.reload(); } } },
    Object.entries(LANGUAGES).map(([code, name]) => el("option", { value: code, lang: code, selected: code === language }, name)));
  const look = button(icon("theme"), () => {
    const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : !matchMedia("(prefers-color-scheme: light)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    drafts.write("theme", document.documentElement.dataset.theme);
    dispatchEvent(new Event("resize"));
  }, { class: "icon plain", "aria-label": t("theme"), title: t("theme") });
  byId("tools").append(link, look, button("?", () => showKeys(app), { class: "icon plain", "aria-label": t("keys.title"), title: t("keys.title") }), choose);
}

// Beside every view: what runs and waits, and the newest takes

function side(app) {
  const jobs = el("ul", { class: "cards", id: "queue" }), none = el("p", { class: "soft" }, t("queue.empty"));
  const newest = el("ul", { class: "cards", id: "newest" });
  byId("side").append(
    el("section", { class: "panel", "aria-label": t("queue.title") }, el("h3", {}, t("queue.title")), none, jobs),
    el("section", { class: "panel", "aria-label": t("newest.title") }, el("h3", {}, t("newest.title"), button(t("newest.all"), () => app.go("library"), { class: "plain" })), newest));
  let drawn = false;
  const draw = () => {
    drawn = false;
    const active = app.store.active.filter((job) => !job.quiet || job.state === "running");
    none.hidden = active.length > 0;
    keyed(jobs, active.slice(0, 50), (job) => job.id, (job) => jobRow(app, job));
  };
  app.store.addEventListener("change", () => { if (!drawn) { drawn = true; requestAnimationFrame(draw); } });
  app.addEventListener("history", async () => {
    try {
      const { rows } = await app.call("history.list", { limit: NEWEST });
      app.newest = rows;
      keyed(newest, rows, (row) => row.id, (row) => newestRow(app, row));
      app.dispatchEvent(new Event("newest"));
    } catch (error) {
      if (error.code !== "disconnected") app.fail(error);
    }
  });
  app.player.addEventListener("change", () => { for (const take of document.querySelectorAll(".take")) take.mark?.(); });
}

function newestRow(app, row) {
  const actions = takeActions(app);
  return el("li", { class: "card", data: { result: row.id } }, el("h3", {}, row.caption || row.operation),
    soundsOf(row).slice(0, 4).map((file) => takeRow(app, row, file, actions(row, file))));
}

// Keys that work everywhere but in a field; they can be switched off

const OWN_KEYS = { " ": "button, summary, input:not([type=range])", Home: "input, [role=slider], [role=tab]" }; // what such an element does with them

function keys(app) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      app.shown?.run?.();
      return;
    }
    const typing = event.target.closest?.("input:not([type=range], [type=checkbox], [type=radio]), textarea, select, dialog, [role=menu]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !drafts.read("keys", true)) return;
    const acts = { " ": () => app.player.toggle(), Home: () => app.player.seek(0), l: () => app.player.setLoop(!app.player.loop), b: () => app.player.seek(app.player.seconds - 5), x: () => app.player.choose(app.player.side === "a" ? "b" : "a"), "?": () => showKeys(app) };
    if (event.target.closest?.(OWN_KEYS[event.key])) return;
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function showKeys() {
  const on = el("input", { type: "checkbox", id: "keys-on", checked: drafts.read("keys", true), on: { change: () => drafts.write("keys", on.checked) } });
  const rows = ["space", "home", "l", "b", "x", "run", "arrows", "edges", "zoom", "delete"].map((name) => el("tr", {}, el("th", { scope: "row" }, t(`keys.${name}.key`)), el("td", {}, t(`keys.${name}`))));
  openDialog(t("keys.title"), t("close"), el("table", {}, el("tbody", {}, rows)), el("div", { class: "field check" }, on, el("label", { for: "keys-on" }, t("keys.on"))));
}

start();
