// The Live half of the device (v8): what is selected goes to Node, what comes back becomes clips. Live 12.0.5 and later.
autowatch = 0;
inlets = 1;
// 0: to node.script, 1: status text, 2: menu of operations, 3: menu of fields, 4: form, 5: list of results, 6: to the browser, 7: menu of groups,
// 8: choices of the field, 9: what will be sent
outlets = 10;

const tempo = require("tempo.js");
const requests = require("requests.js");
const settings = require("settings.js");
const selection = require("selection.js");
const clips = require("clips.js");
const pieces = require("pieces.js");
const { Recording } = require("recording.js");
const { Settling } = require("settling.js");

const TICK_MS = 100;
const LOOK_MS = 1000; // how often what will be sent is looked at

const texts = {}; // of the form's rows, by parameter
const own = {}; // of the menu of fields, by operation and parameter: what has no row in the form
const listed = []; // the entries of the list of results, oldest first; one with `waits` is not placed yet
let running = []; // the jobs under way, {id, name}: entries of the list below the results
let known = []; // the menu of operations: {name, title}
let faces = {}; // what the rows of the form offer to choose from, by parameter
// The operation, group and field that are chosen in the menus; the groups hold the rows of fields, as Node describes them.
const other = { name: "", source: true, groups: [], group: 0, field: "", described: "" };
let afterEffects = false; // whether what is sent is recorded after the track's effects
let newRate = 48000; // of new parts: Live's own, once Max has told it
let listenFirst = 0; // 1: results wait in the list, to be heard before one is chosen
let recording = null; // the pass that runs
let seen = ""; // the file that Node saw last
const clock = new Task(() => recording.tick());
clock.interval = TICK_MS;
const settling = new Settling((name) => tell({ code: "clip_ends", name }));
const settler = new Task(() => { if (!settling.tick()) settler.cancel(); });
settler.interval = TICK_MS;
const looker = new Task(() => look(other.name));
looker.interval = LOOK_MS;

function say(text) {
  outlet(1, "set", text);
}

function tell(facts) {
  say(requests.sentence(settings.messages, facts));
}

// Node has started (again): tell it where the set lives.
function ready() {
  openSet(new LiveAPI("live_set"));
  outlet(0, "menu");
  looker.repeat();
}

function openSet(song) {
  outlet(0, "open", selection.folder(song), selection.fileName(song));
}

// Max tells the rate at which Live runs.
function rate(samples) {
  if (samples > 0) newRate = samples;
}

function put(values, name, words) {
  if (!words.length || words[0] === "") delete values[name];
  else values[name] = words.join(" ");
}

// A parameter of the form: `param caption warm tape`, `param variants 2`.
function param(name, ...rest) {
  put(texts, name, rest);
}

// What was set in the menu of fields for an operation.
function ownOf(operation) {
  return own[operation] || (own[operation] = {});
}

// Whether a parameter of an operation stands in a row of the form: what its action asks for; without an action, what any asks for.
function hasRow(operation, name) {
  const asking = settings.actions.filter((known) => known.operation === operation);
  return (asking.length ? asking : settings.actions).some((known) => known.ask.includes(name));
}

// The row in which a parameter is typed: the sentence of a song is its description.
const rowNamed = (name) => (name === "query" ? "caption" : name);

// Values from a take back into the form; the place of a take of the arrangement is selected again.
function fill(text) {
  const { operation, values, slot, ...place } = JSON.parse(text);
  for (const name of Object.keys(texts)) { delete texts[name]; outlet(4, name, "set", ""); }
  own[operation] = {};
  for (const [name, value] of Object.entries(values)) setField(operation, name, [Array.isArray(value) ? value.join(", ") : String(value)]);
  showValue();
  if (slot === undefined) selection.select(new LiveAPI("live_set"), place);
}

// A parameter of an operation, into its row where the form has one.
function setField(operation, name, words) {
  if (!hasRow(operation, name)) return put(ownOf(operation), name, words);
  param(rowNamed(name), ...words);
  outlet(4, rowNamed(name), "set", texts[rowNamed(name)] || "");
}

function fillMenu(menu, entries) {
  outlet(menu, "clear");
  for (const entry of entries) outlet(menu, "append", entry);
}

