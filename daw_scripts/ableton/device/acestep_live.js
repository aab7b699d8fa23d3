// The Live half of the device (v8): what is selected goes to Node, what comes back becomes clips. Live 12.0.5 and later.
autowatch = 0;
inlets = 1;
// 0: to node.script, 1: status text, 2: menu of operations, 3: menu of fields, 4: form, 5: list of results, 6: to the browser
outlets = 7;

const tempo = require("tempo.js");
const requests = require("requests.js");
const settings = require("settings.js");
const selection = require("selection.js");
const clips = require("clips.js");
const { Recording } = require("recording.js");
const { Settling } = require("settling.js");

const TICK_MS = 100;

const texts = {}; // of the form's rows, by parameter
const own = {}; // of the menu of fields, by operation and parameter: what has no row in the form
const listed = []; // the entries of the list of results, oldest first; one with `waits` is not placed yet
let running = []; // the jobs under way, {id, name}: entries of the list below the results
let other = { name: "", source: true, field: "" }; // the operation and field chosen in the menus
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

// Values from a take back into the form; the place of a take of the arrangement is selected again.
function fill(text) {
  const { operation, values, slot, ...place } = JSON.parse(text);
  for (const name of Object.keys(texts)) { delete texts[name]; outlet(4, name, "set", ""); }
  own[operation] = {};
  for (const [name, value] of Object.entries(values)) setField(operation, name, [String(value)]);
  if (slot === undefined) selection.select(new LiveAPI("live_set"), place);
}

// A parameter of an operation, into its row where the form has one.
function setField(operation, name, words) {
  if (!hasRow(operation, name)) return put(ownOf(operation), name, words);
  param(name, ...words);
  outlet(4, name, "set", texts[name] || "");
}

// The menus of operations, and of the fields of the chosen one.
function operations(...names) {
  outlet(2, "clear");
  for (const name of names) outlet(2, "append", name);
}

function choose(name) {
  other = { name, source: true, field: "" };
  outlet(0, "fields", name);
}

function fields(hasSource, ...names) {
  other.source = hasSource === 1;
  outlet(3, "clear");
  for (const name of names) outlet(3, "append", name);
}

// A field was chosen: its value is shown below the menu, and what it takes in the line above.
function pick(name) {
  other.field = name;
  const known = hasRow(other.name, name) ? texts : ownOf(other.name);
  outlet(4, "value", "set", known[name] || "");
  outlet(0, "about", other.name, name);
}

function value(...words) { if (other.field) setField(other.name, other.field, words); }

function after_effects(on) { afterEffects = on === 1; }

function listen_first(on) { listenFirst = on; }

function wishesFor(song, situation) {
  const get = (name) => selection.get(song, name);
  const segment = { start: 0, bpm: get("tempo"), num: get("signature_numerator"), den: get("signature_denominator") };
  const first = situation.start / situation.rate, last = Math.max(situation.end, situation.start + 1) / situation.rate;
  return tempo.plan([segment], first, last, "refuse").wishes;
}

function ask(wanted, operation) {
  if (recording) return tell({ code: "stop_first" });
  const song = new LiveAPI("live_set");
  const found = selection.situation(song, wanted, newRate);
  const refused = found.refusal ? { code: found.refusal } : requests.refusal(wanted, found.situation);
  if (refused) return tell(refused);
  openSet(song);
  const extra = { ...found.extra, listen: listenFirst === 1 };
  const more = ownOf(operation || wanted.operation);
  const asked = { action: wanted.name, operation, situation: found.situation, extra, values: texts, own: more };
  withAudio(song, wanted, found, asked);
}

// Find what is sent: nothing, the clip's own file, or a recording in real time, which begins once Node has found nothing wrong.
function withAudio(song, wanted, found, asked) {
  if (wanted.audio === "none") return submit(song, asked);
  if (!found.stretch) return afterEffects ? tell({ code: "session_effects" }) : submit(song, asked);
  if (wanted.audio === "target" && !afterEffects) {
    const cut = selection.findAudio(song, found, wanted.outside);
    return cut.refusal ? tell({ code: cut.refusal }) : submit(song, asked, cut);
  }
  const only = wanted.audio === "target" ? found.track.id : 0, silent = wanted.audio === "others" ? found.track.id : 0;
  outlet(0, "check", JSON.stringify({ ...asked, stretch: found.stretch, only, silent }));
}

function submit(song, asked, cut) {
  const situation = cut ? selection.use(asked.situation, song, cut) : asked.situation;
  const extra = cut ? { ...asked.extra, beat: cut.first } : asked.extra;
  outlet(0, "submit", JSON.stringify({ ...asked, situation, extra, wishes: wishesFor(song, situation) }));
}

// Node has checked what is asked: record it, then ask.
function record(title, text) {
  if (recording) return tell({ code: "stop_first" });
  const { stretch, only, silent, ...asked } = JSON.parse(text);
  const song = new LiveAPI("live_set");
  const track = (id) => (id ? new LiveAPI(`id ${id}`) : null);
  const over = () => { clock.cancel(); recording = null; };
  say(`${title}: recording what is heard, in real time`);
  recording = new Recording(song, stretch, track(only), track(silent), isFile);
  if (recording.start((cut) => { over(); submit(song, asked, cut); }, (code) => { over(); tell({ code }); })) clock.repeat();
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
  if (recording) recording.restore();
}

function askOther(wanted) {
  if (!other.name) { outlet(0, "menu"); return say("Choose an operation in the menu first."); }
  const action = settings.actions.find((known) => known.operation === other.name);
  if (action) return ask(action, "");
  ask({ ...wanted, needs: other.source ? "selection" : "position", audio: other.source ? "target" : "none" }, other.name);
}

// Something with the clip in the detail view.
function withClip(word) {
  const clip = new LiveAPI("live_set view detail_clip");
  if (!selection.exists(clip)) return tell({ code: "no_recipe" });
  openSet(new LiveAPI("live_set"));
  outlet(0, word, word === "keep" ? JSON.stringify(clips.alternatives(clip)) : clips.fileName(clip), listenFirst);
}

// Run an action of the shared table.
function run(name) {
  const wanted = requests.action(settings.actions, name);
  if (!wanted || (wanted.hosts.length && !wanted.hosts.includes("ableton"))) return say(`There is no action ${name}.`);
  if (name === "cancel" && recording) return recording.cancel();
  if (name === "cancel" || name === "queue") return outlet(0, name);
  if (wanted.needs === "recipe") return withClip(name === "vary" ? "again" : name);
  if (name === "operation") return askOther(wanted);
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
    say(`Live did not take the clip; drag it in: ${landing.path}`);
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
