// Tempo and metre of a region, from the host's tempo map. Times are project seconds, tempo is quarter notes a minute.
// A segment is {start, bpm, num, den, ramp_to?}: it lasts until the next one; ramp_to is its tempo at the end of a linear ramp.
"use strict";

const BPM_RANGE = [30.0, 300.0];
const SAME_BPM = 1e-6;

function clip(segments, index, first, last) {
  const segment = segments[index];
  const stop = index + 1 < segments.length ? segments[index + 1].start : Infinity;
  const start = index === 0 ? first : Math.max(segment.start, first);
  const end = Math.min(stop, last);
  if (end <= start) return null;
  let head = segment.bpm, tail = segment.bpm;
  if (segment.ramp_to !== undefined && stop < Infinity && start >= segment.start) {
    const slope = (segment.ramp_to - segment.bpm) / (stop - segment.start);
    head = segment.bpm + slope * (start - segment.start);
    tail = segment.bpm + slope * (end - segment.start);
  }
  return { start, end, bpm: (head + tail) / 2, num: segment.num, den: segment.den, steady: Math.abs(head - tail) < SAME_BPM };
}

function continues(piece, before) {
  return before && before.steady && piece.steady && Math.abs(before.bpm - piece.bpm) < SAME_BPM
    && before.num === piece.num && before.den === piece.den;
}

// The pieces of [first, last) with one tempo and metre each; equal neighbours are joined.
function pieces(segments, first, last) {
  const found = [];
  for (let index = 0; index < segments.length; index++) {
    const piece = clip(segments, index, first, last);
    if (!piece) continue;
    const before = found[found.length - 1];
    if (continues(piece, before)) before.end = piece.end;
    else found.push(piece);
  }
  return found;
}

// A tempo the model accepts, by octaves.
function fold(bpm) {
  while (bpm < BPM_RANGE[0]) bpm = bpm * 2;
  while (bpm > BPM_RANGE[1]) bpm = bpm / 2;
  return bpm;
}

// The model's word for a metre ("2", "3", "4", "6"), or null for one it was not trained on.
function metre(num, den) {
  if (den === 4 && [2, 3, 4].includes(num)) return String(num);
  return den === 8 && num === 6 ? "6" : null;
}

function passage(first, last, bpm, num, den) {
  const given = fold(bpm);
  const notes = [];
  if (Math.abs(given - bpm) > SAME_BPM) notes.push({ code: "tempo_folded", given: bpm, bpm: given });
  const word = metre(num, den);
  if (word === null) notes.push({ code: "metre_unknown", metre: `${num}/${den}` });
  return { start: first, end: last, bpm: given, time_signature: word || "", notes };
}

// The passage of a piece of its own; a ramp has no tempo but its mean.
function passageOf(piece) {
  const made = passage(piece.start, piece.end, piece.bpm, piece.num, piece.den);
  if (!piece.steady) made.notes.unshift({ code: "tempo_average", bpm: made.bpm });
  return made;
}

// One passage for pieces of several tempos or metres: their mean tempo, and the metre that they begin with.
function passageForAll(found, first, last) {
  const begin = found[0];
  const bpm = found.reduce((sum, piece) => sum + (piece.end - piece.start) * piece.bpm, 0) / (last - first);
  const made = passage(first, last, bpm, begin.num, begin.den);
  if (found.some((p) => p.num !== begin.num || p.den !== begin.den) && made.time_signature) {
    made.notes.unshift({ code: "metre_changes", metre: `${begin.num}/${begin.den}` });
  }
  if (found.some((p) => !p.steady || Math.abs(p.bpm - begin.bpm) >= SAME_BPM)) {
    made.notes.unshift({ code: "tempo_average", bpm: made.bpm });
  }
  return made;
}

// What to ask for [first, last): {passages} or {refusal: code}. choice: "average", "split" or "refuse" where the map changes inside.
function plan(segments, first, last, choice) {
  const found = pieces(segments, first, last);
  if (found.length === 1 && found[0].steady) return { passages: [passage(first, last, found[0].bpm, found[0].num, found[0].den)] };
  if (choice === "refuse") return { refusal: "tempo_changes" };
  if (choice === "split") return { passages: found.map(passageOf) };
  return { passages: [passageForAll(found, first, last)] };
}

module.exports = { pieces, fold, metre, plan };
