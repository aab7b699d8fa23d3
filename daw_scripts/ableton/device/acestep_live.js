// The Live half of the device (v8): what is selected goes to Node, what comes back becomes clips. Live 12.0.5 and later.
autowatch = 0;
inlets = 1;
outlets = 2; // 0: to node.script, 1: status text

const tempo = require("tempo.js");
const placement = require("placement.js");
const requests = require("requests.js");
const settings = require("settings.js");

const RATE = 48000; // of new parts: Live does not tell scripts its own
const STRAIGHT = 0.001;
const NOTES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];

const values = {}; // of the form, by parameter

const one = (found) => (Array.isArray(found) ? found[0] : found);
const get = (api, name) => one(api.get(name));
const exists = (api) => Number(api.id) !== 0;

function say(text) {
  outlet(1, "set", text);
}

function tell(facts) {
  say(requests.sentence(settings.messages, facts));
}

function secondsOf(song, beats) {
  return beats * 60 / get(song, "tempo");
}

function samplesOf(song, beats, rate) {
  return placement.samples(secondsOf(song, beats), rate);
}

// The key as the model knows keys; empty for other scales.
function keyOf(song) {
  const scale = String(get(song, "scale_name")).toLowerCase();
  return scale === "major" || scale === "minor" ? `${NOTES[get(song, "root_note")]} ${scale}` : "";
}

// The selected stretch in beats: the loop brace where it is on, else the clip in the detail view.
function region(song) {
  if (get(song, "loop")) {
    const start = get(song, "loop_start");
    return [start, start + get(song, "loop_length")];
  }
  const clip = new LiveAPI("live_set view detail_clip");
  if (exists(clip) && get(clip, "is_arrangement_clip")) return [get(clip, "start_time"), get(clip, "end_time")];
  return null;
}

// The arrangement clip of the selected track that covers most of a stretch.
function clipAt(start, end) {
  const track = new LiveAPI("live_set view selected_track");
  let best = null, most = 0;
  for (let index = 0; index < track.getcount("arrangement_clips"); index++) {
    const clip = new LiveAPI(`live_set view selected_track arrangement_clips ${index}`);
    const shared = Math.min(end, get(clip, "end_time")) - Math.max(start, get(clip, "start_time"));
    if (shared > most) { best = clip; most = shared; }
  }
  return best;
}

// macOS paths in Max begin with the volume's name; the daemon wants them as the system writes them.
function systemPath(text) {
  const found = /^[^/\\]+:(\/.*)$/.exec(text);
  return found && text[1] !== ":" ? found[1] : text;
}

// A stretch of the arrangement inside the clip's own file, or {refusal: code}.
function fileRegion(song, clip, start, end) {
  if (!get(clip, "is_audio_clip")) return { refusal: "midi_only" };
  const first = Math.max(start, get(clip, "start_time")), last = Math.min(end, get(clip, "end_time"));
  const rate = get(clip, "sample_rate"), marker = get(clip, "start_marker");
  const inside = [first - get(clip, "start_time"), last - get(clip, "start_time")];
  let cut;
  if (get(clip, "warping")) {
    if (get(clip, "looping") && marker + inside[1] > get(clip, "loop_end")) return { refusal: "warped" };
    cut = inside.map((beat) => Math.floor(one(clip.call("beat_to_sample_time", marker + beat)) + 0.5));
    const straight = secondsOf(song, last - first) * rate;
    if (Math.abs(cut[1] - cut[0] - straight) > Math.max(1, STRAIGHT * straight)) return { refusal: "warped" };
  } else {
    cut = inside.map((beat) => placement.samples(marker + secondsOf(song, beat), rate));
  }
  return { path: systemPath(String(get(clip, "file_path"))), rate, start: cut[0], end: cut[1], first, last };
}