// The menu of operations; the first one is chosen where none is.
function operations(text) {
  known = JSON.parse(text);
  fillMenu(2, known.map((operation) => operation.title));
  if (!other.name && known.length) choose(0);
}

// What the rows of the form are called, and what they offer to choose from.
function rows(text) {
  faces = {};
  for (const { name, label, offers } of JSON.parse(text)) {
    outlet(4, `label_${name}`, "set", label);
    faces[name] = offers;
    if (offers.length) outlet(4, `choices_${name}`, "clear");
    for (const offer of offers) outlet(4, `choices_${name}`, "append", offer);
  }
}

// A choice was picked for a row of the form: the first one is none of them; the others are added to what is there.
function add(name, index) {
  const chosen = index === 0 ? "" : added(texts[name], faces[name][index]);
  param(name, chosen);
  outlet(4, name, "set", chosen);
}

function added(text, choice) {
  const parts = (text || "").split(",").map((part) => part.trim()).filter(Boolean);
  return parts.includes(choice) ? parts.join(", ") : [...parts, choice].join(", ");
}

function choose(index) {
  Object.assign(other, { name: known[index].name, groups: [], group: 0, field: "" });
  askFields();
  look(other.name);
}

// The model that the chosen operation would go to.
function modelOf(operation) {
  return ownOf(operation).model || "default";
}

function askFields() {
  outlet(0, "fields", other.name, modelOf(other.name));
}

// The fields of the chosen operation that have no row in the form, by group; the place in them stays where they have it.
function fields(text) {
  const { operation, source, groups } = JSON.parse(text);
  if (operation !== other.name) return;
  const title = (other.groups[other.group] || {}).title, field = other.field;
  Object.assign(other, { source, groups });
  fillMenu(7, groups.map((found) => found.title));
  if (!groups.length) return;
  const index = Math.max(0, groups.findIndex((found) => found.title === title));
  if (index) outlet(7, "set", index);
  group(index, field);
}

function group(index, field) {
  const { rows: found } = other.groups[index];
  const place = Math.max(0, found.findIndex((row) => row.name === field));
  other.group = index;
  fillMenu(3, found.map((row) => row.label));
  if (place) outlet(3, "set", place);
  other.field = found[place].name;
  showValue();
}

// A field was chosen: its value is shown below the menu, and what it takes in the line above.
function pick(index) {
  other.field = other.groups[other.group].rows[index].name;
  showValue();
  outlet(0, "about", other.name, other.field, modelOf(other.name));
}

function rowOfField() {
  return other.groups.length ? other.groups[other.group].rows.find((row) => row.name === other.field) : undefined;
}

function showValue() {
  const row = rowOfField();
  if (!row) return;
  const text = ownOf(other.name)[other.field] || "";
  outlet(4, "value", "set", text);
  fillMenu(8, row.offers);
  if (row.offers.length) outlet(8, "set", Math.max(0, row.offers.indexOf(text)));
}

function value(...words) {
  if (!other.field) return;
  put(ownOf(other.name), other.field, words);
  if (other.field === "model") askFields(); // each model has its own
  look(other.name);
}

// A choice was picked for the field.
function option(index) {
  const row = rowOfField(), old = ownOf(other.name)[other.field];
  const chosen = row.many ? (index === 0 ? "" : added(old, row.offers[index])) : row.offers[index];
  value(chosen === row.open ? "" : chosen);
  showValue();
}

// What an operation would be asked of, now: shown whenever it is another text.
function look(name) {
  const text = name && !recording ? describe(name) : "";
  if (text === other.described) return;
  other.described = text;
  outlet(9, "set", text);
}

// The action that runs an operation; without one that of presets and plug-ins.
function actionOf(name) {
  const action = settings.actions.find((found) => found.operation === name);
  if (action) return action;
  const needs = other.source ? { needs: "selection", audio: "target" } : { needs: "position", audio: "none" };
  return { ...requests.action(settings.actions, "operation"), ...needs };
}

