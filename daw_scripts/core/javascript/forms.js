// Forms made from the daemon's describe: rows to show, and texts back to typed values.
"use strict";

const HOST_FIELDS = new Set(["source", "upload", "source_latent", "start", "end", "length", "returns", "span_start", "span_end", "folder", "name",
  "fingerprint"]);
const PLACE_FIELDS = new Set(["start_seconds", "end_seconds", "rate"]); // the host says the same in samples
const YES = new Set(["yes", "true", "on", "1", "y"]), NO = new Set(["no", "false", "off", "0", "n"]);

function kind(field) {
  if (field.choices && field.choices.length) return field.type.startsWith("list") ? "choices" : "choice";
  return { int: "integer", float: "number", bool: "switch" }[field.type] || (field.type.startsWith("list") ? "list" : "text");
}

function label(field) {
  if (field.label) return field.label;
  const words = field.name.replace(/_/g, " ");
  return words[0].toUpperCase() + words.slice(1) + (field.unit ? ` (${field.unit})` : "");
}

function row(field, last, many) {
  const found = {
    name: field.name, label: label(field), kind: field.name === many ? "choices" : kind(field),
    value: last[field.name] !== undefined ? last[field.name] : field.default,
    summary: field.summary || "", choices: field.choices, min: field.min, max: field.max,
    element: (/^list\[(\w+)\]/.exec(field.type) || [null, field.type])[1],
  };
  for (const key of Object.keys(found)) if (found[key] === undefined || found[key] === null) delete found[key];
  return found;
}

// The rows of a form: the fields named in ask that the operation has; without ask its main and music fields. many takes several choices.
function rows(fields, ask, last, many) {
  const groups = new Set([undefined, "main", "music"]); // the daemon leaves defaults out: no group is main
  const own = (field) => groups.has(field.group) && !HOST_FIELDS.has(field.name);
  const wanted = ask.length ? ask.map((name) => fields.find((field) => field.name === name)).filter(Boolean) : fields.filter(own);
  return wanted.map((field) => row(field, last, many));
}

// The names of all fields that a user may set, of every group.
function offered(fields) {
  return fields.map((field) => field.name).filter((name) => !HOST_FIELDS.has(name) && !PLACE_FIELDS.has(name));
}

// What a row takes, in one line.
function hint(row) {
  const limits = [row.min, row.max].some((limit) => limit !== undefined) ? `${row.min ?? ""} to ${row.max ?? ""}` : "";
  return `${row.label}: ${[row.summary, limits, (row.choices || []).join(", ")].filter(Boolean).join(" ")}`;
}

// What to do about something that is no choice (or, without choices, no number).
function unknown(text, choices) {
  const shown = choices ? choices.map((choice) => String(choice).replace(/_/g, " ")).join(", ") : "numbers";
  return `'${text}' cannot be used here; enter ${shown}`;
}

function oneOf(text, choices) {
  return choices.find((choice) => String(choice).toLowerCase() === text.toLowerCase());
}

function parseNumber(row, text) {
  const value = Number(text.replace(/,/g, "."));
  if (!Number.isFinite(value)) return { wrong: "enter a number" };
  if (row.kind === "integer" && !Number.isInteger(value)) return { wrong: "enter a whole number" };
  if (row.min !== undefined && value < row.min) return { wrong: `enter ${row.min} or more` };
  if (row.max !== undefined && value > row.max) return { wrong: `enter ${row.max} or less` };
  return { value };
}

function parseList(row, text) {
  const found = []; // no choice holds a space, so that there spaces separate too
  for (const part of text.split(row.choices ? /[\s,]+/ : ",").map((word) => word.trim()).filter(Boolean)) {
    const number = ["int", "float"].includes(row.element);
    const value = row.choices ? oneOf(part, row.choices) : number ? Number(part) : part;
    if (value === undefined || Number.isNaN(value)) return { wrong: unknown(part, row.choices) };
    found.push(value);
  }
  return { value: found };
}

// The value of what the user typed into a row, as {value} ({} for an empty text) or {wrong}.
function parse(row, given) {
  const text = given.trim();
  if (text === "") return {};
  if (row.kind === "integer" || row.kind === "number") return parseNumber(row, text);
  if (row.kind === "choices" || row.kind === "list") return parseList(row, text);
  if (row.kind === "switch") {
    if (YES.has(text.toLowerCase())) return { value: true };
    return NO.has(text.toLowerCase()) ? { value: false } : { wrong: "enter yes or no" };
  }
  if (row.kind !== "choice") return { value: text };
  const value = oneOf(text, row.choices);
  return value === undefined ? { wrong: unknown(text, row.choices) } : { value };
}

// All rows at once: values by name, or {refusal: a sentence that names the row}.
function values(rows, texts) {
  const found = {};
  for (const [index, row] of rows.entries()) {
    const { value, wrong } = parse(row, texts[index] || "");
    if (wrong) return { refusal: `${row.label}: ${wrong}.` };
    if (value !== undefined) found[row.name] = value;
  }
  return found;
}

module.exports = { rows, offered, hint, values };
