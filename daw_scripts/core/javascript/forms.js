// Forms made from the daemon's describe: rows to show, and texts back to typed values.
"use strict";

const HOST_FIELDS = new Set(["source", "upload", "source_latent", "start", "end", "length", "returns", "span_start", "span_end", "folder", "name",
  "fingerprint", "regions", "stages", "tempo_map"]);
const PLACE_FIELDS = new Set(["start_seconds", "end_seconds", "rate"]); // the host says the same in samples
const YES = new Set(["yes", "true", "on", "1", "y"]), NO = new Set(["no", "false", "off", "0", "n"]);
const OPEN = "leave open"; // what a list of choices shows for none of them; a menu of Max greys out what begins with a bracket
const ORDER = ["vocals", "backing_vocals", "drums", "percussion", "bass", "guitar", "keyboard", "strings", "brass", "woodwinds", "synth", "fx"];
const GROUPS = [["main", "Main"], ["sound", "Saved sound"], ["lyrics", "Lyrics"], ["music", "Music"], ["audio", "Sound"], ["model", "Model"], ["sampling", "Sampling"],
  ["guidance", "Guidance"], ["planner", "Planner"], ["output", "Output"], ["chain", "Chain"], ["advanced", "Advanced"]];
const SOUND = "sound"; // any action takes a sound that the user has named
const SHORT = 12; // rows of an operation's own form

function kind(field) {
  if (field.choices && field.choices.length) return field.type.startsWith("list") ? "choices" : "choice";
  return { int: "integer", float: "number", bool: "switch" }[field.type] || (field.type.startsWith("list") ? "list" : "text");
}

function label(field) {
  if (field.label) return field.label;
  const words = field.name.replace(/_/g, " ");
  return words[0].toUpperCase() + words.slice(1) + (field.unit ? ` (${field.unit})` : "");
}

// Choices in the order in which musicians think of them, where they are instruments.
function ordered(choices) {
  if (!choices || choices.some((choice) => !ORDER.includes(choice))) return choices;
  return [...choices].sort((one, two) => ORDER.indexOf(one) - ORDER.indexOf(two));
}

// Where the operation decides when nothing is chosen, the row may stay empty.
function isOptional(field, found) {
  return found.kind === "choice" && !field.required && [undefined, null, ""].includes(field.default);
}

function row(field, last, many) {
  const found = {
    name: field.name, label: label(field), kind: field.name === many ? "choices" : kind(field),
    value: last[field.name] !== undefined ? last[field.name] : field.default,
    summary: [field.summary, field.hint].filter(Boolean).join(" "), choices: ordered(field.choices), titles: field.titles, min: field.min, max: field.max,
    element: (/^list\[(\w+)\]/.exec(field.type) || [null, field.type])[1],
  };
  if (isOptional(field, found)) found.optional = true;
  if (field.name === "seed" && found.value === -1) delete found.value;
  for (const key of Object.keys(found)) if (found[key] === undefined || found[key] === null) delete found[key];
  return found;
}

// Maps and lists of lists are for programs; named sounds are chosen from, where there are any.
function canBeSet({ name, type, choices }) {
  if (name === SOUND && !(choices || []).some((choice) => choice !== "")) return false;
  return !HOST_FIELDS.has(name) && !PLACE_FIELDS.has(name) && !type.includes("map") && !type.includes("list[list");
}

const groupOf = (field) => field.group || "main"; // the daemon leaves defaults out

// The rows of a form: the fields named in ask that the operation has; without ask its main and music fields. many takes several choices.
function rows(fields, ask, last, many) {
  const own = (field) => ["main", "music"].includes(groupOf(field)) && canBeSet(field);
  const asked = ask.map((name) => fields.find((field) => field.name === name)).filter(Boolean);
  const sounds = fields.filter((field) => field.name === SOUND && canBeSet(field) && !ask.includes(SOUND));
  return (ask.length ? [...asked, ...sounds] : fields.filter(own).slice(0, SHORT)).map((field) => row(field, last, many));
}

