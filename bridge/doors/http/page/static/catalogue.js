// Rows of `models.list` and `loras` as the page shows them. Touches no page.

// Models that are here, and those that could be fetched; the default one first, language models last.
export function sorted(rows) {
  const rank = (row) => (row.default ? 0 : row.kind === "language" ? 2 : 1);
  const order = rows.map((row, at) => ({ row, at })).sort((a, b) => rank(a.row) - rank(b.row) || a.at - b.at).map(({ row }) => row);
  return { here: order.filter((row) => row.present), absent: order.filter((row) => !row.present) };
}

// Whether the weights must not be used for money: a licence of Creative Commons with "NC" in it.
export const noncommercial = (license) => /(^|[^a-z])nc([^a-z]|$)/i.test(String(license ?? ""));

export const named = (models, name) => (models ?? []).some((one) => (one.name ?? one) === name);

// "name=0.8" for a request; a strength of 1 goes without saying.
export const asked = (name, strength) => (strength === 1 ? name : `${name}=${Number(strength.toPrecision(4))}`);

// The adapters of a request with one put in, or at another strength; strength null takes it out.
export function withAdapter(adapters, name, strength) {
  const others = (adapters ?? []).filter((one) => one.split("=")[0] !== name);
  return strength === null ? others : [...others, asked(name, strength)];
}

// The strength at which a request has an adapter; null where it has not.
export function strengthIn(adapters, name) {
  const found = (adapters ?? []).find((one) => one.split("=")[0] === name);
  if (found === undefined) return null;
  const value = found.includes("=") ? Number(found.slice(found.indexOf("=") + 1)) : 1;
  return Number.isFinite(value) ? value : 1;
}
