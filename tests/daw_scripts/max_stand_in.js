// A stand-in for Max, Node for Max and LiveAPI in one Node process. It is a fake and says so; nothing here ran inside Live.
// Runs the device's two scripts as the patch connects them, on a set described by the JSON file in argv[3], and follows the commands there:
// {"run": name}, {"param": [..]} and other messages of the form, {"show": take lane whose clip comes into the detail view}, {"wait": text in a
// status}, {"wait_menu": [outlet, entry]} or {"wait_clips": n}. Writes the resulting set as JSON.
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
  song: ["tempo", "signature_numerator", "signature_denominator", "loop", "loop_start", "loop_length", "root_note", "scale_name", "current_song_time",
    "file_path"],
  track: ["name"],
  lane: ["name"],
  slot: ["has_clip"],
  clip: ["is_audio_clip", "is_arrangement_clip", "start_time", "end_time", "start_marker", "end_marker", "looping", "loop_start", "loop_end",
    "warping", "sample_rate", "file_path", "name"],
};
const WRITABLE = { track: ["name"], lane: ["name"], clip: ["name", "warping"], song: [], slot: [] };

const song = thing("song", { ...input.song, tracks: [], view: {} });
function newSlot(clip) {
  return thing("slot", { clip, get has_clip() { return this.clip ? 1 : 0; } });
}
function newTrack(name) {
  const clip_slots = [newSlot(null), newSlot(null)];
  return thing("track", { name, arrangement_clips: [], clip_slots, take_lanes: [], has_lanes: input.take_lanes !== false });
}
for (const track of input.tracks) {
  const made = newTrack(track.name);
  made.arrangement_clips = track.clips.map((clip) => thing("clip", clip));
  if (track.slot) made.clip_slots[0].clip = thing("clip", track.slot);
  song.tracks.push(made);
}
song.view.selected_track = song.tracks[0];
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

  get id() { return this.thing ? String(this.thing.id) : "0"; }

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

  set(name, value) {
    if (!WRITABLE[this.thing.kind].includes(name)) throw new Error(`${this.thing.kind}.${name} cannot be set`);
    this.thing[name] = value;
  }

  getcount(name) { return this.thing[name].length; }

  call(name, ...args) {
    const target = this.thing;
    if (name === "beat_to_sample_time") {
      if (!target.warping) throw new Error("only for warped clips");
      return args[0] * 60 / target.clip_tempo * target.sample_rate;
    }
    if (name === "create_audio_track") { song.tracks.splice(args[0], 0, newTrack("")); return null; }
    if (name === "create_take_lane" && target.has_lanes) { target.take_lanes.push(thing("lane", { name: "", arrangement_clips: [] })); return null; }
    if (name === "create_scene") { for (const track of song.tracks) track.clip_slots.push(newSlot(null)); return null; }
    if (name === "delete_clip" && args[0] === "id") {
      const keep = (clip) => clip.id !== args[1];
      for (const holder of [target, ...target.take_lanes]) holder.arrangement_clips = holder.arrangement_clips.filter(keep);
      return null;
    }
    if (name === "create_audio_clip" && target.kind === "slot") {
      if (target.clip || !path.isAbsolute(args[0]) || args.length !== 1) throw new Error("an empty slot and an absolute path");
      target.clip = thing("clip", { file_path: args[0], warping: 1, name: path.basename(args[0]) });
      return ["id", target.clip.id];
    }
    if (name === "create_audio_clip") {
      const [file, start] = args;
      if (!path.isAbsolute(file) || !(start >= 0)) throw new Error("an absolute path and a time");
      const clip = thing("clip", { file_path: file, start_time: start, warping: 1, name: path.basename(file) });
      target.arrangement_clips.push(clip);
      return ["id", clip.id];
    }
    throw new Error(`no function ${name}`);
  }
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

const live = vm.createContext({
  LiveAPI, JSON, Math, Number, String, Array, Object, autowatch: 1, inlets: 1, outlets: 1,
  outlet: (index, ...words) => {
    if (index === 1) { log.push(["status", words.slice(1).join(" ")]); return; }
    if (index > 1) { log.push([`outlet ${index}`, ...words]); return; }
    const [name, ...rest] = words;
    if (!handlers[name]) throw new Error(`node.script has no handler ${name}`);
    Promise.resolve(handlers[name](...rest)).catch((failure) => log.push(["error", String(failure.message || failure)]));
  },
});
vm.runInContext(fs.readFileSync(path.join(folder, "acestep_live.js"), "utf8"), live);

function toLive(name, ...rest) {
  if (typeof live[name] !== "function") throw new Error(`v8 has no function ${name}`);
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

(async () => {
  for (const command of input.commands) {
    if (command.run) live.run(command.run);
    for (const word of ["param", "choose", "pick", "value", "insert"]) if (command[word] !== undefined) live[word](...[command[word]].flat());
    if (command.show !== undefined) song.view.detail_clip = song.tracks[0].take_lanes[command.show].arrangement_clips[0];
    if (command.wait_menu) await until(() => log.some((entry) => entry[0] === `outlet ${command.wait_menu[0]}` && entry.includes(command.wait_menu[1])), "the menu");
    if (command.wait) await until(() => log.some(([kind, text]) => kind === "status" && text.includes(command.wait)), command.wait);
    if (command.wait_clips) await until(() => clips() >= command.wait_clips, `${command.wait_clips} clips`);
  }
  process.stdout.write(JSON.stringify({ tracks: song.tracks, log }), () => process.exit(0));
})().catch((failure) => { process.stderr.write(String(failure.message)); process.exit(1); });
