// The spool protocol: one JSON file a request, one a status. Only names and texts here.
"use strict";

const REQUEST = "acestep-bridge/spool", STATUS = "acestep-bridge/spool-status", VERSION = 1;
const TERMINAL = new Set(["done", "failed", "cancelled", "interrupted"]);

function isName(text) {
  return typeof text === "string" && /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$/.test(text);
}

// The paths of a request inside the spool folder; write draft, rename it to request, wait for status.
function paths(folder, name) {
  return {
    draft: `${folder}/requests/${name}.tmp`,
    request: `${folder}/requests/${name}.json`,
    status: `${folder}/status/${name}.json`,
  };
}

function request(method, params) {
  return JSON.stringify({ format: REQUEST, version: VERSION, method, params });
}

// What a status file says: {status: {name, answer, error, job, ended}} or {refusal: sentence}.
function status(text) {
  let data;
  try { data = JSON.parse(text); } catch (failure) { return { refusal: String(failure.message) }; }
  if (typeof data !== "object" || data === null || data.format !== STATUS) return { refusal: "not a status file of acestep-bridge" };
  if (!Number.isInteger(data.version) || data.version > VERSION) return { refusal: "the status file has a newer version" };
  const job = data.job || null, error = data.error || null;
  const answer = data.answer === undefined ? null : data.answer;
  const ended = error !== null || (job !== null ? TERMINAL.has(job.state) : answer !== null);
  return { status: { name: data.name, answer, error, job, ended } };
}

// One line for the user about a job.
function line(job) {
  const progress = job.progress || {};
  if (job.state === "running") {
    const stage = progress.stage ? ` ${progress.stage}` : "";
    return `${job.operation}:${stage} ${Math.floor(100 * (progress.fraction || 0) + 0.5)} %`;
  }
  if (job.state === "queued") return `${job.operation}: waiting, place ${job.position || 0}`;
  return `${job.operation}: ${job.error ? job.error.message : job.state}`;
}

module.exports = { TERMINAL, isName, paths, request, status, line };
