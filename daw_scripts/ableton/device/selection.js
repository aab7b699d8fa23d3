// What is selected in Live, as the host-independent core wants it (v8). Times in Live are beats.

const placement = require("placement.js");

const STRAIGHT = 0.001;
const EDGE = 0.001; // beats by which a stretch may miss the bar line that it means
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

// The first and the last bar of a stretch of beats, as if the song had no other metre than that of the moment.
function barsOf(song, first, last) {
  const length = get(song, "signature_numerator") * 4 / get(song, "signature_denominator");
  const [first_bar, last_bar] = [first + EDGE, Math.max(first + EDGE, last - EDGE)].map((beat) => Math.floor(beat / length) + 1);
  return { first_bar, last_bar };
}

// The song's time at a beat as a job takes it (see the field tempo_map): scripts know no other than that of the moment.
function pointAt(song, beat) {
  const num = get(song, "signature_numerator"), den = get(song, "signature_denominator");
  return { bpm: get(song, "tempo"), metre: `${num}/${den}`, bar: 1 + beat * den / (4 * num) };
}

// The key as the model knows keys; empty for other scales, and where the set is in none.
function keyOf(song) {
  if (!get(song, "scale_mode")) return "";
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

// The name of the set's file, which tells the sets of a folder apart; empty while the set was never saved.
function fileName(song) {
  return systemPath(String(get(song, "file_path") || "")).split(/[/\\]/).pop();
}

// The selected stretch in beats: the loop brace where it is on, else the arrangement clip in the detail view.
function region(song, clip) {
  if (get(song, "loop")) {
    const start = get(song, "loop_start");
    return [start, start + get(song, "loop_length")];
  }
  return exists(clip) && get(clip, "is_arrangement_clip") ? [get(clip, "start_time"), get(clip, "end_time")] : null;
}

// The arrangement clips of a track of which some lies in a stretch, in order.
function clipsUnder(track, start, end) {
  const clips = Array.from({ length: track.getcount("arrangement_clips") }, (_, index) => new LiveAPI(`${track.unquotedpath} arrangement_clips ${index}`));
  return clips.filter((clip) => Math.min(end, get(clip, "end_time")) - Math.max(start, get(clip, "start_time")) > EDGE);
}

// All selected tracks in order, and the one in front; none of the main track, which holds no clips.
function selectedTracks(song, front) {
  const tracks = Array.from({ length: song.getcount("tracks") }, (_, index) => new LiveAPI(`live_set tracks ${index}`));
  return tracks.filter((track) => track.id === front.id || get(track, "is_part_of_selection"));
}

// The arrangement clip of a track that covers most of a stretch, or null.
function clipAt(track, start, end) {
  let best = null, most = 0;
  for (let index = 0; index < track.getcount("arrangement_clips"); index++) {
    const clip = new LiveAPI(`${track.unquotedpath} arrangement_clips ${index}`);
    const shared = Math.min(end, get(clip, "end_time")) - Math.max(start, get(clip, "start_time"));
    if (shared > most) { best = clip; most = shared; }
  }
  return best;
}

function sampleAt(clip, mark, rate) {
  return Math.floor((get(clip, "warping") ? one(clip.call("beat_to_sample_time", mark)) : mark * rate) + 0.5);
}

// Whether a stretch of a file lasts as long as it would at the song's tempo.
function runsStraight(samples, straight) {
  return Math.abs(samples - straight) <= Math.max(1, STRAIGHT * straight);
}

// A stretch of the arrangement inside the clip's own file, or {refusal: code}. With `outside` it may reach past the clip's ends.
function fileRegion(song, clip, start, end, outside) {
  if (!get(clip, "is_audio_clip")) return { refusal: "midi_only" };
  const first = Math.max(start, get(clip, "start_time")), last = Math.min(end, get(clip, "end_time"));
  const rate = get(clip, "sample_rate"), marker = get(clip, "start_marker");
  const inside = [first - get(clip, "start_time"), last - get(clip, "start_time")];
  const warping = get(clip, "warping");
  if (warping && get(clip, "looping") && marker + inside[1] > get(clip, "loop_end")) return { refusal: "warped" };
  const cut = inside.map((beat) => sampleAt(clip, marker + (warping ? beat : secondsOf(song, beat)), rate));
  if (!runsStraight(cut[1] - cut[0], secondsOf(song, last - first) * rate)) return { refusal: "warped" };
  const found = { path: systemPath(String(get(clip, "file_path"))), rate, start: cut[0], end: cut[1], first, last };
  return outside ? reachOut(song, found, start, end) : found;
}

// A cut continued to the whole stretch, before and behind its clip.
function reachOut(song, cut, start, end) {
  const before = samplesOf(song, cut.first - start, cut.rate), after = samplesOf(song, end - cut.last, cut.rate);
  return { ...cut, start: cut.start - before, end: cut.end + after, first: start, last: end };
}

const marksOf = (clip) => (get(clip, "looping") ? ["loop_start", "loop_end"] : ["start_marker", "end_marker"]);

// What a clip plays of its file, in whatever tempo; of a loop one round.
function recordedRegion(clip) {
  const rate = get(clip, "sample_rate"), [start, end] = marksOf(clip).map((name) => sampleAt(clip, get(clip, name), rate));
  return { path: systemPath(String(get(clip, "file_path"))), rate, start, end };
}

// What a Session clip plays, inside its file, or {refusal: code}.
function sessionRegion(song, clip) {
  if (!get(clip, "is_audio_clip")) return { refusal: "midi_only" };
  const cut = recordedRegion(clip), [first, last] = marksOf(clip).map((name) => get(clip, name));
  if (get(clip, "warping") && !runsStraight(cut.end - cut.start, secondsOf(song, last - first) * cut.rate)) return { refusal: "warped" };
  return { ...cut, span_start: cut.start, span_end: cut.end, origin: 0 };
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

// A situation with the stretch of a file that is sent for it (see fileRegion).
function use(situation, song, cut) {
  const start = samplesOf(song, cut.first, cut.rate), end = samplesOf(song, cut.last, cut.rate);
  const source = { path: cut.path, rate: cut.rate, start: cut.start, end: cut.end, origin: start - cut.start };
  return { ...situation, ...barsOf(song, cut.first, cut.last), point: pointAt(song, cut.first), rate: cut.rate, start, end, source };
}

// What is selected for an action, new parts being made at a `rate`: {situation, extra, stretch, track}, or {refusal: code}. `extra`: where the result goes;
// `stretch`: two beats of the arrangement, absent for a Session clip, which counts on the selected track where no stretch is selected.
function situation(song, wanted, rate) {
  const track = new LiveAPI("live_set view selected_track"), clip = new LiveAPI("live_set view detail_clip");
  const extra = { track_index: indexOf(song, track), tempo: get(song, "tempo") };
  const name = String(get(track, "name"));
  const known = { saved: true, rate, key: keyOf(song), track: name, track_name: name };
  let stretch = region(song, clip);
  const slot = !stretch && wanted.audio === "target" && exists(clip) ? slotOf(clip) : -1;
  if (slot >= 0) {
    const source = sessionRegion(song, clip);
    if (source.refusal) return source;
    const cut = { rate: source.rate, start: source.start, end: source.end, source };
    // A warped clip begins with bar 1; of another one it is not known where its bars are.
    const time = get(clip, "warping") ? { point: pointAt(song, 0) } : { guide_from: "region" };
    return { situation: { ...known, ...cut, ...time }, extra: { ...extra, slot } };
  }
  if (!stretch && wanted.needs === "position") stretch = Array(2).fill(get(song, "current_song_time"));
  if (!stretch) return { situation: known, extra };
  const [start, end] = stretch.map((beat) => samplesOf(song, beat, rate));
  const place = { ...barsOf(song, ...stretch), point: pointAt(song, stretch[0]), start, end };
  return { situation: { ...known, ...place }, extra: { ...extra, beat: stretch[0] }, stretch, track };
}

// The situation for each clip under what was selected, on every selected track: a list of {situation, extra}, or {refusal: code}. Clips of
// notes beside audio are left out. With `outside` the stretch may reach past its clip, and it is one clip a track then.
function findAudio(song, found, outside) {
  const [start, end] = found.stretch;
  const pairs = selectedTracks(song, found.track).flatMap((track) => {
    const clips = clipsUnder(track, start, end);
    return (outside && clips.length ? [clipAt(track, start, end)] : clips).map((clip) => ({ track, clip }));
  });
  const audio = pairs.filter(({ clip }) => get(clip, "is_audio_clip"));
  if (!pairs.length) return { refusal: "nothing_there" };
  const cuts = (audio.length ? audio : pairs).map(({ track, clip }) => ({ track, ...fileRegion(song, clip, start, end, outside) }));
  return cuts.find((cut) => cut.refusal) || cuts.map((cut) => partOf(song, found, cut));
}

function partOf(song, { situation, extra }, { track, ...cut }) {
  const name = String(get(track, "name"));
  const own = use({ ...situation, track: name, track_name: name }, song, cut);
  return { situation: own, extra: { ...extra, track_index: indexOf(song, track), beat: cut.first } };
}

// What there is to say of what is sent, {situation} each: see requests.summary.
function facts(song, parts) {
  const situations = parts.map((part) => part.situation).filter((one) => one.start !== undefined);
  const bars = situations.filter((one) => one.first_bar !== undefined);
  const names = situations.filter((one) => one.source).map((one) => one.track_name);
  return {
    tracks: names.filter((name, index) => names.indexOf(name) === index), stretches: situations.length,
    first_bar: bars.length ? Math.min(...bars.map((one) => one.first_bar)) : undefined,
    last_bar: bars.length ? Math.max(...bars.map((one) => one.last_bar)) : undefined,
    seconds: situations.reduce((sum, one) => sum + (one.end - one.start) / one.rate, 0), bpm: get(song, "tempo"),
  };
}

// Make the stretch that a job was asked for the loop brace, so that it is selected: as many beats as it had at the job's tempo.
function select(song, { beat, first, last, rate, tempo }) {
  if (last <= first) return;
  song.set("loop_start", beat);
  song.set("loop_length", (last - first) / rate * tempo / 60);
  song.set("loop", 1);
}

module.exports = { EDGE, get, one, exists, folder, fileName, systemPath, situation, use, findAudio, facts, selectedTracks, clipsUnder, clipAt, fileRegion, recordedRegion,
  sessionRegion, indexOf, slotOf, select };
