// What a field of `describe` becomes in a form: which control, what its text means, whether a value is allowed. Touches no page.

export const GROUPS = ["main", "chain", "lyrics", "music", "source", "sampling", "guidance", "model", "audio", "sound", "planner", "output", "store", "advanced"];

export const HIDDEN = new Set(["internal"]);

const MOST_TICKS = 24; // choices of a list that are shown as boxes to tick

export const groupOf = (field) => field.group || "main";

// check | select | ticks | number | slider | area | text | list | lines | json
export function control(field) {
  const choices = field.choices ?? [];
  if (field.type === "bool") return "check";
  if (/^(list\[str\])/.test(field.type) && choices.length && choices.length <= MOST_TICKS) return "ticks";
  if (choices.length && !field.type.startsWith("list")) return "select";
  if (field.type === "int" || field.type === "float") {
    const bounded = typeof field.min === "number" && typeof field.max === "number";
    return field.type === "float" && bounded && field.max - field.min <= 10 ? "slider" : "number";
  }
  if (field.type === "list[str]") return "lines"; // captions, paths and names may hold commas
  if (/^list\[(int|float)\]$/.test(field.type)) return "list";
  if (field.type !== "str") return "json";
  return (field.max_length ?? 0) >= 4096 && field.max_length !== 4095 ? "area" : "text";
}

// The choices that are worth showing: keys come in several spellings.
export function shownChoices(field) {
  const choices = field.choices ?? [];
  return field.choices_from === "keys" ? choices.filter((one) => !/[♯♭]/.test(one)) : choices;
}

const empty = (text) => text === "" || text === null || text === undefined;

// {value} (undefined: the default), or {fault: key of the words, limits}.
export function read(field, text) {
  const kind = control(field);
  if (kind === "check") return same(field, Boolean(text));
  if (kind === "ticks") return text.length ? same(field, text) : { value: undefined };
  if (empty(typeof text === "string" ? text.trim() : text)) return field.required ? { fault: "fault.needed" } : { value: undefined };
  if (kind === "list" || kind === "lines") return readList(field, text);
  if (kind === "json") return readJson(field, text);
  if (field.type === "int" || field.type === "float") return readNumber(field, text);
  const value = String(text);
  if (kind === "select") return same(field, typeof (field.choices[0]) === "number" ? Number(value) : value);
  if (field.max_length && [...value].length > field.max_length) return { fault: "fault.long", limits: { max: field.max_length } };
  return same(field, value);
}

function same(field, value) {
  const usual = field.default ?? (field.type === "bool" ? false : field.type === "str" ? "" : undefined);
  return { value: JSON.stringify(value) === JSON.stringify(usual) ? undefined : value };
}

function readNumber(field, text) {
  const cleaned = String(text).trim().replace(",", ".");
  // "8bars" is a length, where the field is one
  if (field.unit === "s" && /^\d+(\.\d+)?\s*bars?$/i.test(cleaned)) return { value: cleaned.replace(/\s+/, "") };
  const value = Number(cleaned);
  if (!Number.isFinite(value)) return { fault: "fault.number" };
  if (field.type === "int" && !Number.isInteger(value)) return { fault: "fault.whole" };
  if ((typeof field.min === "number" && value < field.min) || (typeof field.max === "number" && value > field.max)) {
    return { fault: field.min === undefined ? "fault.most" : field.max === undefined ? "fault.least" : "fault.between", limits: { min: field.min, max: field.max } };
  }
  return same(field, value);
}

// The planner's own spelling of a code: "<|audio_code_123|>".
const CODE = /<\|audio_code_(\d+)\|>/g;

function readList(field, text) {
  if (field.type === "list[int]" && typeof text === "string" && text.includes("<|audio_code_")) return same(field, [...text.matchAll(CODE)].map(([, code]) => Number(code)));
  const parts = Array.isArray(text) ? text : String(text).split(field.type === "list[str]" ? "\n" : ",").map((one) => one.trim()).filter(Boolean);
  if (field.type === "list[str]") return same(field, parts.length ? parts.map(String) : field.default ?? undefined);
  const numbers = parts.map(Number);
  if (numbers.some((one) => !Number.isFinite(one))) return { fault: "fault.numbers" };
  if (field.type === "list[int]" && numbers.some((one) => !Number.isInteger(one))) return { fault: "fault.whole" };
  return same(field, numbers);
}

function readJson(field, text) {
  try {
    return same(field, typeof text === "string" ? JSON.parse(text) : text);
  } catch {
    return { fault: "fault.json" };
  }
}

// A value as the control shows it.
export function shown(field, value) {
  if (value === undefined || value === null) return control(field) === "check" ? false : control(field) === "ticks" ? [] : "";
  if (["check", "ticks"].includes(control(field))) return value;
  if (["list", "lines"].includes(control(field)) && Array.isArray(value)) return value.join(field.type === "list[str]" ? "\n" : ", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// The fields of an operation by group, in order; `short` come first, in a group of their own.
export function grouped(fields, short = [], omit = []) {
  const left = new Set(omit);
  const first = short.map((name) => fields.find((field) => field.name === name)).filter(Boolean).filter((field) => !left.has(field.name));
  first.forEach((field) => left.add(field.name));
  const groups = new Map(first.length ? [["short", first]] : []);
  const names = [...GROUPS, ...new Set(fields.map(groupOf).filter((name) => !GROUPS.includes(name)))];
  for (const name of names) {
    if (HIDDEN.has(name)) continue;
    const found = fields.filter((field) => groupOf(field) === name && !left.has(field.name));
    if (found.length) groups.set(name, found);
  }
  return groups;
}
