// A stand-in for Max, Node for Max and LiveAPI in one Node process. It is a fake and says so; nothing here ran inside Live.
// Runs the device's two scripts as the patch connects them, on a set described by the JSON file in argv[3], and follows the commands there:
// {"run": name}, {"param": [..]} and other messages of the form, {"show": take lane} or {"show_slot": slot} (its clip comes into the detail view),
// {"play": {beats, file}} (Live runs on, and what is armed records that file), {"song": {..}} (the user changes the set), {"remove": "device" or
// a track's name}, {"read_only": folder} ("": none), {"delete": folder}, {"wait": text in a status}, {"wait_menu": [outlet, entry]}, {"choose"|"pick": entry of that menu},
// {"wait_page": 1}, {"wait_settled": 1} (no Task runs), {"wait_clips": n}, {"wait_empty": folder}, {"wait_gone": file} or {"wait_refused": n} (writes in that folder). Writes the resulting set as JSON.
"use strict";

const fs = require("fs");
const path = require("path");
const vm = require("vm");
const Module = require("module");

const folder = process.argv[2];
const input = JSON.parse(fs.readFileSync(process.argv[3], "utf8"));
const log = [];

// -- the Live object model: a tree of plain objects, addressed by LiveAPI paths and ids

let nextId = 1;
const byId = new Map();

function thing(kind, fields) {
  const made = Object.defineProperties({ id: nextId++, kind }, Object.getOwnPropertyDescriptors(fields));
  byId.set(made.id, made);
  return made;
}

const PROPERTIES = {
  song: ["tempo", "signature_numerator", "signature_denominator", "loop", "loop_start", "loop_length", "root_note", "scale_mode", "scale_name", "current_song_time",
    "file_path", "is_playing", "record_mode"],
  view: [], master: ["name"],
  track: ["name", "mute", "arm", "can_be_armed", "is_part_of_selection", "current_monitoring_state", "available_input_routing_types", "available_input_routing_channels",
    "input_routing_type", "input_routing_channel"],
  lane: ["name"],
  slot: ["has_clip"],
  clip: ["is_audio_clip", "is_arrangement_clip", "start_time", "end_time", "start_marker", "end_marker", "looping", "loop_start", "loop_end",
    "warping", "warp_markers", "sample_rate", "sample_length", "file_path", "name", "is_recording"],
};
const WRITABLE = {
  song: ["loop", "loop_start", "loop_length", "current_song_time", "record_mode"], view: ["selected_track"], lane: ["name"], slot: [], master: [],
  clip: ["name", "warping", "warp_mode", "start_marker", "end_marker", "loop_start", "loop_end"],
  track: ["name", "mute", "arm", "current_monitoring_state", "input_routing_type", "input_routing_channel"],
};

// A switch that Live throws a little after it was asked: read once more, it has its old value still.
function late(value) {
  let shown = value, asked = value;
  return { get() { const seen = shown; shown = asked; return seen; }, set(next) { asked = Number(next); }, enumerable: true };
}

const recorded = []; // what each pass heard: its input, and the muted tracks
const song = thing("song", { is_playing: 0, ...input.song, tracks: [], view: thing("view", {}), master_track: thing("master", { name: "Main" }) });
for (const name of ["is_playing", "record_mode"]) Object.defineProperty(song, name, late(Number(song[name] || 0)));
function newSlot(clip) {
  return thing("slot", { clip, get has_clip() { return this.clip ? 1 : 0; } });
}

const INPUTS = input.inputs || ["Ext. In", "Resampling"];
const routes = (names) => names.map((display_name, index) => ({ display_name, identifier: index + 1 }));
const routing = (name, value) => JSON.stringify({ [name]: value });

