// The network half of the device (Node for Max): submits jobs to the daemon, follows them, hands results to the Live half (acestep_live.js).
"use strict";

const fs = require("fs");
const Max = require("max-api");

const { Daemon, auditionPage, start } = require("./daemon.js");
const { Float } = require("./msgpack.js");
const learning = require("./learning.js");
const { Sent } = require("./sent.js");
const { sentence, trouble } = require("./sentences.js");
const { Store } = require("./store.js");
const operations = require("./operations.js");
const recipes = require("./recipes.js");
const requests = require("./requests.js");
const results = require("./results.js");
const settings = require("./settings.js");
const { Menus, valuesOf } = require("./menus.js");

const RETRY_MS = 2000;
const LOOK_MS = 1000;
const BLOCKED = "readonly_media_folder";
const NOTHING_FOUND = "nothing was found"; // the daemon's words for a silent stem
const UNREACHABLE = "daemon_unreachable";
const UNKNOWN = "unknown_job";

// `jobs` are under way, or (`ready`) wait for the others of their key press; `held` are done, with results (`landings`) that wait to be
// chosen from.
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

const menus = new Menus((method, params) => daemon.call(method, params));

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

// Ask for jobs, those of one key press: a list of {pending, method, params, instead}. All are known before the first can end; one that is
// refused keeps no other from being asked for.
async function send(orders) {
  await daemon.connect();
  const jobs = orders.map(({ pending }) => ({ ...pending, asked: Date.now(), seq: -1 }));
  for (const job of jobs) {
    writing(() => state.store.keep(job));
    begin(job);
  }
  let sent = 0;
  for (const [index, job] of jobs.entries()) sent += await ask(job, orders[index]);
  if (sent) say(`${jobs[0].title}: sent`);
}

// Ask for a job, or, where the daemon no longer knows one that was to be made again, for what is remembered of it (`instead`). 1 when it is
// asked for.
async function ask(job, { method, params, instead }) {
  try {
    await daemon.call(method, { id: job.id, ...params });
    return 1;
  } catch (failure) {
    if (failure.code === UNREACHABLE) {
      daemon.keepTrying(); // the daemon may have it: asked once it answers again
      throw failure;
    }
    if (instead) return ask(job, instead);
    giveUp(job, failure.message || String(failure));
    return 0;
  }
}

const pressOf = (job) => job.press || job.id;

// The jobs under way that one key press asked for.
function together(job) {
  return [...state.jobs.values()].filter((known) => pressOf(known) === pressOf(job));
}

// The set waits for a job no longer. Nothing changes where that cannot be written down; false when another device has seen to it.
function forget(job) {
  const dropped = writing(() => state.store.drop(job.id));
  end(job);
  return dropped;
}

// An action as it is asked for, checked against the daemon's own list: {action, fields, values}. Throws the sentence that forbids it.
// It is {action, operation, situation, extra, passages, values, own (texts: see valuesOf)}. The values are kept with the set, as those of the last run.
async function checked({ action: name, operation, situation, parts = [], values: form, own }) {
  let action = requests.action(settings.actions, name);
  const found = await menus.described(operation || action.operation, own.model);
  if (found.refused) throw found.refused; // before anything is recorded
  if (operation) action = operations.adapt(action, found);
  const refused = requests.refusal(action, situation);
  if (refused) throw trouble(refused);
  for (const { source } of [situation, ...parts.map((part) => part.situation)]) {
    if (source && !fs.existsSync(source.path)) throw trouble({ code: "offline_media", path: source.path });
  }
  const values = valuesOf(action, found.fields, form, own, state.store.values(action.operation));
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
  const press = newId();
  const orders = asked.parts.flatMap(({ situation, extra, passages: tempos }) => requests.jobs(action, situation, tempos, values, fields).map((job) => ({
    pending: { ...requests.pending(newId(), action, situation, job), ...extra, group: press, press, values },
    method: "job.submit", params: { operation: job.operation, params: typed(job.params, fields) },
  })));
  await send(orders);
}

