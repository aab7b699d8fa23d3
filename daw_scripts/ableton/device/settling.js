// New clips until they are as they were asked for (v8). Live switches warping between two ticks and keeps the numbers of the markers, which
// then count in another unit (a clip of 8 beats ends at 8 seconds); Auto-Warp may have moved the start.
// The control surface does the same in the same steps: remote_script/AceStepBridge/settling.py.

const { EDGE, get, one, exists } = require("selection.js");

const BEATS = 0; // the warp mode that plays a clip untouched while the song keeps the clip's tempo
const PATIENCE_TICKS = 20; // to wait for Live to switch a clip's warping, and to show its markers where they were put

// Seconds of a clip's file, and where its end is as its markers count: in beats where it is warped from a tempo, else in seconds.
function measure(clip, tempo) {
  const length = get(clip, "sample_length") / get(clip, "sample_rate");
  return { length, end: tempo ? length * tempo / 60 : length };
}

// Put all markers of a clip, which is warped from a tempo or (0) not at all, around its whole file.
function showWhole(clip, tempo) {
  const { length, end } = measure(clip, tempo);
  if (tempo) lay(clip, length, end);
  for (const name of ["start_marker", "loop_start"]) clip.set(name, 0); // first: no end may lie before its start
  for (const name of ["end_marker", "loop_end"]) clip.set(name, end);
}

// Warp a clip of a steady tempo straight from its first sample to its last, whatever Live took its tempo for. Live refuses to remove its
// last marker, and to add one where one is; what came of it is looked at afterwards.
function lay(clip, length, end) {
  clip.set("warp_mode", BEATS);
  for (const marker of JSON.parse(get(clip, "warp_markers")).warp_markers) clip.call("remove_warp_marker", marker.beat_time);
  for (const [sample_time, beat_time] of [[0, 0], [length, end]]) clip.call("add_warp_marker", { sample_time, beat_time });
}

// Whether a clip plays its whole file, and straight from the first sample to the last where it is warped.
function showsWhole(clip, tempo) {
  const { end } = measure(clip, tempo), samples = get(clip, "sample_length");
  const off = (name, wanted) => Math.abs(get(clip, name) - wanted) >= EDGE;
  if (off("start_marker", 0) || off("loop_start", 0) || off("end_marker", end) || off("loop_end", end)) return false;
  const laid = (beat) => one(clip.call("beat_to_sample_time", beat)) - beat / end * samples;
  return !tempo || [0, end / 2, end].every((beat) => Math.abs(laid(beat)) <= 1);
}

function* isAs(clip, tempo) {
  clip.set("warping", tempo ? 1 : 0);
  yield;
  for (let tick = 0; tick < PATIENCE_TICKS; tick++) {
    const isSwitched = Boolean(get(clip, "warping")) === Boolean(tempo);
    if (isSwitched) showWhole(clip, tempo);
    yield;
    if (isSwitched && showsWhole(clip, tempo)) return true;
  }
  return false;
}

// Make a clip play its whole file, a step per tick; whether it does at the end. With a tempo it is warped from it and goes with the song.
// Where Live does not lay it so, it would be out of time: it stays unwarped, as a clip without a tempo.
function* settle(clip, tempo) {
  return (tempo && (yield* isAs(clip, tempo))) || (yield* isAs(clip, 0));
}

// The clips that are not yet as they should be. `failed(name)` hears of a clip that Live leaves otherwise.
class Settling {
  constructor(failed) {
    Object.assign(this, { failed, clips: [] });
  }

  add(clip, name, tempo) {
    this.clips.push({ clip, name, steps: settle(clip, tempo) });
  }

  // Move every clip on; whether any is left.
  tick() {
    this.clips = this.clips.filter(({ clip, name, steps }) => {
      if (!exists(clip)) return false; // deleted meanwhile
      const step = steps.next();
      if (step.done && !step.value) this.failed(name);
      return !step.done;
    });
    return this.clips.length > 0;
  }
}

module.exports = { Settling };