function newTrack(name) {
  const clip_slots = [newSlot(null), newSlot(null)];
  return thing("track", {
    name, arrangement_clips: [], clip_slots, take_lanes: [], has_lanes: input.take_lanes !== false, mute: 0, arm: 0, can_be_armed: 1, is_part_of_selection: 0,
    current_monitoring_state: 1, input_routing_type: routing("input_routing_type", routes(INPUTS)[0]),
    input_routing_channel: routing("input_routing_channel", { display_name: "1/2", identifier: 1 }),
    get available_input_routing_types() {
      const names = song.tracks.filter((track) => track !== this).map((track) => track.name);
      return routing("available_input_routing_types", routes([...INPUTS, ...names]));
    },
    get available_input_routing_channels() { return routing("available_input_routing_channels", routes(["Pre FX", "Post FX", "Post Mixer"])); },
  });
}
for (const track of input.tracks) {
  const made = Object.assign(newTrack(track.name), { mute: track.mute || 0, arm: track.arm || 0, is_part_of_selection: track.selected || 0 });
  made.arrangement_clips = track.clips.map((clip) => thing("clip", clip));
  if (track.slot) made.clip_slots[0].clip = thing("clip", track.slot);
  song.tracks.push(made);
}
song.view.selected_track = input.select_master ? song.master_track : song.tracks[input.selected || 0];
song.view.detail_clip = input.detail_slot ? song.tracks[0].clip_slots[0].clip : null;

function find(words) {
  let here = null;
  const rest = words.slice();
  if (rest[0] === "id") return byId.get(Number(rest[1])) || null;
  if (rest.shift() !== "live_set") return null;
  here = song;
  while (rest.length && here) {
    const word = rest.shift();
    if (word === "view") here = here.view;
    else if (Array.isArray(here[word])) here = here[word][Number(rest.shift())] || null;
    else here = here[word] || null;
  }
  return here;
}

class LiveAPI {
  constructor(where) {
    if (typeof where !== "string") throw new TypeError("a path");
    this.path = where;
    this.thing = find(where.split(" "));
  }

  get id() { return this.thing && byId.has(this.thing.id) ? String(this.thing.id) : "0"; }

  get unquotedpath() {
    for (const [index, track] of song.tracks.entries()) {
      if (track === this.thing) return `live_set tracks ${index}`;
      for (const [lane, found] of track.take_lanes.entries()) if (found === this.thing) return `live_set tracks ${index} take_lanes ${lane}`;
      for (const [slot, found] of track.clip_slots.entries()) if (found === this.thing) return `live_set tracks ${index} clip_slots ${slot}`;
    }
    return this.path;
  }

  get info() { return this.thing && this.thing.has_lanes ? "function create_take_lane\nfunction create_audio_clip" : "function create_audio_clip"; }

  get(name) {
    if (!PROPERTIES[this.thing.kind].includes(name)) throw new Error(`${this.thing.kind} has no ${name}`);
    return [this.thing[name]];
  }

  set(name, value, id) {
    if (!WRITABLE[this.thing.kind].includes(name)) throw new Error(`${this.thing.kind}.${name} cannot be set`);
    if (name === "selected_track") {
      if (value !== "id" || !byId.has(id)) throw new Error("id and the number of a track");
      this.thing[name] = byId.get(id);
    } else if (name.includes("routing")) this.route(name, JSON.parse(value)[name]);
    else if (isPossible(this.thing, name, value)) this.thing[name] = value;
  }

  // Live takes no routing but those it offers.
  route(name, wanted) {
    const offered = JSON.parse(this.thing[`available_${name}s`])[`available_${name}s`];
    const found = offered.find((known) => known.identifier === wanted.identifier);
    if (found) this.thing[name] = routing(name, found);
  }

  getcount(name) { return this.thing[name].length; }

