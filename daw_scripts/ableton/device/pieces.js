// What of a set can be learned from: its clips of audio, as pieces of their files (v8).
// The control surface finds the same: remote_script/AceStepBridge/dataset.py.

const { clipsOf, clipsInSlots } = require("clips.js");
const { get, clipsUnder, fileRegion, recordedRegion, sessionRegion } = require("selection.js");

// What plays of a clip's file, and whether it plays as it was recorded.
function cutOf(song, clip, brace) {
  const [start, end] = brace || [get(clip, "start_time"), get(clip, "end_time")];
  const cut = get(clip, "is_arrangement_clip") ? fileRegion(song, clip, start, end, false) : sessionRegion(song, clip);
  return cut.refusal ? { ...recordedRegion(clip), straight: false } : { ...cut, straight: true };
}

// The pieces {path, start, length, title} inside the loop brace, or of the whole set where it is off, and how many (`recorded`) are not as they
// sound: a clip that is warped to another tempo is taken as its file was recorded, one that loops is taken once.
function find(song) {
  const first = get(song, "loop_start"), brace = get(song, "loop") ? [first, first + get(song, "loop_length")] : null;
  const pieces = [];
  let recorded = 0;
  for (let index = 0; index < song.getcount("tracks"); index++) {
    const place = `live_set tracks ${index}`, track = new LiveAPI(place), title = String(get(track, "name"));
    for (const clip of brace ? clipsUnder(track, ...brace) : [...clipsOf(place), ...clipsInSlots(place)]) {
      if (!get(clip, "is_audio_clip")) continue;
      const cut = cutOf(song, clip, brace);
      const start = Math.max(cut.start, 0), end = Math.min(cut.end, Math.floor(get(clip, "sample_length")));
      if (!cut.straight) recorded++;
      pieces.push({ path: cut.path, start, length: end - start, title });
    }
  }
  return { pieces, recorded };
}

module.exports = { find };
