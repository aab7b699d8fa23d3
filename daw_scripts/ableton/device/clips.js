// Results as clips in Live: take lanes (12.2), tracks, Session slots; and which clips are ours (v8).

const { get, exists, systemPath, slotOf } = require("selection.js");

// A new audio track at the end; null when Live makes no more.
function newTrack(song, name) {
  const index = song.getcount("tracks");
  song.call("create_audio_track", index);
  const track = new LiveAPI(`live_set tracks ${index}`);
  if (!exists(track)) return null;
  track.set("name", name);
  return track;
}

// The track of a job: the one that has its name at its place, else the first of that name, else null.
function findTrack(song, name, index) {
  const at = (number) => new LiveAPI(`live_set tracks ${number}`);
  if (index >= 0 && index < song.getcount("tracks") && String(get(at(index), "name")) === name) return at(index);
  for (let number = 0; number < song.getcount("tracks"); number++) if (String(get(at(number), "name")) === name) return at(number);
  return null;
}

function newLane(track, name) {
  if (!track.info.includes("create_take_lane")) return null;
  track.call("create_take_lane");
  const lane = new LiveAPI(`${track.unquotedpath} take_lanes ${track.getcount("take_lanes") - 1}`);
  lane.set("name", name);
  return lane;
}

// The first empty slot below a number; a scene is added where there is none.
function freeSlot(song, track, after) {
  for (let index = after + 1; ; index++) {
    if (index >= track.getcount("clip_slots")) song.call("create_scene", -1);
    const slot = new LiveAPI(`${track.unquotedpath} clip_slots ${index}`);
    if (!get(slot, "has_clip")) return slot;
  }
}

// The clip of a result where it belongs, which may not exist; null when Live makes no track for it.
function clipFor(song, landing) {
  const source = findTrack(song, landing.track, landing.track_index);
  if (landing.slot !== undefined && landing.slot >= 0 && source) {
    const track = landing.take ? source : newTrack(song, landing.track_name);
    if (!track) return null;
    const slot = freeSlot(song, track, landing.take ? landing.slot : landing.slot - 1);
    return madeBy(slot.call("create_audio_clip", landing.path), `${slot.unquotedpath} clip`);
  }
  const target = (landing.take && source && newLane(source, landing.name)) || newTrack(song, landing.track_name);
  if (!target) return null;
  const later = (landing.position - landing.first) / landing.rate * get(song, "tempo") / 60;
  const beat = Math.max(0, (landing.beat || 0) + later);
  return madeBy(target.call("create_audio_clip", landing.path, beat), `${target.unquotedpath} arrangement_clips 0`);
}

// What a call made, by its answer, or by its place in a Live that gives none.
function madeBy(answer, path) {
  return new LiveAPI(Array.isArray(answer) ? `id ${answer[1]}` : path);
}

// A new clip where a result belongs; null when Live did not take it.
function place(landing) {
  const clip = clipFor(new LiveAPI("live_set"), landing);
  if (!clip || !exists(clip)) return null;
  clip.set("name", landing.name);
  return clip;
}

function fileName(clip) {
  return systemPath(String(get(clip, "file_path") || "")).split(/[/\\]/).pop();
}

function clipsOf(path) {
  const holder = new LiveAPI(path);
  const count = exists(holder) ? holder.getcount("arrangement_clips") : 0;
  return Array.from({ length: count }, (_, index) => new LiveAPI(`${path} arrangement_clips ${index}`));
}

function clipsInSlots(path) {
  const count = new LiveAPI(path).getcount("clip_slots");
  return Array.from({ length: count }, (_, index) => new LiveAPI(`${path} clip_slots ${index} clip`)).filter(exists);
}

// A clip's file, and the other clips of the selected track, its lanes and its slots with theirs.
function alternatives(chosen) {
  const base = "live_set view selected_track";
  const track = new LiveAPI(base);
  const lanes = track.info.includes("create_take_lane") ? track.getcount("take_lanes") : 0;
  const paths = [base, ...Array.from({ length: lanes }, (_, index) => `${base} take_lanes ${index}`)];
  const others = [...paths.flatMap(clipsOf), ...clipsInSlots(base)].filter((clip) => clip.id !== chosen.id);
  return { file: fileName(chosen), others: others.map((clip) => ({ id: clip.id, file: fileName(clip) })) };
}

// Delete clips of the selected track by their ids.
function remove(ids) {
  const track = new LiveAPI("live_set view selected_track");
  for (const id of ids) {
    const slot = slotOf(new LiveAPI(`id ${id}`));
    if (slot < 0) track.call("delete_clip", "id", Number(id));
    else new LiveAPI(`live_set view selected_track clip_slots ${slot}`).call("delete_clip");
  }
}

module.exports = { newTrack, place, fileName, clipsOf, clipsInSlots, alternatives, remove };