  call(name, ...args) {
    const target = this.thing;
    if (name === "beat_to_sample_time") {
      if (!target.warping) throw new Error("only for warped clips");
      return args[0] * 60 / target.clip_tempo * target.sample_rate;
    }
    if (name === "remove_warp_marker") {
      if (target.markers.length > 1) target.markers = target.markers.filter((marker) => marker.beat_time !== args[0]);
      return null;
    }
    if (name === "add_warp_marker") {
      const { sample_time, beat_time, ...other } = args[0];
      if (Object.keys(other).length || !(sample_time >= 0) || !(beat_time >= 0)) throw new Error("seconds of the file, and beats");
      if (!input.no_markers && target.markers.every((marker) => marker.beat_time !== beat_time)) target.markers.push({ sample_time, beat_time });
      return null;
    }
    if (name === "create_audio_track" && target === song) return createTrack(args[0]);
    if (name === "delete_track" && target === song) return deleteTrack(song.tracks[args[0]]);
    if (name === "continue_playing" && target === song) { song.is_playing = 1; return null; }
    if (name === "stop_playing" && target === song) { song.is_playing = 0; return null; }
    if (name === "create_take_lane" && target.has_lanes) { target.take_lanes.push(thing("lane", { name: "", arrangement_clips: [] })); return null; }
    if (name === "create_scene") { for (const track of song.tracks) track.clip_slots.push(newSlot(null)); return null; }
    if (name === "delete_clip" && target.kind === "slot") { target.clip = null; return null; }
    if (name === "delete_clip" && args[0] === "id") {
      const keep = (clip) => clip.id !== args[1];
      for (const holder of [target, ...target.take_lanes]) holder.arrangement_clips = holder.arrangement_clips.filter(keep);
      return null;
    }
    if (name === "create_audio_clip" && target.kind === "slot") {
      if (target.clip || !path.isAbsolute(args[0]) || args.length !== 1) throw new Error("an empty slot and an absolute path");
      target.clip = newClip(args[0], 0);
      return ["id", target.clip.id];
    }
    if (name === "create_audio_clip") {
      const [file, start] = args;
      if (!path.isAbsolute(file) || !(start >= 0)) throw new Error("an absolute path and a time");
      const clip = newClip(file, start);
      target.arrangement_clips.push(clip);
      return ["id", clip.id];
    }
    throw new Error(`no function ${name}`);
  }
}

// Live leaves a marker where it is when the clip would have no length.
function isPossible(clip, name, value) {
  const other = { start_marker: "end_marker", end_marker: "start_marker", loop_start: "loop_end", loop_end: "loop_start" }[name];
  if (clip.kind !== "clip" || !other) return true;
  if (input.fixed_markers) return false;
  return name.includes("start") ? value < clip[other] : value > clip[other];
}

// A clip's warping, which Live switches some time after it was asked: its markers keep the numbers of the whole clip then, whatever was
// set in between, and count in another unit.
function switchLater(clip, wanted) {
  setTimeout(() => {
    if (clip.warped === wanted) return;
    const length = clip.sample_length / clip.sample_rate;
    Object.assign(clip, { warped: wanted }, ends(wanted ? length : length * clip.clip_tempo / 60));
  }, SWITCH_MS);
}

const SWITCH_MS = 12; // longer than a tick of the device here
const ends = (end) => ({ end_marker: end, loop_end: end });

// A clip of a WAV file, taken for a tempo; from the second marker on, the two last ones say its tempo.
function newClip(file, start) {
  const bytes = fs.readFileSync(file), at = (name) => bytes.indexOf(name, 12, "latin1") + 8;
  const sample_rate = bytes.readUInt32LE(at("fmt ") + 4), sample_length = bytes.readUInt32LE(at("data") - 4) / bytes.readUInt16LE(at("fmt ") + 12);
  const autoWarped = (input.auto_warp_start || 0) * (input.taken_for || song.tempo) / 60;
  return thing("clip", {
    file_path: file, start_time: start, warped: 1, warp_mode: 4, name: path.basename(file), sample_rate, sample_length, looping: 0,
    get warping() { return this.warped; },
    set warping(wanted) { switchLater(this, wanted); },
    start_marker: autoWarped, loop_start: autoWarped, ...ends(sample_length / sample_rate * (input.taken_for || song.tempo) / 60),
    markers: [{ sample_time: 0, beat_time: 0 }],
    get clip_tempo() {
      const [last, before] = [...this.markers].reverse();
      return before ? (last.beat_time - before.beat_time) / (last.sample_time - before.sample_time) * 60 : input.taken_for || song.tempo;
    },
    get warp_markers() {
      const last = this.markers[this.markers.length - 1], own = { sample_time: last.sample_time + 60 / this.clip_tempo / 64, beat_time: last.beat_time + 1 / 64 };
      return JSON.stringify({ warp_markers: [...this.markers, own] });
    },
  });
}

