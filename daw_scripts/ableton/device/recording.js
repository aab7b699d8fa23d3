// What Live gives scripts no other way: the sound after effects, or the mix without a track, recorded in one pass in real time (v8).
// The control surface does the same in the same steps: remote_script/AceStepBridge/recording.py.

const { get, exists, clipAt, fileRegion, indexOf, systemPath } = require("selection.js");
const { newTrack } = require("clips.js");

const TRACK = "ACE-Step records"; // the track for the moment
const MONITOR_OFF = 2;
const LATE_BEATS = 0.25; // recorded past the end, because ticks come ten times a second
const PATIENCE_TICKS = 50; // to wait for Live to do what it was asked: to arm, to start, to write the recorded file

// Something the user has to change first; the code is the sentence's.
class Refused extends Error {
  constructor(code) { super(code); this.code = code; }
}

// The value of a routing property: Live gives and takes them as JSON under their own name.
function routing(track, property) {
  return JSON.parse(get(track, property))[property];
}

function route(track, property, wanted) {
  const found = routing(track, `available_${property}s`).filter((known) => known.display_name === wanted);
  if (found.length !== 1) throw new Refused(found.length ? "same_name" : "no_resampling");
  track.set(property, JSON.stringify({ [property]: found[0] }));
  if (routing(track, property).display_name !== wanted) throw new Refused("no_resampling");
}

// Route a track's input: to another track after its effects, or (null) to all that is heard.
function listenTo(track, source) {
  route(track, "input_routing_type", source ? String(get(source, "name")) : "Resampling");
  if (source) route(track, "input_routing_channel", "Post FX");
  track.set("current_monitoring_state", MONITOR_OFF);
}

// One pass over a stretch of the arrangement (two beats), onto a track for the moment. Everything it changes is put back.
// `source` is the track whose sound after effects is wanted; null records what is heard. `silent` is muted meanwhile.
// `isFile(path)` says whether a file is there by now; `done(cut)` gets the stretch in it (see fileRegion), `failed(code)` why there is none.
class Recording {
  constructor(song, stretch, source, silent, isFile) {
    [this.first, this.last] = stretch;
    Object.assign(this, { song, source, silent, isFile, track: null, steps: null });
  }

  // Make the track and arm it. False when that is not possible; `failed` has said why.
  start(done, failed) {
    if (get(this.song, "is_playing") || get(this.song, "record_mode")) {
      failed("stop_first");
      return false;
    }
    Object.assign(this, { done, failed });
    this.remember();
    try {
      this.prepare();
    } catch (failure) {
      this.giveUp(failure);
      return false;
    }
    this.steps = this.run();
    return true;
  }

  // Do what is next, ten times a second; `done` or `failed` is told at the end.
  tick() {
    let step;
    try {
      step = this.steps.next();
    } catch (failure) {
      return this.giveUp(failure);
    }
    if (step.done) this.end(this.done, step.value);
  }

  // Break the pass off.
  cancel() {
    this.end(this.failed, "nothing_recorded");
  }

  giveUp(failure) {
    if (failure instanceof Refused) return this.end(this.failed, failure.code);
    this.cancel();
    throw failure;
  }

  remember() {
    const { song } = this;
    if (this.silent && this.silent.id === new LiveAPI("live_set master_track").id) this.silent = null; // it cannot be muted: all the tracks are heard
    this.before = { loop: get(song, "loop"), current_song_time: get(song, "current_song_time") };
    this.muted = this.silent ? get(this.silent, "mute") : 0;
    this.selected = new LiveAPI("live_set view selected_track");
    this.armed = [];
    for (let index = 0; index < song.getcount("tracks"); index++) {
      const track = new LiveAPI(`live_set tracks ${index}`);
      if (get(track, "can_be_armed") && get(track, "arm")) this.armed.push(track);
    }
  }

  prepare() {
    const { song, silent } = this;
    this.track = newTrack(song, TRACK);
    if (!this.track) throw new Refused("no_track");
    listenTo(this.track, this.source);
    for (const track of this.armed) track.set("arm", 0);
    if (silent) silent.set("mute", 1);
    this.track.set("arm", 1);
    song.set("loop", 0);
    song.set("current_song_time", this.first);
  }

  // The pass, a step per tick; its value is the stretch in the recorded file. Live does what it is asked a little later.
  *run() {
    const { song, first, last } = this;
    song.set("record_mode", 1);
    yield* this.until(() => get(song, "record_mode"));
    song.call("continue_playing");
    yield* this.until(() => get(song, "is_playing"));
    while (this.isRunning()) yield;
    this.stop();
    yield* this.until(() => this.isWritten());
    const clip = this.clip();
    if (get(clip, "start_time") > first || get(clip, "end_time") < last) throw new Refused("nothing_recorded");
    const cut = fileRegion(song, clip, first, last);
    if (cut.refusal) throw new Refused(cut.refusal);
    return cut;
  }

  *until(condition) {
    for (let tick = 0; tick < PATIENCE_TICKS; tick++) {
      if (condition()) return;
      yield;
    }
    throw new Refused("nothing_recorded");
  }

  isRunning() {
    const { song, track, last } = this;
    const records = get(song, "is_playing") && get(song, "record_mode") && exists(track);
    return records && get(song, "current_song_time") < last + LATE_BEATS;
  }

  clip() {
    return exists(this.track) ? clipAt(this.track, this.first, this.last) : null;
  }

  isWritten() {
    const clip = this.clip();
    return clip !== null && !get(clip, "is_recording") && this.isFile(systemPath(String(get(clip, "file_path"))));
  }

  stop() {
    if (get(this.song, "is_playing")) this.song.call("stop_playing");
    this.song.set("record_mode", 0);
  }

  end(tell, fact) {
    this.restore();
    tell(fact);
  }

  restore() {
    const { song, silent, before, selected } = this;
    this.stop();
    const index = this.track && exists(this.track) ? indexOf(song, this.track) : -1;
    if (index >= 0) song.call("delete_track", index);
    for (const track of this.armed) track.set("arm", 1);
    if (silent) silent.set("mute", this.muted);
    for (const [name, value] of Object.entries(before)) song.set(name, value);
    new LiveAPI("live_set view").set("selected_track", "id", Number(selected.id));
  }
}

module.exports = { Recording };
