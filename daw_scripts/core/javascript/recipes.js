// What a placed result remembers of its making, and how it is made again: plain data, no host.
"use strict";

const SAME = ["group", "first", "last", "pick"];

// What a recipe asks for, and of which operation; a job without a recipe is remembered by its request.
function unwrap(recipe, operation) {
  const request = recipe.request && typeof recipe.request === "object" ? recipe.request : recipe;
  return { request, operation: request.stages ? "render" : recipe.operation || operation };
}

// The memory of a finished job: what its host waited for, and the recipe of the result.
function memory(pending, job) {
  const recipe = job.result && job.result.recipe;
  const request = (recipe && Object.keys(recipe).length > 0 && recipe) || job.request || {};
  return { format: "acestep-bridge/take", version: 1, pending, operation: job.operation, request };
}

// The request behind a remembered result, and its operation.
function request(remembered) {
  return unwrap(remembered.request || {}, remembered.operation);
}

// A request made again: the same request, new seeds.
function reroll(made) {
  const copy = JSON.parse(JSON.stringify(made));
  delete copy.weights;  // those that are there now
  delete copy.made_on;
  delete copy.precision;
  for (const stage of copy.stages || [copy]) { stage.seed = -1; stage.seeds = null; }
  for (const { source } of [copy, ...(copy.stages || [])]) if (source && source.fingerprint) source.fingerprint = "";
  return copy;
}

// A remembered result made again under another id, by another key press. It stays among the alternatives of the old one.
function again(remembered, id) {
  const made = request(remembered);
  const { press, ...pending } = remembered.pending;
  return { pending: { ...pending, id }, operation: made.operation, params: reroll(made.request) };
}

// The words that a result was asked for with, or an empty text.
function caption(remembered) {
  const made = request(remembered).request;
  return (made.conditioning || made).caption || "";
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

module.exports = { memory, request, reroll, again, caption, alternatives, owner };
