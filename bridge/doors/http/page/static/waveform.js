// The geometry of a waveform: which samples are seen, where bars and beats lie, what a region may be. Touches no page.

export const LEAST = 256; // samples that are seen at the closest look

// A window on the samples [start, end) of a sound of a length, drawn over a width in pixels.
export class Window {
  constructor(length, width) {
    Object.assign(this, { length: Math.max(1, length), width: Math.max(1, width), start: 0, end: Math.max(1, length) });
  }

  get span() { return this.end - this.start; }
  xAt(sample) { return ((sample - this.start) / this.span) * this.width; }
  sampleAt(x) { return Math.round(Math.min(this.length, Math.max(0, this.start + (x / this.width) * this.span))); }

  show(start, end) {
    const span = Math.min(this.length, Math.max(LEAST, Math.min(this.length, Math.round(end - start))));
    this.start = Math.round(Math.min(Math.max(0, start), this.length - span));
    this.end = this.start + span;
  }

  // factor 2 shows half as much; the sample stays where it is drawn.
  zoom(factor, sample = (this.start + this.end) / 2) {
    const span = Math.min(this.length, Math.max(LEAST, this.span / factor));
    const share = (sample - this.start) / this.span;
    this.show(sample - share * span, sample - share * span + span);
  }

  scroll(samples) { this.show(this.start + samples, this.end + samples); }
  all() { this.show(0, this.length); }

  reveal(sample) {
    if (sample < this.start || sample >= this.end) this.show(sample - this.span * 0.1, sample + this.span * 0.9);
  }
}

// Bars and beats. `bpm` counts quarters, `metre` is "4/4" and the like, `offset` is the sample at which bar 1 begins.
export class Grid {
  constructor(rate, bpm, metre = "4/4", offset = 0) {
    const [beats, unit] = readMetre(metre);
    Object.assign(this, { rate, bpm, beats, offset: offset || 0 });
    this.beat = (rate * 60 / bpm) * (4 / unit);
    this.bar = this.beat * beats;
  }

  sampleOfBar(bar) { return Math.floor(this.offset + (bar - 1) * this.bar + 0.5); }
  barAt(sample) { return (sample - this.offset) / this.bar + 1; }

  // "5.3" for beat 3 of bar 5.
  name(sample) {
    const beats = Math.floor((sample - this.offset) / this.beat + 1e-6);
    return `${Math.floor(beats / this.beats) + 1}.${((beats % this.beats) + this.beats) % this.beats + 1}`;
  }

  // The sample that "5" or "5.3" means; NaN for anything else.
  read(text) {
    const found = /^\s*(-?\d+)(?:\.(\d+))?\s*$/.exec(String(text));
    if (!found || (found[2] !== undefined && (Number(found[2]) < 1 || Number(found[2]) > this.beats))) return NaN;
    return Math.floor(this.offset + (Number(found[1]) - 1) * this.bar + (Number(found[2] ?? 1) - 1) * this.beat + 0.5);
  }

  step(unit) { return unit === "bar" ? this.bar : this.beat; }
  snap(sample, unit) {
    if (unit !== "bar" && unit !== "beat") return Math.round(sample);
    const step = this.step(unit);
    return Math.floor(this.offset + Math.round((sample - this.offset) / step) * step + 0.5);
  }

  // Lines of the ruler between two samples, at most `most`: {sample, bar (number or null for a beat)}.
  lines(start, end, most = 60) {
    let every = 1;
    while ((end - start) / (this.bar * every) > most) every *= 2;
    const withBeats = every === 1 && (end - start) / this.beat <= most * 2;
    const step = withBeats ? this.beat : this.bar * every;
    const found = [];
    for (let n = Math.ceil((start - this.offset) / step - 1e-9); this.offset + n * step <= end; n += 1) {
      const isBar = !withBeats || ((n % this.beats) + this.beats) % this.beats === 0;
      const bar = withBeats ? Math.floor(n / this.beats) + 1 : n * every + 1;
      found.push({ sample: Math.floor(this.offset + n * step + 0.5), bar: isBar ? bar : null });
    }
    return found;
  }
}

export function readMetre(text) {
  const found = /^(\d+)(?:\/(\d+))?$/.exec(String(text || "4/4").trim());
  if (!found) return [4, 4];
  const beats = Number(found[1]), unit = Number(found[2] ?? (beats === 6 ? 8 : 4));
  return beats && unit ? [beats, unit] : [4, 4];
}

// Lines of a ruler in seconds.
export function secondLines(start, end, rate, most = 12) {
  const steps = [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800];
  const step = steps.find((one) => (end - start) / rate / one <= most) ?? 3600;
  const found = [];
  for (let n = Math.ceil(start / rate / step - 1e-9); n * step * rate <= end; n += 1) found.push({ sample: Math.round(n * step * rate), seconds: n * step, step });
  return found;
}

// A region inside the sound, its ends in order and whole samples.
export function region(start, end, length) {
  const inside = (value) => Math.round(Math.min(length, Math.max(0, value)));
  const [low, high] = [inside(Math.min(start, end)), inside(Math.max(start, end))];
  return { start: low, end: high };
}

// What is wrong with regions: a key of the words, or "".
export function regionFault(regions, length) {
  if (!regions.length) return "edit.fault.none";
  if (regions.some((one) => !Number.isFinite(one.start) || !Number.isFinite(one.end))) return "edit.fault.number";
  if (regions.some((one) => one.end <= one.start)) return "edit.fault.empty";
  if (regions.some((one) => one.start < 0 || one.end > length)) return "edit.fault.outside";
  const sorted = [...regions].sort((a, b) => a.start - b.start);
  if (sorted.some((one, at) => at && one.start < sorted[at - 1].end)) return "edit.fault.overlap";
  return "";
}