function heard(method, params) {
  const event = method === "event" && params[0];
  const job = event && state.jobs.get(event.job);
  if (!job || event.seq <= job.seq) return;
  job.seq = event.seq;
  if (event.kind === "progress") {
    Max.outlet("progress", event.data.fraction);
    const press = together(job), ready = press.filter((known) => known.ready).length;
    const several = press.length > 1 ? `${ready} of ${press.length} ready, ` : "";
    say(`${job.title}: ${several}${event.data.stage} ${Math.round(100 * event.data.fraction)} %`);
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

// There are no results to place; what else the key press asked for may be ready.
function giveUp(job, reason) {
  forget(job);
  say(`${job.title}: ${reason}`);
  placeReady(job);
}

// Hold the results of a finished job, as the user asked, or place them with the others of the key press. Another device of the set may
// be quicker.
function finish(job, view) {
  if (!writing(() => state.store.claim(job.id))) {
    end(job);
    return placeReady(job);
  }
  if (job.learns) return learned(job, view);
  const list = results.placements(job, view), gone = missing(list);
  if (gone) return giveUp(job, sentence({ code: "result_gone", path: gone.path }));
  const landings = fetched(job, view, list);
  const notes = results.notes(settings.messages, job, view);
  if (job.listen && landings.length) {
    hold({ ...job, landings }, doneWith(job.title, [notes]));
  } else {
    job.ready = { landings, notes };
  }
  placeReady(job);
}

function missing(list) {
  return list.find((place) => !fs.existsSync(place.path));
}

// What there is to know of finished jobs. No *done* where nothing was found.
function doneWith(title, notes) {
  const told = notes.filter((text, index) => text && notes.indexOf(text) === index);
  return [`${title}:`, notes.every((text) => text.includes(NOTHING_FOUND)) ? "" : "done.", ...told].filter(Boolean).join(" ");
}

// Place what a key press has made, once all of its jobs have ended: at one go, which is one undo step in Live.
function placeReady(job) {
  const press = together(job), mine = [];
  if (!press.length || press.some((known) => !known.ready)) return;
  for (const known of press) {
    if (!forget(known)) continue;
    mine.push(known.ready.notes);
    for (const landing of known.ready.landings) Max.outlet("place", JSON.stringify(landing));
  }
  if (!mine.length) return;
  Max.outlet("progress", 1);
  say(doneWith(job.title, mine));
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

// Ask for a dataset of the set's audio: JSON as pieces.js has it.
async function dataset(text) {
  const order = learning.order(JSON.parse(text), state.store, newId());
  say(order.said);
  await send([order]);
}

// A dataset is there.
function learned(job, view) {
  forget(job);
  say(learning.told(job, view));
}

// What was sent from the studio page, in a set at a beat and a tempo. While the folder takes no files, it is tried again.
const sent = new Sent(() => state.store.media, (job, view) => settle(() => {
  const list = results.placements(job, view), gone = missing(list);
  if (gone) throw trouble({ code: "result_gone", path: gone.path });
  for (const landing of fetched(job, view, list)) Max.outlet("place", JSON.stringify(landing));
  say(doneWith(job.title, [""]));
}));

// The Live half says where the set plays now, as it was asked.
function place_sent(beat, tempo) {
  sent.place(beat, tempo, newId);
}

// Look for what was sent, once a second. It is asked for its place only while it can be copied into the set's folder.
function lookForSent() {
  try {
    if (sent.waits()) Max.outlet("where");
  } catch (failure) {
    explain(failure);
  }
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
  await menus.fill();
  say("The daemon is running.");
}

// What the user does with a result: `fileName` is the file of the clip that is meant.

function remembered(fileName) {
  const memory = state.store.memory(fileName);
  if (!memory) throw trouble({ code: "no_recipe" });
  return memory;
}

// The daemon's old job once more with new seeds, or, where it forgot that one, what is remembered of it.
async function again(fileName, listenFirst) {
  const memory = remembered(fileName), { pending, operation, params } = recipes.again(memory, newId());
  const instead = { method: "job.submit", params: { operation, params } };
  const rerun = { method: "job.rerun", params: { job: memory.pending.id, vary: true }, instead };
  await send([{ ...rerun, pending: { ...pending, listen: listenFirst === 1 } }]);
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

// Cancel a job, without an id all that the newest key press asked for. What is ready by then is placed.
async function cancel(chosen) {
  const job = state.jobs.get(chosen || [...state.jobs.keys()].pop());
  if (!job) throw trouble({ code: "no_jobs" });
  const meant = (chosen ? [job] : together(job)).filter((known) => !known.ready);
  await Promise.all(meant.map(({ id }) => daemon.call("job.cancel", { id })));
}

async function queue() {
  if (!state.jobs.size) throw trouble({ code: "no_jobs" });
  const views = await Promise.all([...state.jobs.keys()].map((id) => daemon.call("job.status", { id })));
  say(views.map((view) => `${view.operation}: ${view.state}`).join(" | "));
}

const HANDLERS = {
  open, check, look, submit, dataset, place_sent, again, keep, restore, release, page, start_daemon, cancel, queue,
  menu: () => menus.fill(), fields: (name, model) => menus.fields(name, model),
  about: async (name, field, model) => say(await menus.hint(name, field, model)),
};

for (const [name, handler] of Object.entries(HANDLERS)) {
  Max.addHandler(name, async (...words) => {
    try {
      await handler(...words);
    } catch (failure) {
      explain(failure);
    }
  });
}
setInterval(lookForSent, LOOK_MS).unref();
Max.outlet("ready");
