// From a finished job to what the host puts on the timeline: plain data.
"use strict";

const { landing } = require("./placement.js");
const { sentence } = require("./requests.js");

const SHOWN = new Set(["patch", "span", "whole", "part", "stem", "residual"]);

function word(pending, file) {
  return file.track || pending.pick || pending.operation;
}

// What the user reads: a preset has a title of its own.
function shown(pending, file) {
  return file.track || pending.pick || pending.called || pending.operation;
}

// The file name under which a result is copied into the project: unique by job id and index.
function copyName(pending, file, index) {
  const found = /\.([A-Za-z0-9]+)$/.exec(file.path);
  const extension = found ? found[1].toLowerCase() : "wav";
  return `${word(pending, file).replace(/[^A-Za-z0-9]+/g, "_")}-${pending.id}-${index}.${extension}`;
}

// What to place of a job, in order of variant. Positions are project samples.
function placements(pending, job) {
  const found = [];
  ((job.result && job.result.files) || []).forEach((file, index) => {
    if (!SHOWN.has(file.role) || file.preview) return;
    const variant = file.variant || 0;
    const seed = file.seed === undefined || file.seed === null ? "" : ` (seed ${file.seed})`;
    found.push({
      ...landing(file, pending.origin, pending.rate),
      path: file.path,
      copy: copyName(pending, file, index + 1),
      role: file.role,
      variant,
      track_name: shown(pending, file),
      name: `${shown(pending, file)} ${variant + 1}${seed}`,
      take: pending.place === "take",
    });
  });
  return found;
}

// What the user should know of a finished job, as one text: what was changed on the way to the model, then the daemon's own notes.
function notes(messages, pending, job) {
  const own = (pending.notes || []).map((facts) => sentence(messages, facts));
  return [...own, ...((job.result && job.result.notes) || [])].join(" ");
}

module.exports = { placements, copyName, notes };