// Every other field that a user may set, by group: {title, rows}. `shown` are the names of those that stand elsewhere.
function groups(fields, shown) {
  const rest = fields.filter((field) => canBeSet(field) && !shown.includes(field.name));
  const found = GROUPS.map(([name, title]) => ({ title, rows: rest.filter((field) => groupOf(field) === name).map((field) => row(field, {}, "")) }));
  return found.filter((group) => group.rows.length);
}

// A choice as it is shown: by its title where it has one, and without underscores.
function shownIn(row, choice) {
  return (row.titles && row.titles[choice]) || String(choice).replace(/_/g, " ");
}

// What a row offers to choose from, as it is shown; an optional one begins with none of it. Empty where anything may be typed.
function offers(row) {
  if (row.kind === "switch") return row.value === undefined ? [OPEN, "yes", "no"] : ["yes", "no"];
  const shown = (row.choices || []).filter((choice) => choice !== "").map((choice) => shownIn(row, choice));
  return row.optional || (shown.length && row.kind !== "choice") ? [OPEN, ...shown] : shown;
}

// A row's label without what it adds: "Seed: leave empty for a new one" is the seed.
const nameOf = (row) => row.label.split(":")[0];

// What a row takes, in one line.
function hint(row) {
  const limits = [row.min, row.max].some((limit) => limit !== undefined) ? `${row.min ?? ""} to ${row.max ?? ""}` : "";
  const choices = (row.choices || []).filter((choice) => choice !== "").map((choice) => shownIn(row, choice)).join(", ");
  const head = row.label + (row.label.includes(":") ? "." : ":");
  return [head, row.summary, limits, choices].filter(Boolean).join(" ");
}

// What to do about something that is not a choice (or, without choices, no number).
function unknown(text, row) {
  const shown = row.choices ? row.choices.map((choice) => shownIn(row, choice)).join(", ") : "numbers";
  return `'${text}' cannot be used here; enter ${shown}`;
}

const plain = (text) => String(text).toLowerCase().replace(/_/g, " ");

// The choice that a text means, by its own name or as it is shown.
function oneOf(text, row) {
  return row.choices.find((choice) => plain(choice) === plain(text) || plain(shownIn(row, choice)) === plain(text));
}

// The words of a list: split at commas, and at spaces where a part is not a choice as a whole.
function wordsOf(row, text) {
  const parts = text.split(",").map((word) => word.trim());
  if (!row.choices) return parts.filter(Boolean);
  return parts.flatMap((part) => (oneOf(part, row) === undefined ? part.split(/\s+/) : [part])).filter(Boolean);
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
  const found = [];
  for (const part of wordsOf(row, text)) {
    const number = ["int", "float"].includes(row.element);
    const value = row.choices ? oneOf(part, row) : number ? Number(part) : part;
    if (value === undefined || Number.isNaN(value)) return { wrong: unknown(part, row) };
    found.push(value);
  }
  return { value: found };
}

// The value of what the user typed into a row, as {value} ({} for an empty text) or {wrong}.
function parse(row, given) {
  const text = given.trim();
  if (text === "" || text === OPEN) return {};
  if (row.kind === "integer" || row.kind === "number") return parseNumber(row, text);
  if (row.kind === "choices" || row.kind === "list") return parseList(row, text);
  if (row.kind === "switch") {
    if (YES.has(text.toLowerCase())) return { value: true };
    return NO.has(text.toLowerCase()) ? { value: false } : { wrong: "enter yes or no" };
  }
  if (row.kind !== "choice") return { value: text };
  const value = oneOf(text, row);
  return value === undefined ? { wrong: unknown(text, row) } : { value };
}

// All rows at once: values by name, or {refusal: a sentence that names the row}.
function values(rows, texts) {
  const found = {};
  for (const [index, row] of rows.entries()) {
    const { value, wrong } = parse(row, texts[index] || "");
    if (wrong) return { refusal: `${nameOf(row)}: ${wrong}.` };
    if (value !== undefined) found[row.name] = value;
  }
  return found;
}

module.exports = { OPEN, rows, groups, offers, nameOf, hint, values };
