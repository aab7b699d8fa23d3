// What a placed result remembers of its making, and how it is made again: plain data, no host.
"use strict";

const KEPT = ["stages", "conditioning", "source", "output", "format", "version"];
const SAME = ["group", "first", "last", "pick"];

// The memory of a finished job: what its host waited for, and the request with every choice filled in.
function memory(pending, job) {
  const request = (job.result && job.result.recipe) || job.request || {};
  return { format: "acestep-bridge/take", version: 1, pending, request };
}

// The recipe of a result as a new request: the same wish, new seeds.
function reroll(recipe) {
  const copy = JSON.parse(JSON.stringify(recipe)), kept = {};
  for (const name of KEPT) if (copy[name] !== undefined) kept[name] = copy[name];
  for (const stage of kept.stages || []) { stage.seed = -1; stage.seeds = null; }
  if (kept.source) kept.source.fingerprint = "";
  return kept;
}

// A remembered result made again under another id. It stays among the alternatives of the old one.
function again(remembered, id) {
  return { pending: { ...remembered.pending, id }, operation: "render", params: reroll(remembered.request) };
}

// Whether two memories are of results among which the user chooses: the same key press (or a re-roll of it), the same place.
function alternatives(one, other) {
  return one.pending.group !== undefined && SAME.every((key) => one.pending[key] === other.pending[key]);
}

// The job whose result a file of the project is a copy of, by its name (which hosts may lengthen at the end); null for other names.
function owner(fileName) {
  const found = /^[A-Za-z0-9_]+-([A-Za-z0-9_-]+)-[0-9]+[.%]/.exec(fileName);
  return found ? found[1] : null;
}

module.exports = { memory, reroll, again, alternatives, owner };