// A new track is selected, as in Live; one too many is not made.
function createTrack(index) {
  if (song.tracks.length >= (input.most_tracks || 100)) return null;
  song.tracks.splice(index, 0, newTrack(""));
  song.view.selected_track = song.tracks[index];
  return null;
}

function deleteTrack(track) {
  if (!song.tracks.includes(track)) throw new Error("no such track");
  song.tracks.splice(song.tracks.indexOf(track), 1);
  for (const gone of [track, ...track.arrangement_clips]) byId.delete(gone.id);
  if (song.view.selected_track === track) song.view.selected_track = song.tracks[0];
  return null;
}

// Live plays for some beats; an armed track records a file.
function play({ beats, file }) {
  const start = song.current_song_time;
  song.current_song_time += beats;
  for (const track of song.tracks.filter((known) => song.record_mode && known.arm)) {
    const channel = JSON.parse(track.input_routing_channel).input_routing_channel.display_name;
    const heard = JSON.parse(track.input_routing_type).input_routing_type.display_name;
    recorded.push([heard === "Resampling" ? heard : `${heard} ${channel}`, song.tracks.filter((known) => known.mute).map((known) => known.name)]);
    track.arrangement_clips.push(thing("clip", {
      is_audio_clip: 1, is_arrangement_clip: 1, start_time: start, end_time: start + beats, start_marker: 0, looping: 0, loop_end: beats, warping: 1,
      sample_rate: 48000, file_path: file, name: "recorded", clip_tempo: song.tempo, get is_recording() { return song.record_mode; },
    }));
  }
}

// -- the disk: a folder that takes no files, for the user who runs the tests may be one who writes anywhere

let readOnly = "";
let refused = 0;
for (const [name, position] of [["writeFileSync", 0], ["renameSync", 1], ["copyFileSync", 1], ["unlinkSync", 0], ["accessSync", 0]]) {
  const real = fs[name];
  fs[name] = (...args) => {
    if (!readOnly || !`${path.resolve(args[position])}${path.sep}`.startsWith(readOnly + path.sep)) return real(...args);
    refused++;
    throw Object.assign(new Error(`EROFS: read-only file system, ${name}`), { code: "EROFS" });
  };
}

// -- Node for Max

const handlers = {};
const maxApi = {
  POST_LEVELS: {}, MESSAGE_TYPES: {}, is_a_fake: true,
  addHandlers: (more) => Object.assign(handlers, more),
  addHandler: (name, handler) => { handlers[name] = handler; },
  post: async (...words) => log.push(["post", ...words]),
  outlet: async (name, ...rest) => toLive(name, ...rest),
};
const load = Module._load;
Module._load = (name, ...rest) => (name === "max-api" ? maxApi : load(name, ...rest));

// -- v8

// Max's Task; its interval is shortened, because nothing here plays in real time.
class Task {
  constructor(work) { Object.assign(this, { work, interval: 500 }); }

  repeat() {
    this.cancel();
    if (this.interval < WATCHES_MS) running.add(this);
    this.timer = setInterval(() => { try { this.work(); } catch (failure) { log.push(["error", `task: ${failure.message}`]); } }, this.interval / 20);
  }

  cancel() {
    clearInterval(this.timer);
    running.delete(this);
  }
}
const running = new Set(); // the Tasks that repeat, but for those that only watch
const WATCHES_MS = 1000;

