// The figures of a training as lines of a plot. Touches no page.

const KEPT = 0.9; // of the mean before, at each point: TensorBoard's smoothing at its usual setting

const drawable = (points) => points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));

// A running mean that begins at the first point; `points` are [x, y] in order.
export function smoothed(points, kept = KEPT) {
  let mean = 0, weight = 0;
  return drawable(points).map(([x, y]) => {
    mean = kept * mean + (1 - kept) * y;
    weight = kept * weight + (1 - kept);
    return [x, mean / weight];
  });
}

// Lines of an answer of `trainings`: every step, their running mean, and the songs that validate; empty ones are left out.
export function lines(training) {
  const steps = drawable(training.losses ?? []), history = training.history ?? [];
  const trained = steps.length ? smoothed(steps) : drawable(history.map((row) => [row.step, row.loss]));
  const found = [{ name: "steps", points: steps }, { name: "training", points: trained }, { name: "validation", points: drawable(history.map((row) => [row.step, row.validation ?? NaN])) }];
  return found.filter((line) => line.points.length);
}

// The smallest box around all lines, with some room above and below; null without a point.
export function frame(found) {
  const points = found.flatMap((line) => line.points);
  if (!points.length) return null;
  const all = (at) => points.map((point) => point[at]);
  const range = (values) => values.reduce(([low, high], one) => [Math.min(low, one), Math.max(high, one)], [Infinity, -Infinity]);
  const [left, right] = range(all(0)), [low, high] = range(all(1));
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return { left, right: Math.max(right, left + 1), low: low - room, high: high + room };
}

// Round numbers between two values, at most `most`.
export function ticks(low, high, most = 5) {
  const rough = (high - low) / Math.max(1, most);
  if (!(rough > 0) || !Number.isFinite(rough)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * (1 - 1e-9));
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) found.push(Number((n * step).toPrecision(12)));
  return found;
}

// What the plot shows, in numbers: the newest values and the epoch that validates best.
export function summary(training) {
  const history = training.history ?? [], last = history[history.length - 1] ?? null;
  const judged = history.filter((row) => Number.isFinite(row.validation));
  const best = judged.reduce((found, row) => (!found || row.validation < found.validation ? row : found), null);
  return { epoch: last?.epoch ?? 0, loss: last?.loss ?? null, validation: judged[judged.length - 1]?.validation ?? null, best };
}

export const figure = (value) => (Number.isFinite(value) ? Number(value.toPrecision(4)).toString() : "–");
