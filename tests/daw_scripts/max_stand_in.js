// A stand-in for Max, Node for Max and LiveAPI in one Node process. It is a fake and says so; nothing here ran inside Live.
// Runs the device's two scripts as the patch connects them, on a set described by the JSON file in argv[3], and follows the commands there:
// {"run": name}, {"param": [..]}, {"wait": text in a status} or {"wait_clips": n}. Writes the resulting set as JSON.
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
  const made = { id: nextId++, kind, ...fields };
  byId.set(made.id, made);
  return made;
}

const PROPERTIES = {
  song: ["tempo", "signature_numerator", "signature_denominator", "loop", "loop_start", "loop_length", "root_note", "scale_name", "current_song_time"],
  track: ["name"],
  lane: ["name"],
  clip: ["is_audio_clip", "is_arrangement_clip", "start_time", "end_time", "start_marker", "looping", "loop_end", "warping", "sample_rate", "file_path", "name"],
};
const WRITABLE = { track: ["name"], lane: ["name"], clip: ["name", "warping"], song: [] };

const song = thing("song", { ...input.song, tracks: [], view: {} });
function newTrack(name) {
  return thing("track", { name, arrangement_clips: [], take_lanes: [], has_lanes: input.take_lanes !== false });
}
for (const track of input.tracks) {
  const made = newTrack(track.name);
  made.arrangement_clips = track.clips.map((clip) => thing("clip", clip));
  song.tracks.push(made);
}
song.view.selected_track = song.tracks[0];
song.view.detail_clip = null;

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
  module: { exports: {} },
  require: (name) => require(path.join(folder, name)),
  outlet: (index, ...words) => {
    if (index === 1) { log.push(["status", words.slice(1).join(" ")]); return; }
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
    if (command.param) live.param(...command.param);
    if (command.wait) await until(() => log.some(([kind, text]) => kind === "status" && text.includes(command.wait)), command.wait);
    if (command.wait_clips) await until(() => clips() >= command.wait_clips, `${command.wait_clips} clips`);
  }
  process.stdout.write(JSON.stringify({ tracks: song.tracks, log }), () => process.exit(0));
})().catch((failure) => { process.stderr.write(String(failure.message)); process.exit(1); });
