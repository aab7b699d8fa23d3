// From an action and what the host found to the jobs that are submitted. The action table is shared data (actions.json).
"use strict";

const { samples, convert } = require("./placement.js");

const MAX_SECONDS = 600;
const MAX_NAME = 80; // characters

function action(actions, name) {
  return actions.find((found) => found.name === name) || null;
}

// The reason why an action cannot run here, as {code, ...}, or null.
function refusal(action, situation) {
  if (action.needs === "recipe" && !situation.recipe) return { code: "no_recipe" };
  if (action.kind !== "submit" || action.needs === "recipe") return null;
  if (!situation.saved) return { code: "unsaved_project" };
  const has = situation.start !== undefined && situation.start !== null;
  if (action.needs === "selection") {
    if (!has) return { code: "no_selection" };
    if (situation.end <= situation.start) return { code: "empty_selection" };
    if (situation.midi_only && action.audio === "target") return { code: "midi_only" };
  }
  const seconds = has ? (situation.end - situation.start) / situation.rate : 0;
  if (seconds > MAX_SECONDS) return { code: "too_long", seconds: Math.floor(seconds + 0.5), limit: MAX_SECONDS };
  return null;
}

// The part of the selection that a passage covers, in project samples, and the same part in the source's samples.
function part(situation, passage) {
  const first = Math.max(situation.start, samples(passage.start, situation.rate));
  const last = Math.min(situation.end, samples(passage.end, situation.rate));
  const source = situation.source;
  if (!source) return { first, last };
  const rate = source.rate || situation.rate;
  return {
    first, last,
    start: source.start + convert(first - situation.start, situation.rate, rate),
    end: source.end - convert(situation.end - last, situation.rate, rate),
  };
}

function cut(situation, passage) {
  const found = part(situation, passage);
  const source = situation.source;
  if (!source) return found.last > found.first ? { length: found.last - found.first, rate: situation.rate } : {};
  const region = { source: source.path, ...(source.regions ? { regions: source.regions } : { start: found.start, end: found.end }) };
  if (source.span_start !== undefined && source.span_start !== null) {
    region.span_start = source.span_start;
    region.span_end = source.span_end;
  }
  return region;
}

// Where a result belongs, in words; an action that takes no audio belongs to no track. Empty where the host knows neither.
function placeName(action, situation) {
  const words = [];
  if (action.audio !== "none" && situation.track_name) words.push(situation.track_name);
  const first = situation.first_bar, last = situation.last_bar;
  if (first !== undefined && first !== null) words.push(first === last ? `bar ${first}` : `bars ${first}-${last}`);
  return Array.from(words.join(", ")).slice(0, MAX_NAME).join("");
}

// Fields with which a user says what time the song has; beside them the host's own map is not sent.
const OWN_TIME = ["tempo_map", "bar_offset", "bpm", "time_signature"];

// Where the song's bars and beats lie on the timeline of what is sent, from the host's `point` at the selection's start.
function songMap(situation, passage, values) {
  if (!situation.point || OWN_TIME.some((name) => name in values)) return undefined;
  return [{ sample: situation.source ? part(situation, passage).start : 0, ...situation.point }];
}

// The parameters of one job; fields is the operation's list from describe (absent: unknown, everything is sent). The situation may have
// `point`, {bpm, metre, bar} at the selection's start in a song of one tempo, and `guide_from`, where a guide's chords begin, for what lies in
// no bar of the song.
function params(action, situation, passage, values, fields) {
  const found = { ...cut(situation, passage), bpm: passage.bpm, time_signature: passage.time_signature, key: situation.key };
  found.tempo_map = songMap(situation, passage, values);
  found.guide_from = situation.guide_from;
  found.name = placeName(action, situation);
  let returns = action.returns;
  if (returns === "patch" && found.span_start !== undefined) returns = "span";
  if (returns) found.returns = [returns];
  const known = fields ? new Set(fields.map((field) => field.name)) : null;
  for (const name of Object.keys(found)) {
    const value = found[name];
    if (value === undefined || value === null || value === "" || (known && !known.has(name))) delete found[name];
  }
  for (const name of Object.keys(values)) if (name !== action.each) found[name] = values[name];
  Object.assign(found, action.sets);
  if (found.length !== undefined) delete found.duration;
  return found;
}

// The passages that have anything to ask for: where a selection is split, a piece of it may lie beside the audio.
function meeting(situation, passages) {
  if (!situation.source) return passages;
  return passages.filter((passage) => {
    const { first, last } = part(situation, passage);
    return last > first;
  });
}

// The jobs of an action: one per tempo passage that meets its audio and picked value, each {operation, params, passage, pick}.
function jobs(action, situation, passages, values, fields) {
  let picks = action.each ? values[action.each] : undefined;
  if (!Array.isArray(picks)) picks = [picks];
  if (picks.length === 0) picks = [undefined];
  const found = [];
  for (const passage of meeting(situation, passages)) {
    for (const pick of picks) {
      const asked = params(action, situation, passage, values, fields);
      if (pick !== undefined && pick !== null) asked[action.each] = pick;
      found.push({ operation: action.operation, params: asked, passage, pick });
    }
  }
  return found;
}

// What was changed on the way to the model. Beside a tempo map the daemon itself says which metre the model is told.
function notesOf(job) {
  const notes = (job.passage.notes || []).filter((note) => note.code !== "metre_unknown" || !job.params.tempo_map);
  return notes.length ? notes : undefined;
}

// What the host must remember of a job to place its result later, even after a restart: plain data.
function pending(id, action, situation, job) {
  const source = situation.source;
  const { first, last } = part(situation, job.passage);
  const found = {
    id, action: action.name, place: action.place, title: action.title, operation: job.operation, called: action.called,
    pick: job.pick, rate: situation.rate, origin: source ? source.origin : first, first, last,
    track: situation.track, item: situation.item, lead: source ? source.lead : undefined,
    spans_item: source && source.span_start !== undefined && source.span_start !== null ? true : undefined,
    notes: notesOf(job),
  };
  for (const name of Object.keys(found)) if (found[name] === undefined || found[name] === null) delete found[name];
  return found;
}

const number = (value) => String(Number(value.toPrecision(6)));

// What will happen, for the head of a form. facts is {tracks (names), stretches (how many), first_bar, last_bar, seconds (all together),
// bpm, read (a sentence)}; whatever the host does not know may be absent.
function summary(facts) {
  const { tracks, stretches, first_bar, last_bar, seconds, bpm, read } = facts;
  const words = tracks.length ? [tracks.join(", ")] : [];
  if (stretches > 1) words.push(`${stretches} clips`);
  if (first_bar !== undefined) words.push(first_bar === last_bar ? `bar ${first_bar}` : `bars ${first_bar} to ${last_bar}`);
  if (seconds > 0) words.push(`${seconds.toFixed(1)} s`);
  if (bpm) words.push(`sent as ${number(bpm)} bpm`);
  return [words.length ? `${words.join(", ")}.` : "", read].filter(Boolean).join(" ");
}

// The sentence of a message: code looked up in messages.json, {name} filled in from facts.
function sentence(messages, facts) {
  return (messages[facts.code] || facts.code).replace(/{(\w+)}/g, (_, name) => {
    const value = facts[name];
    if (value === undefined || value === null) return "?";
    if (typeof value === "number" && !Number.isInteger(value)) return value.toFixed(2).replace(/0+$/, "").replace(/\.$/, "");
    return String(value);
  });
}

module.exports = { action, refusal, params, jobs, pending, summary, sentence };
