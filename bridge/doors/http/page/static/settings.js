// A request, a recipe or a bare map of fields, as the values of a form. Touches no page.

// {values, variants}: of the fields that the form has, what differs from the usual. `variants` is 0 where nothing says it.
export function settingsOf(data, fields, omit = []) {
  const request = data?.request ?? data?.params ?? data;
  if (!request || typeof request !== "object" || Array.isArray(request)) throw new Error("no settings");
  const said = (map) => Object.fromEntries(Object.entries(map ?? {}).filter(([, value]) => value !== null)); // a stage says null where the song says it
  const all = { ...said(request), ...said(request.conditioning), ...said(request.stages?.[0]), ...said(request.output) };
  const known = new Map(fields.map((field) => [field.name, field]));
  const fits = ([name, value]) => known.has(name) && !omit.includes(name) && JSON.stringify(value) !== JSON.stringify(known.get(name).default);
  const values = Object.fromEntries(Object.entries(all).filter(fits));
  if (values.seeds?.length === 1 && values.seeds[0] === values.seed) delete values.seeds;
  if (!Object.keys(all).some((name) => known.has(name))) throw new Error("no settings");
  return { values, variants: Number.isInteger(all.variants) ? all.variants : 0 };
}
