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

// The action "operation" for a chosen operation: its own form, its own needs.
function adapt(action, operation) {
  const needs = has(operation.fields, "source") ? { needs: "selection" } : { audio: "none", needs: "position" };
  return { ...action, operation: operation.name, title: operation.name, ask: [], whole_form: true, ...needs };
}

module.exports = { others, adapt };
