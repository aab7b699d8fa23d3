// The network half of the device (Node for Max): submits jobs to the daemon, follows them, hands results to the Live half (acestep_live.js).
"use strict";

const fs = require("fs");
const Max = require("max-api");

const { Daemon, auditionPage, start } = require("./daemon.js");
const { Float } = require("./msgpack.js");
const { sentence, trouble } = require("./sentences.js");
const { Store } = require("./store.js");
const forms = require("./forms.js");
const operations = require("./operations.js");
const recipes = require("./recipes.js");
const requests = require("./requests.js");
const results = require("./results.js");
const settings = require("./settings.js");

const RETRY_MS = 2000;
const BLOCKED = "readonly_media_folder";
const UNREACHABLE = "daemon_unreachable";
const UNKNOWN = "unknown_job";

// `jobs` are under way; `held` are done, with results (`landings`) that wait to be chosen from.
const state = { jobs: new Map(), held: new Map(), store: new Store(), count: 0 };

function say(text) {
  Max.outlet("status", text);
}

function explain(failure) {
  say(failure.message || String(failure));
}

const daemon = new Daemon(heard, lost, async (rpc) => {
  Max.outlet("connected", 1);
  await follow(rpc, [...state.jobs.values()]);
});

// Hear of jobs from now on, and what was missed. One that the daemon does not know is given up; the others go on.
async function follow(rpc, jobs) {
  for (const job of jobs.filter(({ id }) => state.jobs.has(id))) {
    await rpc.call("job.subscribe", { ids: [job.id], after: { [job.id]: job.seq } }).catch((failure) => {
      if (failure.code !== UNKNOWN) throw failure;
      settle(() => giveUp(job, sentence({ code: "job_unknown" })));
    });
  }
}

function lost(reason) {
  Max.outlet("connected", 0);
  if (!state.jobs.size) return;
  say(reason);
  daemon.keepTrying();
}

// The set was opened (or saved elsewhere): its folder and name, the jobs that it still waits for, and what waits to be chosen from.
async function open(folder, set) {
  const { store } = state;
  if (folder === store.folder && set === store.set) return;
  writing(() => store.open(folder, set, [...state.jobs.values(), ...state.held.values()]));
  const found = store.pending().filter(({ id }) => !state.jobs.has(id) && !state.held.has(id));
  const fresh = found.filter((job) => !job.landings).map((job) => ({ ...job, seq: -1 }));
  fresh.forEach(begin);
  found.filter((job) => job.landings).forEach((job) => { state.held.set(job.id, job); offer(job, ""); });
  if (fresh.length) await daemon.connect().then((rpc) => follow(rpc, fresh), (failure) => { daemon.keepTrying(); throw failure; });
}

// MessagePack tells 8.0 from 8, JavaScript does not: the daemon's own list says which parameters are floats.
function typed(params, fields) {
  const floats = new Set(fields.filter((field) => field.type === "float").map((field) => field.name));
  const found = {};
  for (const [name, value] of Object.entries(params)) found[name] = floats.has(name) && typeof value === "number" ? new Float(value) : value;
  return found;
}

function newId() {
  return `live-${Date.now().toString(36)}-${process.pid}-${++state.count}`;
}

// Write in the set's folder; where that cannot be done, the sentence for it is thrown.
function writing(work) {
  try {
    return work();
  } catch (failure) {
    throw trouble({ code: BLOCKED, path: state.store.media });
  }
}

// A job is under way from now on.
function begin(job) {
  state.jobs.set(job.id, job);
  showJobs();
}

// A job is under way no longer.
function end(job) {
  state.jobs.delete(job.id);
  showJobs();
}

// The jobs under way, for the device's list.
function showJobs() {
  const shown = ({ id, title, pick, asked }) => ({ id, name: [title, pick, new Date(asked).toTimeString().slice(0, 5)].filter(Boolean).join(", ") });
  Max.outlet("jobs", JSON.stringify([...state.jobs.values()].map(shown)));
}

async function send(pending, operation, params) {
  const rpc = await daemon.connect();
  const job = { ...pending, asked: Date.now(), seq: -1 };
  writing(() => state.store.keep(job));
  begin(job);
  await rpc.call("job.submit", { id: job.id, operation, params }).catch((failure) => {
    if (failure.code === UNREACHABLE) daemon.keepTrying(); // the daemon may have it: asked once it answers again
    else forget(job);
    throw failure;
  });
  say(`${job.title}: sent`);
}

// The set waits for a job no longer. Nothing changes where that cannot be written down; false when another device has seen to it.
function forget(job) {
  const dropped = writing(() => state.store.drop(job.id));
  end(job);
  return dropped;
}