// What the action needs, ready for Node; null when something was refused (and said).
function situationOf(song, wanted) {
  const situation = { saved: true, rate: RATE, key: keyOf(song) };
  let found = region(song);
  if (!found && wanted.needs === "position") { const at = get(song, "current_song_time"); found = [at, at]; }
  if (!found) return situation;
  situation.start = samplesOf(song, found[0], RATE);
  situation.end = samplesOf(song, found[1], RATE);
  situation.track = String(new LiveAPI("live_set view selected_track").id);
  if (wanted.audio === "none" || found[1] <= found[0]) return situation;
  const clip = clipAt(found[0], found[1]);
  if (!clip) { tell({ code: "nothing_there" }); return null; }
  const cut = fileRegion(song, clip, found[0], found[1]);
  if (cut.refusal) { tell({ code: cut.refusal }); return null; }
  situation.rate = cut.rate;
  situation.start = samplesOf(song, cut.first, cut.rate);
  situation.end = samplesOf(song, cut.last, cut.rate);
  situation.source = { path: cut.path, rate: cut.rate, start: cut.start, end: cut.end, origin: situation.start - cut.start };
  return situation;
}

// A parameter of the form: `param caption warm tape`, `param variants 2`.
function param(name, ...rest) {
  if (!rest.length || rest[0] === "") { delete values[name]; return; }
  values[name] = rest.length === 1 && typeof rest[0] === "number" ? rest[0] : rest.join(" ");
}

// Run an action of the shared table.
function run(name) {
  const wanted = requests.action(settings.actions, name);
  if (!wanted) return say(`There is no action ${name}.`);
  if (name === "cancel") return outlet(0, "cancel");
  if (wanted.kind !== "submit" || !wanted.operation) return say(`${wanted.title}: not in Live; use the daemon's command line.`);
  if (wanted.audio === "others" || wanted.audio === "heard") return tell({ code: "mix" });
  const song = new LiveAPI("live_set");
  const situation = situationOf(song, wanted);
  if (!situation) return;
  const refused = requests.refusal(wanted, situation);
  if (refused) return tell(refused);
  const segment = { start: 0, bpm: get(song, "tempo"), num: get(song, "signature_numerator"), den: get(song, "signature_denominator") };
  const first = situation.start / situation.rate, last = Math.max(situation.end, situation.start + 1) / situation.rate;
  const { wishes } = tempo.plan([segment], first, last, "refuse");
  const asked = {};
  for (const key of Object.keys(values)) {
    if (wanted.ask.includes(key) || key === wanted.each) asked[key] = key === wanted.each ? String(values[key]).split(/[\s,]+/) : values[key];
  }
  outlet(0, "submit", JSON.stringify({ action: name, situation, wishes, values: asked }));
}

function newTrack(song, name) {
  const index = song.getcount("tracks");
  song.call("create_audio_track", index);
  const track = new LiveAPI(`live_set tracks ${index}`);
  track.set("name", name);
  return track;
}

// A result from Node: a clip in a take lane (Live 12.2), or on a new track.
function place(text) {
  const landing = JSON.parse(text);
  const song = new LiveAPI("live_set");
  const beat = Math.max(0, landing.position / landing.rate * get(song, "tempo") / 60);
  let target = landing.take && landing.track ? new LiveAPI(`id ${landing.track}`) : null;
  if (target && exists(target) && target.info.includes("create_take_lane")) {
    target.call("create_take_lane");
    target = new LiveAPI(`${target.unquotedpath} take_lanes ${target.getcount("take_lanes") - 1}`);
    target.set("name", landing.name);
  } else {
    target = newTrack(song, landing.track_name);
  }
  const made = target.call("create_audio_clip", landing.path, beat);
  const clip = new LiveAPI(Array.isArray(made) ? `id ${made[1]}` : `${target.unquotedpath} arrangement_clips 0`);
  if (!exists(clip)) return say(`Live did not take the clip; drag it in: ${landing.path}`);
  clip.set("warping", 0); // exact: warping would resample it
  clip.set("name", landing.name);
}

// Messages that Node sends and this half only shows.
function status(...words) { say(words.join(" ")); }
function progress() {}
function connected() {}
