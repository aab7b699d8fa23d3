// The columns of a dataset's table: which label each is, how it is shown, and what a typed text changes. Touches no page.

// `kind`: text | area | number | check | select. Values are read by the daemon, which takes them as people write them.
export const COLUMNS = [
  { name: "caption", kind: "area" }, { name: "genre", kind: "text" }, { name: "lyrics", kind: "area" },
  { name: "bpm", kind: "number" }, { name: "keyscale", kind: "text" }, { name: "timesignature", kind: "text" },
  { name: "language", kind: "text" }, { name: "is_instrumental", kind: "check" }, { name: "split", kind: "select", choices: ["", "train", "validation"] },
];

// How a sample's label stands in its cell.
export function shownLabel(column, sample) {
  const value = column.name === "split" ? sample.acestep_bridge?.split : sample[column.name];
  if (column.kind === "check") return Boolean(value);
  return value === null || value === undefined ? "" : String(value);
}

// The change that a cell asks for, as `dataset-edit` takes it; null where it says what is there.
export function change(column, sample, typed) {
  const said = typeof typed === "string" ? typed.trim() : typed;
  if (said === shownLabel(column, sample)) return null;
  return { [column.name]: said };
}

// Why a measured label may be wrong; "" where nobody doubts it.
export const doubt = (column, sample) => sample.acestep_bridge?.unsure?.[column.name] ?? "";

// The cell that an arrow key leads to from row and column, inside a table of so many rows; null at its end.
export function neighbour({ row, column }, key, rows) {
  const next = { row: row + ({ ArrowDown: 1, ArrowUp: -1 }[key] ?? 0), column };
  return next.row < 0 || next.row >= rows || next.row === row ? null : next;
}
