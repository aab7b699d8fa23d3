// Settings that contradict each other or will be changed, as sentences before anything runs. Touches no page.

const CLASHES = [
  ["calm", "aggressive"], ["serene", "aggressive"], ["dark", "bright"], ["joyful", "lonely"], ["joyful", "melancholic"],
  ["bone dry", "hall reverb"], ["bone dry", "spacious"], ["lo-fi", "polished"], ["lo-fi", "crisp"], ["minimal", "wall of sound"],
  ["a cappella", "drum machine"], ["a cappella", "distorted guitar"], ["swing", "straight eighths"], ["waltz", "four on the floor"],
  ["fade-out", "cold ending"], ["half-time", "four on the floor"], ["female vocal", "male vocal"], ["whispered vocal", "choir"],
];

export function words(caption) {
  return String(caption ?? "").split(",").map((one) => one.trim().toLowerCase()).filter(Boolean);
}

// Pairs of a caption that contradict each other.
export function clashes(caption) {
  const text = ` ${String(caption ?? "").toLowerCase()} `;
  const holds = (one) => new RegExp(`(^|[^a-z])${one}([^a-z]|$)`).test(text);
  return CLASHES.filter(([a, b]) => holds(a) && holds(b) && !(a === "female vocal" && !new RegExp("(^|[^e])male vocal").test(text.replaceAll("female vocal", ""))));
}

// Adds a tag to a caption, or takes it out.
export function toggled(caption, tag) {
  const parts = String(caption ?? "").split(",").map((one) => one.trim()).filter(Boolean);
  const at = parts.findIndex((one) => one.toLowerCase() === tag.toLowerCase());
  if (at >= 0) parts.splice(at, 1);
  else parts.push(tag);
  return parts.join(", ");
}

// Sentences (keys with values) about a request, the model it goes to, and the tier of the device: `minutes` of a take, `items` at a time.
export function contradictions(values, { model = null, fields = [], tier = {} } = {}) {
  const found = [];
  for (const [a, b] of clashes(values.caption)) found.push(["warn.clash", { a, b }]);
  const tempo = /(\d{2,3})\s*bpm/i.exec(values.caption ?? "");
  if (tempo && values.bpm !== undefined && Number(tempo[1]) !== Math.round(values.bpm)) found.push(["warn.tempo", { said: tempo[1], bpm: values.bpm }]);
  else if (tempo && values.bpm === undefined) found.push(["warn.tempo_field", { said: tempo[1] }]);
  const sings = String(values.lyrics ?? "").trim() && !/^\[instrumental\]$/i.test(String(values.lyrics).trim());
  if (values.instrumental && sings) found.push(["warn.instrumental", {}]);
  if (sings && (values.language ?? "unknown") === "unknown") found.push(["warn.language", {}]);
  if (values.seeds?.length && values.seed !== undefined) found.push(["warn.seeds", {}]);
  if (values.timesteps?.length && (values.steps !== undefined || values.shift !== undefined)) found.push(["warn.timesteps", {}]);
  const guided = model?.variant && !/turbo|nano/.test(model.variant);
  if (values.guidance_scale > 1 && model?.variant && /turbo/.test(model.variant) && !guided) found.push(["warn.turbo_guidance", {}]);
  if (values.steps > 20 && /turbo/.test(model?.variant ?? "")) found.push(["warn.turbo_steps", { steps: values.steps }]);
  const most = fields.find((field) => field.name === "duration")?.max;
  if (most && values.duration > most) found.push(["warn.long", { max: most }]);
  if (tier.minutes && values.duration > tier.minutes * 60) found.push(["warn.tier_long", { most: tier.minutes * 60 }]);
  if (tier.items && values.variants > tier.items) found.push(["warn.tier_takes", { most: tier.items }]);
  if (typeof values.duration === "number" && values.duration < 10 && values.duration > 0) found.push(["warn.short", {}]);
  if (values.variation > 0 && values.seed === undefined) found.push(["warn.variation", {}]);
  return found;
}

// The timesteps of a run, from 1 (noise) to 0: evenly spaced ones, bent by the shift.
export function timesteps(steps, shift = 1, given = null) {
  if (given?.length) return [...given];
  const count = Math.max(1, Math.min(1000, Math.round(steps || 8)));
  const bent = (time) => (shift * time) / (1 + (shift - 1) * time);
  return Array.from({ length: count + 1 }, (_, n) => bent(1 - n / count));
}
