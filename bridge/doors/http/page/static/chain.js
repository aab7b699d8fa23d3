// A chain of stages as plain data: add, remove, move, read, write, and what is wrong with it before anybody is asked. Touches no page.
//
// A stage is {type, from, region, values}. `from` is what it goes on from: the index of an earlier stage, SOURCE for the sound of the
// whole chain, or a place of its own ({path}, {upload} or {latent}). `region` is a stretch of that, in the words of the daemon.

export const SOURCE = "source";
export const MOST_STAGES = 16;

const PLACES = ["path", "upload", "latent"];
const REGION = ["start", "end", "length", "start_seconds", "end_seconds", "context"];

const isStage = (from) => typeof from === "number";
const before = (at) => (at > 0 ? at - 1 : SOURCE);

export const newStage = (type, at) => ({ type, from: before(at), region: {}, values: {} });

export const added = (stages, type) => [...stages, newStage(type, stages.length)];

// Without a stage. Who went on from it goes on from what it went on from: `rewired` says which stages that are now.
export function removed(stages, at) {
  const gone = stages[at].from, rewired = [];
  const left = stages.filter((_, n) => n !== at).map((stage, n) => {
    if (stage.from === at) rewired.push(n);
    const from = stage.from === at ? gone : stage.from;
    return { ...stage, from: isStage(from) && from > at ? from - 1 : from };
  });
  return { stages: left, rewired };
}

// A stage at another place. Who goes on from whom stays, but nobody goes on from a stage that comes later: `rewired` says who had to change.
export function moved(stages, at, to) {
  if (to < 0 || to >= stages.length || to === at) return { stages, rewired: [] };
  const order = stages.map((_, n) => n).filter((n) => n !== at);
  order.splice(to, 0, at);
  const rewired = [];
  const next = order.map((old, n) => {
    const { from } = stages[old];
    if (!isStage(from)) return stages[old];
    const there = order.indexOf(from);
    if (there < n) return { ...stages[old], from: there };
    rewired.push(n);
    return { ...stages[old], from: before(n) };
  });
  return { stages: next, rewired };
}

// What is wrong with a chain, as [index of the stage or -1, key of the words, values]. `kinds`: type -> {source}; `models`: those present.
export function faults(stages, { kinds, models, source }) {
  if (!stages.length) return [[-1, "pipeline.fault.empty", {}]];
  const found = stages.length > MOST_STAGES ? [[-1, "pipeline.fault.many", { most: MOST_STAGES }]] : [];
  stages.forEach((stage, n) => {
    const kind = kinds.get(stage.type), { model } = stage.values;
    if (!kind) found.push([n, "pipeline.fault.type", { type: stage.type }]);
    else if (kind.source === "required" && stage.from === SOURCE && !source) found.push([n, "pipeline.fault.source", {}]);
    if (model && !models.includes(model)) found.push([n, "pipeline.fault.model", { model }]);
  });
  return found;
}

// The chain as the operation `render` takes it. The stage before is meant where no source is named.
export function request(stages, { conditioning = {}, source = null, output = {}, kinds = new Map() } = {}) {
  const made = stages.map((stage, n) => {
    const said = { type: stage.type, ...stage.values };
    const usual = stage.from === before(n) && !filled(stage.region);
    return usual || kinds.get(stage.type)?.source === "none" ? said : { ...said, source: { ...placeOf(stage.from), ...stage.region } };
  });
  return { stages: made, ...(filled(conditioning) ? { conditioning } : {}), ...(source ? { source } : {}), ...(filled(output) ? { output } : {}) };
}

// The same as the file of a preset.
export function preset(name, stages, { conditioning = {}, source = null, output = {}, kinds = new Map() } = {}) {
  const { stages: made } = request(stages, { kinds });
  return { format: "acestep-bridge/preset", version: 1, name, source: Boolean(source), stages: made, conditioning, output };
}

const filled = (map) => Object.keys(map ?? {}).length > 0;
const placeOf = (from) => (isStage(from) ? { stage: from + 1 } : from === SOURCE ? {} : from);

// What cannot be a chain, with the words that say why.
export class NoChain extends Error {
  constructor(key, values = {}) {
    super(key);
    Object.assign(this, { key, values });
  }
}

// Text of a file as a chain: a preset, a request, or the recipe of a result. Throws NoChain.
export function read(text) {
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    throw new NoChain("pipeline.fault.json");
  }
  return chainOf(data);
}

export function chainOf(data) {
  const whole = [data?.params, data?.request, data].find((one) => Array.isArray(one?.stages));
  if (!whole) throw new NoChain("pipeline.fault.none");
  if (!whole.stages.length) throw new NoChain("pipeline.fault.none");
  if (whole.stages.length > MOST_STAGES) throw new NoChain("pipeline.fault.many", { most: MOST_STAGES });
  const stages = whole.stages.map(stageOf);
  const source = isMap(whole.source) ? said({ ...whole.source, fingerprint: null }) : null;
  return { stages, conditioning: mapOf(whole.conditioning), output: mapOf(whole.output), source: source && filled(source) ? source : null };
}

function stageOf(given, n) {
  if (!isMap(given) || typeof given.type !== "string") throw new NoChain("pipeline.fault.untyped", { number: n + 1 });
  const { type, source, input, ...values } = given;
  const place = isMap(source) ? said(source) : null;
  return { type, from: fromOf(place, input, n), region: pick(place ?? {}, REGION), values: said(values) };
}

// `input` is how version 1 of the format named an earlier stage, counted from 0.
function fromOf(place, input, n) {
  const earlier = place?.stage !== undefined ? place.stage - 1 : input;
  if (earlier !== undefined && earlier !== null) {
    if (!Number.isInteger(earlier) || earlier < 0 || earlier >= n) throw new NoChain("pipeline.fault.order", { number: n + 1 });
    return earlier;
  }
  if (!place) return before(n);
  const own = pick(place, PLACES);
  return filled(own) ? own : SOURCE;
}

const isMap = (one) => Boolean(one) && typeof one === "object" && !Array.isArray(one);
const mapOf = (one) => said(isMap(one) ? one : {});
const pick = (map, names) => Object.fromEntries(Object.entries(map).filter(([name]) => names.includes(name)));

// What somebody said: a recipe also writes down what was left open.
const said = (map) => Object.fromEntries(Object.entries(map).filter(([, value]) => value !== null && value !== undefined && value !== ""));

// Where the daemon's refusal of a chain belongs: {part, index, field}.
export function placeOfFault(field) {
  const [, index, inner] = /^stages\[(\d+)\]\.?(.*)$/.exec(field ?? "") ?? [];
  if (index !== undefined) return { part: /^source|^input/.test(inner) ? "source" : "stage", index: Number(index), field: inner };
  const [, part, rest] = /^(conditioning|output)\.?(.*)$/.exec(field ?? "") ?? [];
  if (part) return { part, index: -1, field: rest };
  return { part: /^source/.test(field ?? "") ? "source" : "", index: -1, field: field ?? "" };
}
