// A set's clips as a dataset to train on: one request to the daemon. Hosts find the audio.
"use strict";

const MAX_NAME = 60; // characters; the daemon takes some more, so that a number may follow

// What a dataset's name cannot hold, and spaces and invisible characters beyond ASCII.
const STRANGE = /[^A-Za-z0-9. +_\u00a1-\u{10ffff}-]/gu;
const UNSEEN = /[\u00ad\u2000-\u200f\u2028-\u202f\u2060\u3000\ufeff\ud800-\udfff]/gu;

// A name that the daemon takes, made of a project's.
function name(title) {
  const plain = (title || "").replace(STRANGE, " ").replace(UNSEEN, " ").replace(/^[\s._+-]+/, "").replace(/\s+/g, " ");
  return Array.from(plain).slice(0, MAX_NAME).join("").replace(/[\s.]+$/, "") || "project";
}

// The request for pieces {path, start, length (samples of the file), title, song}, or {refusal}. A piece that is there twice, as in a loop,
// counts once.
function params(dataset, pieces) {
  const regions = new Map();
  for (const { path, start, length, title = "", song = "" } of pieces) {
    const key = JSON.stringify([path, start, length]);
    if (length > 0 && !regions.has(key)) regions.set(key, { path, start, length, title, song });
  }
  return regions.size ? { dataset, regions: [...regions.values()] } : { refusal: { code: "no_pieces" } };
}

// What to tell the user once the daemon has made the dataset, as {code, ...}. `data` is the job's answer.
function made(data) {
  const left = data.left_out || [];
  const told = left.length ? `; ${left.length} could not be used: ${left[0].reason}` : "";
  return { code: "dataset_made", name: data.dataset, count: data.samples, seconds: Math.floor((data.seconds || 0) + 0.5), left: told };
}

module.exports = { name, params, made };