function describe(name) {
  const song = new LiveAPI("live_set"), wanted = actionOf(name);
  const title = (known.find((operation) => operation.name === name) || { title: name }).title;
  const found = selection.situation(song, wanted, newRate);
  const refused = found.refusal ? { code: found.refusal } : requests.refusal(wanted, found.situation);
  const parts = refused || !found.stretch || wanted.audio !== "target" ? [found] : selection.findAudio(song, found, wanted.outside);
  const wrong = refused || (parts.refusal ? { code: parts.refusal } : null);
  const what = wrong ? requests.sentence(settings.messages, wrong) : requests.summary({ ...selection.facts(song, parts), read: readOf(wanted, found) });
  const also = other.groups.flatMap((one) => one.rows).filter((row) => ownOf(name)[row.name]).map((row) => row.label.split(":")[0]);
  return `${title}: ${what}${also.length && name === other.name ? ` Also set: ${also.join(", ")}.` : ""}`;
}

function readOf(wanted, found) {
  if (wanted.audio === "none") return "Sends no audio.";
  if (wanted.audio === "others") return "Sends the mix without the selected track, recorded in real time.";
  if (afterEffects && found.stretch) return "Sends the track after its effects, recorded in real time.";
  return "Sends the clip's file, with some seconds around it.";
}

function after_effects(on) { afterEffects = on === 1; }

function listen_first(on) { listenFirst = on; }

function passagesFor(song, situation) {
  const get = (name) => selection.get(song, name);
  const segment = { start: 0, bpm: get("tempo"), num: get("signature_numerator"), den: get("signature_denominator") };
  const first = situation.start / situation.rate, last = Math.max(situation.end, situation.start + 1) / situation.rate;
  return tempo.plan([segment], first, last, "refuse").passages;
}

function ask(wanted, operation) {
  look(operation || wanted.operation);
  if (recording) return tell({ code: "stop_first" });
  const song = new LiveAPI("live_set");
  const found = selection.situation(song, wanted, newRate);
  const refused = found.refusal ? { code: found.refusal } : requests.refusal(wanted, found.situation);
  if (refused) return tell(refused);
  openSet(song);
  const extra = { ...found.extra, listen: listenFirst === 1 };
  const more = ownOf(operation || wanted.operation);
  const values = wanted.ask.reduce((found, name) => ({ ...found, [name]: texts[rowNamed(name)] }), { ...texts });
  const asked = { action: wanted.name, operation, situation: found.situation, extra, values, own: more };
  withAudio(song, wanted, found, asked);
}

// Find what is sent: nothing, the clips' own files, or a recording in real time, which begins once Node has found nothing wrong.
function withAudio(song, wanted, found, asked) {
  if (wanted.audio === "none") return submit(song, asked, [asked]);
  if (!found.stretch) return afterEffects ? tell({ code: "session_effects" }) : submit(song, asked, [asked]);
  if (wanted.audio === "target" && !afterEffects) {
    const parts = selection.findAudio(song, found, wanted.outside);
    return parts.refusal ? tell({ code: parts.refusal }) : submit(song, asked, parts);
  }
  if (selection.selectedTracks(song, found.track).length > 1) return tell({ code: "one_track" });
  const only = wanted.audio === "target" ? found.track.id : 0, silent = wanted.audio === "others" ? found.track.id : 0;
  outlet(0, "check", JSON.stringify({ ...asked, stretch: found.stretch, only, silent }));
}

// Ask for all that one key press wants: `parts` are what is sent, {situation, extra} each.
function submit(song, asked, parts) {
  const own = parts.map(({ situation, extra }) => ({ situation, extra: { ...asked.extra, ...extra }, passages: passagesFor(song, situation) }));
  outlet(0, "submit", JSON.stringify({ ...asked, parts: own }));
}

// Node has checked what is asked: record it, then ask.
function record(title, text) {
  if (recording) return tell({ code: "stop_first" });
  const { stretch, only, silent, ...asked } = JSON.parse(text);
  const song = new LiveAPI("live_set");
  const track = (id) => (id ? new LiveAPI(`id ${id}`) : null);
  const over = () => { clock.cancel(); recording = null; };
  say(`${title}: recording in real time`);
  recording = new Recording(song, stretch, track(only), track(silent), isFile);
  const use = (cut) => submit(song, asked, [{ situation: selection.use(asked.situation, song, cut), extra: { ...asked.extra, beat: cut.first } }]);
  if (recording.start((cut) => { over(); use(cut); }, (code) => { over(); tell({ code }); })) clock.repeat();
}