const live = vm.createContext({
  LiveAPI, Task, JSON, Math, Number, String, Array, Object, autowatch: 1, inlets: 1, outlets: 1,
  outlet: (index, ...words) => {
    if (index === 1) { log.push(["status", words.slice(1).join(" ")]); return; }
    if (words[0] === "append" && /^[-(]/.test(words[1])) throw new Error(`a menu shows no entry ${words[1]} that can be chosen`);
    if (index > 1) { log.push([`outlet ${index}`, ...words]); return; }
    const [name, ...rest] = words;
    if (!handlers[name]) throw new Error(`node.script has no handler ${name}`);
    Promise.resolve(handlers[name](...rest)).catch((failure) => log.push(["error", String(failure.message || failure)]));
  },
});
vm.runInContext(fs.readFileSync(path.join(folder, "acestep_live.js"), "utf8"), live);

function toLive(name, ...rest) {
  if (typeof live[name] !== "function") throw new Error(`v8 has no function ${name}`);
  if (name === "fields") log.push(["fields of", JSON.parse(rest[0]).operation]);
  try { live[name](...rest); } catch (failure) { log.push(["error", `${name}: ${failure.message}`]); }
}

require(path.join(folder, "acestep_node.js"));

function clips() {
  return song.tracks.flatMap((track) => [track.arrangement_clips, ...track.take_lanes.map((lane) => lane.arrangement_clips)].flat()).length;
}

function until(condition, what) {
  return new Promise((resolve, reject) => {
    const end = Date.now() + 15000;
    (function look() {
      if (condition()) return resolve();
      if (Date.now() > end) return reject(new Error(`${what} did not happen: ${JSON.stringify(log)}`));
      setTimeout(look, 10);
    })();
  });
}

// The number of an entry that a menu shows now.
function entry(outlet, text) {
  let shown = [];
  for (const [, word, name] of log.filter(([kind]) => kind === `outlet ${outlet}`)) shown = word === "clear" ? [] : [...shown, name];
  if (!shown.includes(text)) throw new Error(`no ${text} among ${shown}`);
  return shown.indexOf(text);
}

const FORM = ["param", "add", "group", "option", "value", "insert", "after_effects", "listen_first", "listen", "drop", "rate", "start_daemon"]; // messages of the device's face, sent as they come

(async () => {
  for (const command of input.commands) {
    if (command.run) live.run(command.run);
    for (const word of FORM) if (command[word] !== undefined) live[word](...[command[word]].flat());
    for (const [word, outlet] of [["choose", 2], ["pick", 3]]) if (command[word] !== undefined) live[word](entry(outlet, command[word]));
    if (command.show !== undefined) song.view.detail_clip = song.tracks[0].take_lanes[command.show].arrangement_clips[0];
    if (command.show_slot !== undefined) song.view.detail_clip = song.tracks[0].clip_slots[command.show_slot].clip;
    if (command.play) { await until(() => song.is_playing && song.record_mode, "recording"); play(command.play); }
    if (command.delete) fs.rmSync(command.delete, { recursive: true });
    if (command.read_only !== undefined) readOnly = command.read_only;
    if (command.song) Object.assign(song, command.song);
    if (command.remove === "device") live.notifydeleted();
    else if (command.remove) deleteTrack(song.tracks.find((track) => track.name === command.remove));
    if (command.wait_menu) await until(() => log.some((entry) => entry[0] === `outlet ${command.wait_menu[0]}` && entry.includes(command.wait_menu[1])), "the menu");
    if (command.wait_fields) await until(() => log.some(([kind, name]) => kind === "fields of" && name === command.wait_fields), "fields");
    if (command.wait_line) await until(() => log.some(([kind, , text]) => kind === "outlet 9" && text.includes(command.wait_line)), command.wait_line);
    if (command.wait_page) await until(() => log.some(([kind]) => kind === "outlet 6"), "a page");
    if (command.wait) await until(() => log.some(([kind, text]) => kind === "status" && text.includes(command.wait)), command.wait);
    if (command.wait_refused) await until(() => refused >= command.wait_refused, `${command.wait_refused} refused writes`);
    if (command.wait_empty) await until(() => !fs.readdirSync(command.wait_empty).length, `${command.wait_empty} empty`);
    if (command.wait_gone) await until(() => !fs.existsSync(command.wait_gone), `${command.wait_gone} gone`);
    if (command.wait_settled) await until(() => !running.size, "clips that are as they should be");
    if (command.wait_clips) await until(() => clips() >= command.wait_clips, `${command.wait_clips} clips`);
  }
  const settled = (name) => [song[name], song[name]][1]; // the first look may show the old value
  const { loop, loop_start, loop_length, current_song_time } = song;
  const transport = { is_playing: settled("is_playing"), record_mode: settled("record_mode") };
  const left = { loop, loop_start, loop_length, current_song_time, ...transport, selected: song.view.selected_track.name };
  process.stdout.write(JSON.stringify({ tracks: song.tracks, log, recorded, song: left }), () => process.exit(0));
})().catch((failure) => { process.stderr.write(String(failure.message)); process.exit(1); });