async function described(name) {
  const { operations: found } = await daemon.call("describe", name ? { operation: name } : {});
  return found;
}

// The rows of an action's form, and those of the fields that were set in the menu (`own`, texts by name).
function rowsOf(action, fields, own) {
  const rows = forms.rows(fields, action.ask, {}, action.each);
  const more = Object.keys(own).filter((name) => !rows.some((row) => row.name === name));
  return more.length ? [...rows, ...forms.rows(fields, more, {}, "")] : rows;
}

// The typed values of the user's texts, by the daemon's own list of fields; those of the last run for an action without a form, and
// where the user typed nothing at all.
function valuesOf(action, fields, form, own) {
  if (!action.ask.length && !action.whole_form) return state.store.values(action.operation);
  const rows = rowsOf(action, fields, own), texts = { ...form, ...own };
  const values = forms.values(rows, rows.map((row) => String(texts[row.name] === undefined ? "" : texts[row.name])));
  if (values.refusal !== undefined) throw { code: "bad_value", message: values.refusal };
  return Object.keys(values).length ? values : state.store.values(action.operation);
}

// An action as it is asked for, checked against the daemon's own list: {action, fields, values}. Throws the sentence that forbids it.
// It is {action, operation, situation, extra, wishes, values, own (texts: see valuesOf)}. The values are kept with the set, as those of the last run.
async function checked({ action: name, operation, situation, values: form, own }) {
  let action = requests.action(settings.actions, name);
  const [found] = await described(operation || action.operation);
  if (operation) action = operations.adapt(action, found);
  const refused = requests.refusal(action, situation);
  if (refused) throw trouble(refused);
  if (situation.source && !fs.existsSync(situation.source.path)) throw trouble({ code: "offline_media", path: situation.source.path });
  const values = valuesOf(action, found.fields, form, own);
  if (action.each && !(values[action.each] && values[action.each].length)) throw trouble({ code: "no_tracks" });
  writing(() => state.store.keepValues(action.operation, values));
  return { action, fields: found.fields, values };
}

// Let the Live half record what is asked for, once nothing else is wrong with it.
async function check(text) {
  const { action } = await checked(JSON.parse(text));
  Max.outlet("record", action.title, text);
}

// Tell the Live half, which has no files, that one is there.
function look(file) {
  if (fs.existsSync(file)) Max.outlet("there", file);
}

// Submit the jobs of an action.
async function submit(text) {
  const asked = JSON.parse(text);
  const { action, fields, values } = await checked(asked);
  const group = newId();
  for (const job of requests.jobs(action, asked.situation, asked.wishes, values, fields)) {
    const pending = { ...requests.pending(newId(), action, asked.situation, job), ...asked.extra, group, values };
    await send(pending, job.operation, typed(job.params, fields));
  }
}

function heard(method, params) {
  const event = method === "event" && params[0];
  const job = event && state.jobs.get(event.job);
  if (!job || event.seq <= job.seq) return;
  job.seq = event.seq;
  if (event.kind === "progress") {
    Max.outlet("progress", event.data.fraction);
    say(`${job.title}: ${event.data.stage} ${Math.round(100 * event.data.fraction)} %`);
  }
  if (event.kind === "done") arrive(job, event.seq);
  if (["failed", "cancelled", "interrupted"].includes(event.kind)) {
    const error = event.data.error || {};
    settle(() => giveUp(job, error.message || event.data.reason || event.kind));
  }
}

// Fetch what a finished job has made. Where the daemon cannot be asked, its last word counts as not heard: it comes again with the next
// connection.
async function arrive(job, seq) {
  try {
    const view = await daemon.call("job.result", { id: job.id });
    settle(() => finish(job, view));
  } catch (failure) {
    job.seq = seq - 1;
    explain(failure);
  }
}

// Do what the end of a job asks for. While the set's folder takes no files the job stays waiting, which is said once (`told`), and this is
// tried again.
function settle(work, told = "") {
  try {
    work();
  } catch (failure) {
    if (failure.code !== told) explain(failure);
    if (failure.code === BLOCKED) setTimeout(settle, RETRY_MS, work, BLOCKED).unref();
  }
}

// There are no results to place.
function giveUp(job, reason) {
  forget(job);
  say(`${job.title}: ${reason}`);
}

// Place the results of a finished job, or hold them, as the user wished. Another device of the set may be quicker.
function finish(job, view) {
  if (!writing(() => state.store.claim(job.id))) return end(job);
  const list = results.placements(job, view);
  const gone = list.find((place) => !fs.existsSync(place.path));
  if (gone) return giveUp(job, sentence({ code: "result_gone", path: gone.path }));
  const landings = fetched(job, view, list);
  const done = `${job.title}: done. ${results.notes(settings.messages, job, view)}`.trim();
  if (job.listen && landings.length) return hold({ ...job, landings }, done);
  if (!forget(job)) return;
  Max.outlet("progress", 1);
  for (const landing of landings) Max.outlet("place", JSON.stringify(landing));
  say(done);
}