// Whether a file is there: Node can look, and has answered when this is asked again.
function isFile(path) {
  if (path && path !== seen) outlet(0, "look", path);
  return path !== "" && path === seen;
}

function there(path) { seen = path; }

// Max calls this when the device is removed or its set closed: what a recording changed is put back.
function notifydeleted() {
  clock.cancel();
  settler.cancel();
  looker.cancel();
  if (recording) recording.restore();
}

// What is chosen in the menu.
function askOther() {
  if (!other.name) { outlet(0, "menu"); return say("Choose an operation in the menu first."); }
  const action = actionOf(other.name);
  ask(action, action.operation ? "" : other.name);
}

// Something with the clip in the detail view.
function withClip(word) {
  const clip = new LiveAPI("live_set view detail_clip");
  if (!selection.exists(clip)) return tell({ code: "no_recipe" });
  openSet(new LiveAPI("live_set"));
  outlet(0, word, word === "keep" ? JSON.stringify(clips.alternatives(clip)) : clips.fileName(clip), listenFirst);
}

// Make a dataset of the set's audio.
function learn() {
  const song = new LiveAPI("live_set");
  openSet(song);
  outlet(0, "dataset", JSON.stringify(pieces.find(song)));
}

// Something was sent from the studio page, and Node asks where it belongs: at the play position.
function where() {
  const song = new LiveAPI("live_set");
  openSet(song);
  outlet(0, "place_sent", selection.get(song, "current_song_time"), selection.get(song, "tempo"));
}

// Run an action of the shared table.
function run(name) {
  const wanted = requests.action(settings.actions, name);
  if (!wanted || (wanted.hosts.length && !wanted.hosts.includes("ableton"))) return say(`There is no action ${name}.`);
  if (name === "cancel" && recording) return recording.cancel();
  if (name === "cancel" || name === "queue") return outlet(0, name);
  if (name === "dataset") return learn();
  if (wanted.needs === "recipe") return withClip(name === "vary" ? "again" : name);
  if (name === "operation") return askOther();
  ask(wanted, "");
}

// A result from Node becomes a clip, and an entry of the list.
function place(text) {
  const landing = JSON.parse(text);
  if (makeClip(landing)) enter(landing);
}

// Whether Live took a result; its clip is as it should be some ticks later.
function makeClip(landing) {
  const clip = clips.place(landing);
  if (!clip) {
    say(`Live did not accept the clip; drag it in: ${landing.path}`);
    return false;
  }
  settling.add(clip, landing.name, landing.take ? 0 : landing.tempo || 0);
  settler.repeat();
  return true;
}

// A result that is not placed: it waits in the list.
function offer(text) {
  enter({ ...JSON.parse(text), waits: true });
}

function enter(landing) {
  listed.push(landing);
  showList();
}

// The jobs under way, from Node.
function jobs(text) {
  running = JSON.parse(text);
  showList();
}

function showList() {
  outlet(5, "clear");
  for (const landing of listed) outlet(5, "append", landing.waits ? `waiting: ${landing.name}` : landing.name);
  for (const job of running) outlet(5, "append", `cancel: ${job.name}`);
}

// An entry of the list: a job is cancelled, a result placed (once more) where it belongs; the others of its job wait no longer.
function insert(index) {
  const landing = listed[index], job = running[index - listed.length];
  if (job) outlet(0, "cancel", job.id);
  if (landing && makeClip(landing) && landing.waits) release([landing.job]);
}

// Let go of all that waits.
function drop() {
  release(listed.filter((landing) => landing.waits).map((landing) => landing.job));
}

// Results of these jobs wait no longer; they stay in the list.
function release(jobs) {
  for (const landing of listed) if (jobs.includes(landing.job)) landing.waits = false;
  showList();
  outlet(0, "release", ...jobs);
}

function start_daemon() { outlet(0, "start_daemon"); }

// The page on which results are heard and dragged out, in the computer's browser.
function listen() { outlet(0, "page"); }

function browse(address) { outlet(6, address); }

function remove(text) {
  clips.remove(JSON.parse(text));
}

// Messages that Node sends and this half only shows.
function status(...words) { say(words.join(" ")); }
function progress() {}
function connected() {}
