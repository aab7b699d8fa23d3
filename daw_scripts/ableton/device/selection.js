// What is selected in Live, as the host-independent core wants it (v8). Times in Live are beats.

const placement = require("placement.js");

const RATE = 48000; // of new parts: Live does not tell scripts its own
const STRAIGHT = 0.001;
const NOTES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];

const one = (found) => (Array.isArray(found) ? found[0] : found);
const get = (api, name) => one(api.get(name));
const exists = (api) => Number(api.id) !== 0;

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

// macOS paths in Max begin with the volume's name; the daemon wants them as the system writes them.
function systemPath(text) {
  const found = /^[^/\\]+:(\/.*)$/.exec(text);
  return found && text[1] !== ":" ? found[1] : text;
}

// Where the set's new audio goes; empty while the set was never saved.
function folder(song) {
  const found = /^(.*)[/\\][^/\\]+$/.exec(systemPath(String(get(song, "file_path") || "")));
  return found ? `${found[1]}/Samples/acestep-bridge` : "";
}

// The selected stretch in beats: the loop brace where it is on, else the arrangement clip in the detail view.
function region(song, clip) {
  if (get(song, "loop")) {
    const start = get(song, "loop_start");
    return [start, start + get(song, "loop_length")];
  }
  return exists(clip) && get(clip, "is_arrangement_clip") ? [get(clip, "start_time"), get(clip, "end_time")] : null;
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

function sampleAt(clip, mark, rate) {
  return Math.floor((get(clip, "warping") ? one(clip.call("beat_to_sample_time", mark)) : mark * rate) + 0.5);
}

// A stretch of the arrangement inside the clip's own file, or {refusal: code}.
function fileRegion(song, clip, start, end) {
  if (!get(clip, "is_audio_clip")) return { refusal: "midi_only" };
  const first = Math.max(start, get(clip, "start_time")), last = Math.min(end, get(clip, "end_time"));
  const rate = get(clip, "sample_rate"), marker = get(clip, "start_marker");
  const inside = [first - get(clip, "start_time"), last - get(clip, "start_time")];
  const warping = get(clip, "warping");
  if (warping && get(clip, "looping") && marker + inside[1] > get(clip, "loop_end")) return { refusal: "warped" };
  const cut = inside.map((beat) => sampleAt(clip, marker + (warping ? beat : secondsOf(song, beat)), rate));
  const straight = secondsOf(song, last - first) * rate;
  if (Math.abs(cut[1] - cut[0] - straight) > Math.max(1, STRAIGHT * straight)) return { refusal: "warped" };
  return { path: systemPath(String(get(clip, "file_path"))), rate, start: cut[0], end: cut[1], first, last };
}

// What a Session clip plays, inside its file, or {refusal: code}.
function sessionRegion(clip) {
  if (!get(clip, "is_audio_clip")) return { refusal: "midi_only" };
  const rate = get(clip, "sample_rate");
  const marks = get(clip, "looping") ? ["loop_start", "loop_end"] : ["start_marker", "end_marker"];
  const [start, end] = marks.map((name) => sampleAt(clip, get(clip, name), rate));
  return { path: systemPath(String(get(clip, "file_path"))), rate, start, end, span_start: start, span_end: end, origin: 0 };
}

// The number of the selected track's slot that holds a clip, or -1.
function slotOf(clip) {
  const track = new LiveAPI("live_set view selected_track");
  for (let index = 0; index < track.getcount("clip_slots"); index++) {
    const held = new LiveAPI(`live_set view selected_track clip_slots ${index} clip`);
    if (exists(held) && held.id === clip.id) return index;
  }
  return -1;
}

function indexOf(song, track) {
  for (let index = 0; index < song.getcount("tracks"); index++) {
    if (new LiveAPI(`live_set tracks ${index}`).id === track.id) return index;
  }
  return -1;
}

function withCut(situation, song, cut) {
  const start = samplesOf(song, cut.first, cut.rate), end = samplesOf(song, cut.last, cut.rate);
  const source = { path: cut.path, rate: cut.rate, start: cut.start, end: cut.end, origin: start - cut.start };
  return { ...situation, rate: cut.rate, start, end, source };
}

// What an action needs: {situation, extra} (extra: where the result goes), or {refusal: code}.
function situation(song, wanted) {
  const track = new LiveAPI("live_set view selected_track"), clip = new LiveAPI("live_set view detail_clip");
  const extra = { track_index: indexOf(song, track) };
  let known = { saved: true, rate: RATE, key: keyOf(song), track: String(get(track, "name")) };
  let found = region(song, clip);
  if (!found && wanted.audio === "target" && exists(clip)) {
    const source = sessionRegion(clip);
    if (source.refusal) return source;
    known = { ...known, rate: source.rate, start: source.start, end: source.end, source };
    return { situation: known, extra: { ...extra, slot: slotOf(clip) } };
  }
  if (!found && wanted.needs === "position") { const at = get(song, "current_song_time"); found = [at, at]; }
  if (!found) return { situation: known, extra };
  known.start = samplesOf(song, found[0], RATE);
  known.end = samplesOf(song, found[1], RATE);
  if (wanted.audio === "none" || found[1] <= found[0]) return { situation: known, extra };
  const under = clipAt(found[0], found[1]);
  if (!under) return { refusal: "nothing_there" };
  const cut = fileRegion(song, under, found[0], found[1]);
  return cut.refusal ? cut : { situation: withCut(known, song, cut), extra };
}

module.exports = { get, exists, folder, systemPath, situation };
