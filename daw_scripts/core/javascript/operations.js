// Operations that have no action of their own: presets and what plug-ins add. They appear by themselves.
"use strict";

function has(fields, name) {
  return fields.some((field) => field.name === name);
}

// Names of the operations in a describe answer that make audio and that no other action runs, in order.
function others(described, actions) {
  const taken = new Set(actions.map((action) => action.operation));
  const makesAudio = ({ fields = [] }) => has(fields, "returns") && has(fields, "variants");
  return described.filter((found) => !taken.has(found.name) && makesAudio(found)).map((found) => found.name).sort();
}

// What people call an operation: its own title, that of the first action that runs it, or its name.
function titleOf(operation, actions) {
  const action = actions.find((known) => known.operation === operation.name);
  return operation.title || (action && action.title) || operation.name;
}

// The action "operation" for a chosen operation: its own form, its own needs.
function adapt(action, operation) {
  const needs = has(operation.fields, "source") ? { needs: "selection" } : { audio: "none", needs: "position" };
  const called = operation.title || undefined;
  return { ...action, operation: operation.name, called, title: called || operation.name, ask: [], whole_form: true, ...needs };
}

module.exports = { others, titleOf, adapt };
