// Library: every result of the daemon, to find again, hear, compare, note, take along, delete and take back.

import { drafts, sentence } from "../app.js";
import { button, el, iconButton, newId, openDialog } from "../dom.js";
import { clock } from "../format.js";
import { icon } from "../icons.js";
import { keyed, latentsOf, menu, soundsOf, takeActions, takeRow } from "../list.js";
import { continuation } from "../resume.js";
import { zipAddress } from "../sounds.js";
import { t } from "../words.js";
import { requestDialog, saveText } from "./assist.js";
import { listening } from "./listening.js";
import { sending } from "./sending.js";

const PAGE = 50;
const SHOWN_TAKES = 8;

export function libraryView(app) {
  const asked = { search: "", operation: "", starred: false, deleted: false };
  let rows = [], more = false, total = 0, uncounted = false, chosen = new Set();

  const search = el("input", { id: newId("search"), type: "search", autocomplete: "off", on: { input: () => later() } });
  const operation = el("select", { id: newId("operation"), on: { change: () => { asked.operation = operation.value; load(); } } });
  const starred = button(t("library.starred"), () => { asked.starred = !asked.starred; starred.setAttribute("aria-pressed", String(asked.starred)); load(); }, { "aria-pressed": "false" });
  const deleted = button(t("library.deleted"), () => { asked.deleted = !asked.deleted; deleted.setAttribute("aria-pressed", String(asked.deleted)); load(); }, { "aria-pressed": "false" });
  const count = el("p", { class: "soft", role: "status" });
  const list = el("ul", { class: "cards", id: "results" });
  const sent = sending(app);
  const next = button(t("library.more"), () => load(true), { hidden: true });
  const bar = el("div", { class: "panel row", hidden: true, role: "group", "aria-label": t("library.chosen_label") });
  const latents = el("details", { class: "panel", on: { toggle: () => latents.open && loadLatents() } }, el("summary", {}, t("library.latents")));
  const element = el("section", {}, el("div", {}, el("h2", {}, t("library.title")), el("p", { class: "lead" }, t("library.lead"))),
    el("div", { class: "panel" }, el("div", { class: "fields" }, el("div", { class: "field" }, el("label", { for: search.id }, t("library.search")), search),
      el("div", { class: "field" }, el("label", { for: operation.id }, t("library.operation")), operation)), el("div", { class: "row" }, starred, deleted, count)),
    sent.element, bar, list, el("div", { class: "row" }, next), latents);

  let timer = 0;
  function later() {
    clearTimeout(timer);
    timer = setTimeout(() => { asked.search = search.value.trim(); load(); }, 200);
  }

  let asks = 0;
  async function load(further = false) {
    if (!app.connected || (further && next.disabled)) return;
    const mine = (asks += 1);
    next.disabled = true;
    try {
      const before = further && rows.length ? { before: rows[rows.length - 1].id } : {};
      const limit = further ? PAGE : Math.min(1000, Math.max(PAGE, rows.length));
      const answer = await app.call("history.list", { ...asked, ...before, limit });
      if (mine !== asks) return; // something newer was asked meanwhile
      rows = further ? [...rows, ...answer.rows] : answer.rows;
      ({ more, total, uncounted } = answer);
      draw();
    } catch (error) {
      if (error.code !== "disconnected") app.fail(error);
    } finally {
      if (mine === asks) next.disabled = false;
    }
  }

  function draw() {
    keyed(list, rows, (row) => row.id, resultRow);
    next.hidden = !more;
    count.textContent = total ? t(uncounted ? "library.count_more" : "library.count", { count: total }) : t(asked.search || asked.operation || asked.starred ? "library.nothing" : asked.deleted ? "library.none_deleted" : "library.empty");
    chosen = new Set([...chosen].filter((id) => rows.some((row) => row.id === id)));
    drawBar();
  }

  function resultRow(row) {
    const actions = takeActions(app);
    const pick = el("input", { type: "checkbox", "aria-label": t("library.choose", { name: row.caption || row.operation }), on: { change: () => { if (pick.checked) chosen.add(row.id); else chosen.delete(row.id); drawBar(); } } });
    const star = button(icon("star"), () => mark(row.id, { star: star.getAttribute("aria-pressed") !== "true" }), { class: "icon plain star", "aria-label": t("library.star"), title: t("library.star") });
    const note = el("p", { class: "soft" });
    const facts = [row.operation, row.model, row.bpm ? `${row.bpm} bpm` : "", row.key, new Date(row.ended * 1000).toLocaleString(document.documentElement.lang), t("library.took", { time: clock(row.seconds, 1) })];
    const box = el("li", { class: "card", data: { result: row.id } },
      el("div", { class: "top-line" }, el("div", { class: "row" }, pick, el("div", {}, el("h3", {}, row.caption || row.operation), el("p", { class: "soft" }, facts.filter(Boolean).join(" · ")))),
        el("div", { class: "row" }, star, resultMenu(row))), note,
      soundsOf(row).slice(0, SHOWN_TAKES).map((file) => takeRow(app, row, file, [...actions(row, file), ...sent.actions(row.id, [file.index]), ...listening(app, row, file)])),
      soundsOf(row).length > SHOWN_TAKES ? el("p", { class: "soft" }, t("library.further", { count: soundsOf(row).length - SHOWN_TAKES })) : "");
    box.update = (one) => {
      row = one;
      star.setAttribute("aria-pressed", String(one.star));
      note.textContent = one.note;
      note.hidden = !one.note;
      pick.checked = chosen.has(one.id);
    };
    return box;
  }

  function resultMenu(row) {
    if (asked.deleted) return button(t("library.restore"), () => restore([row.id]));
    return el("div", { class: "row" }, iconButton("trash", t("library.delete"), () => remove([row.id]), { class: "icon plain", data: { act: "delete" } }), menu(t("library.result_more"), [
      { words: t("library.note"), run: () => editNote(row) },
      { words: t("library.recipe"), run: () => recipe(row) },
      { words: t("library.preset"), run: () => savePreset(row) },
      ...sent.actions(row.id),
      { words: t("library.zip"), href: zipAddress(soundsOf(row).map((file) => [row, file])) },
      { words: t("library.project"), run: () => app.call("job.export", { id: row.id }).then(({ path }) => app.tell(t("library.exported", { path })), (error) => app.fail(error)) },
      { words: t("library.recipe_save"), run: () => app.call("job.result", { id: row.id }).then((job) => saveText(`${row.id}.json`, JSON.stringify(job.result?.recipe ?? job.request, null, 1)), (error) => app.fail(error)) },
      ...latentsOf(row).map((file) => ({ words: t("library.resume", { name: file.name }), run: () => resume(`${row.id}/${file.name}`) })),
    ]));
  }

  function drawBar() {
    bar.hidden = !chosen.size;
    const picked = rows.filter((row) => chosen.has(row.id));
    bar.replaceChildren(el("span", {}, t("library.chosen", { count: picked.length })),
      el("a", { class: "button", href: zipAddress(picked.flatMap((row) => soundsOf(row).map((file) => [row, file]))), download: "takes.zip" }, t("library.zip")),
      button(t("library.delete"), () => remove([...chosen])), button(t("library.choose_none"), () => { chosen.clear(); draw(); }));
  }

  async function mark(id, facts) {
    try {
      const answer = await app.call("history.mark", { id, ...facts });
      rows = rows.map((row) => (row.id === id ? { ...row, ...answer } : row));
      draw();
    } catch (error) {
      app.fail(error);
    }
  }

  async function remove(ids) {
    try {
      await app.call("history.delete", { ids });
      ids.forEach((id) => chosen.delete(id));
      await load();
      app.dispatchEvent(new Event("history"));
      app.tell(t("library.gone", { count: ids.length }), "", { words: t("library.undo"), run: () => restore(ids) });
      search.focus();
    } catch (error) {
      app.fail(error);
    }
  }

  async function restore(ids) {
    try {
      await app.call("history.restore", { ids });
      await load();
      app.dispatchEvent(new Event("history"));
      app.tell(t("library.restored", { count: ids.length }));
    } catch (error) {
      app.fail(error);
    }
  }

  function editNote(row) {
    const text = el("textarea", { rows: 4, maxlength: 2000, "aria-label": t("library.note") });
    text.value = row.note;
    const dialog = openDialog(t("library.note"), t("close"), text, el("div", { class: "row end" }, button(t("save"), () => { dialog.close(); mark(row.id, { note: text.value.trim() }); }, { class: "go" })));
    text.focus();
  }

  async function recipe(row) {
    try {
      const job = await app.call("job.result", { id: row.id });
      requestDialog({ operation: row.operation, params: job.request, notes: job.result?.notes, seeds: job.result?.seeds });
    } catch (error) {
      app.fail(error);
    }
  }

  function savePreset(row) {
    const name = el("input", { id: newId("preset"), type: "text", maxlength: 40 }), wrong = el("p", { class: "wrong", role: "alert" });
    const dialog = openDialog(t("library.preset"), t("close"), el("div", { class: "field" }, el("label", { for: name.id }, t("library.preset_name")), name, wrong), el("div", { class: "row end" }, button(t("save"), async () => {
      try {
        await app.call("preset.save", { name: name.value.trim(), job: row.id });
        dialog.close();
        app.tell(t("library.preset_saved", { name: name.value.trim() }));
        app.refreshModels();
      } catch (error) {
        wrong.textContent = sentence(error);
      }
    }, { class: "go" })));
    name.focus();
  }

  // Stored latents and steps: whatever can be gone on from

  const place = el("div", { class: "scroll" });
  latents.append(place);

  async function loadLatents() {
    try {
      const { result } = await app.run("latents", { limit: 200 });
      const found = result.data?.latents ?? [];
      place.replaceChildren(found.length ? el("table", {}, el("thead", {}, el("tr", {}, ["library.latent", "library.model", "library.caption", ""].map((key) => el(key ? "th" : "td", key ? { scope: "col" } : {}, key ? t(key) : "")))),
        el("tbody", {}, found.map((one) => el("tr", {}, el("td", {}, one.id), el("td", {}, one.model ?? ""), el("td", {}, one.caption ?? ""), el("td", {}, el("div", { class: "row" },
          button(t("library.decode"), () => hand("decode", { latent: one.id }), { "aria-label": t("library.decode_named", { name: one.id }) }),
          button(one.step === null || one.step === undefined ? t("library.refine") : t("library.go_on"), () => resume(one.id), { "aria-label": t("library.resume", { name: one.id }) })))))))
        : el("p", { class: "soft" }, t("library.no_latents")));
    } catch (error) {
      app.fail(error);
    }
  }

  const hand = (name, params) => app.submit(name, params).catch((error) => app.fail(error));

  // A stored step is continued to the end of its run; a finished latent is polished once more.
  async function resume(latent) {
    try {
      const { data } = (await app.run("latent", { latent })).result;
      if (!data.checkpoint) return await app.submit("refine", { source_latent: latent });
      const request = continuation(data);
      return request ? await app.submit("render", request) : app.tell(t("library.no_run", { name: latent }), "bad");
    } catch (error) {
      return app.fail(error);
    }
  }

  function fillOperations() {
    const names = [...app.operations.values()].filter((one) => ["render", "preset"].includes(one.group) || !["store", "planner"].includes(one.group)).map((one) => one.name).sort();
    operation.replaceChildren(el("option", { value: "" }, t("library.all")), ...names.map((one) => el("option", { value: one }, one)));
    operation.value = asked.operation;
  }

  app.addEventListener("connected", () => { fillOperations(); if (element.isConnected) sent.look(); });
  app.addEventListener("history", () => { if (element.isConnected) load(); });
  return { element, show: () => { load(); if (app.connected) sent.look(); }, use: () => {}, drafts };
}