// The results of a job, copied into the set's media folder, and where they belong.
function fetched(job, view, list) {
  writing(() => {
    fs.mkdirSync(state.store.media, { recursive: true });
    for (const place of list) fs.copyFileSync(place.path, state.store.file(place.copy));
    state.store.remember(recipes.memory(job, view));
  });
  const { id, rate, first, track, track_index, slot, beat, tempo } = job;
  return list.map((place) => ({ ...place, path: state.store.file(place.copy), job: id, rate, first, track, track_index, slot, beat, tempo }));
}

// Let the results of a finished job wait to be chosen from.
function hold(job, done) {
  writing(() => state.store.keep(job));
  end(job);
  state.held.set(job.id, job);
  Max.outlet("progress", 1);
  offer(job, done);
}

// Show results that wait to be chosen from, after words on how they came.
function offer(job, done) {
  for (const landing of job.landings) Max.outlet("offer", JSON.stringify(landing));
  say(`${done} ${waiting()}`.trim());
}

function waiting() {
  const landings = [...state.held.values()].flatMap((job) => job.landings);
  return sentence({ code: "variants_wait", count: landings.length });
}

// One of a job's results was chosen, or all were dropped: none of these jobs waits any more.
function release(...ids) {
  ids.forEach((id) => state.held.delete(id));
  writing(() => ids.forEach((id) => state.store.drop(id)));
  say(waiting());
}

function page() {
  Max.outlet("browse", auditionPage());
}

async function start_daemon() {
  say("starting the daemon");
  await start();
  await menu();
  say("The daemon is running.");
}

// What the user does with a result: `fileName` is the file of the clip that is meant.

function remembered(fileName) {
  const memory = state.store.memory(fileName);
  if (!memory) throw trouble({ code: "no_recipe" });
  return memory;
}

async function again(fileName, listenFirst) {
  const job = recipes.again(remembered(fileName), newId());
  await send({ ...job.pending, listen: listenFirst === 1 }, job.operation, job.params);
}

// `text` is JSON: {file, others: [{id, file}]}; the Live half is told which clips go.
function keep(text) {
  const { file, others } = JSON.parse(text);
  const memory = remembered(file);
  const unwanted = others.filter((other) => {
    const known = state.store.memory(other.file);
    return known && recipes.alternatives(known, memory);
  });
  Max.outlet("remove", JSON.stringify(unwanted.map((other) => other.id)));
  say(`${memory.pending.title}: ${unwanted.length} other variants deleted`);
}

function restore(fileName) {
  const { pending } = remembered(fileName);
  const { operation, values = {}, slot, beat, first, last, rate, tempo } = pending;
  Max.outlet("fill", JSON.stringify({ operation, values, slot, beat, first, last, rate, tempo }));
  say(`${pending.title}: its settings are in the form`);
}

// Cancel a job, without an id the newest.
async function cancel(chosen) {
  const id = chosen || [...state.jobs.keys()].pop();
  if (!state.jobs.has(id)) throw trouble({ code: "no_jobs" });
  await daemon.call("job.cancel", { id });
}

async function queue() {
  if (!state.jobs.size) throw trouble({ code: "no_jobs" });
  const views = await Promise.all([...state.jobs.keys()].map((id) => daemon.call("job.status", { id })));
  say(views.map((view) => `${view.operation}: ${view.state}`).join(" | "));
}

// For the device's menus: the operations of the actions, presets and plug-in operations; the fields of one of them; what a field takes.

async function menu() {
  const found = await described();
  const known = new Set(found.map((operation) => operation.name));
  const own = new Set(settings.actions.map((action) => action.operation).filter((name) => known.has(name)));
  Max.outlet("operations", ...own, ...operations.others(found, settings.actions));
}

async function fields(name) {
  const [found] = await described(name);
  const hasSource = found.fields.some((field) => field.name === "source");
  Max.outlet("fields", hasSource ? 1 : 0, ...forms.offered(found.fields));
}

async function about(name, field) {
  const [found] = await described(name);
  say(forms.hint(forms.rows(found.fields, [field], {}, "")[0]));
}

const HANDLERS = { open, check, look, submit, again, keep, restore, release, page, start_daemon, cancel, queue, menu, fields, about };

for (const [name, handler] of Object.entries(HANDLERS)) {
  Max.addHandler(name, async (...words) => {
    try {
      await handler(...words);
    } catch (failure) {
      explain(failure);
    }
  });
}
Max.outlet("ready");
