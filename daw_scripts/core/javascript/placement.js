// Where audio is cut and where it lands: samples, seconds, windows, fades.
"use strict";

// The one rule that turns seconds into samples.
function samples(seconds, rate) {
  return Math.floor(seconds * rate + 0.5);
}

// The same moment in samples of another rate; exact for equal rates, half a sample rounds up. BigInt: products pass 2^53.
function convert(position, from, to) {
  if (from === to) return position;
  const above = 2n * BigInt(position) * BigInt(to) + BigInt(from);
  const below = 2n * BigInt(from);
  let whole = above / below;
  if (above < 0n && whole * below !== above) whole -= 1n;
  return Number(whole);
}

// What to render around a region: context on both sides, never before zero and never past the end of the timeline.
function window(first, last, context, timelineEnd) {
  const from = Math.max(0, first - context);
  let to = last + context;
  if (timelineEnd !== undefined && timelineEnd !== null) to = Math.max(last, Math.min(to, timelineEnd));
  return { from, to, start: first - from, end: last - from };
}

// A region of the timeline (s) inside an untouched file, in the file's samples: {cut} or {refusal: code}.
// clip: {position, length, offset (s), rate, frames}; lead is the time by which the span's first sample comes before the clip.
function inFile(clip, first, last) {
  const rate = clip.rate;
  const from = Math.max(first, clip.position);
  const to = Math.min(last, clip.position + clip.length);
  if (to <= from) return { refusal: "nothing_there" };
  const span_start = Math.floor(clip.offset * rate + 1e-6);
  const span_end = Math.ceil((clip.offset + clip.length) * rate - 1e-6);
  if (span_start < 0 || span_end > clip.frames) return { refusal: "outside_file" };
  return {
    cut: {
      start: Math.max(span_start, samples(clip.offset + from - clip.position, rate)),
      end: Math.min(span_end, samples(clip.offset + to - clip.position, rate)),
      span_start,
      span_end,
      lead: Math.max(0, clip.offset - span_start / rate),
    },
  };
}

// Where a result file lies on the timeline, in the project's samples. origin: timeline position of the source's sample 0.
function landing(file, origin, projectRate) {
  const start = convert(file.start, file.rate, projectRate);
  const end = convert(file.start + file.length, file.rate, projectRate);
  let position = origin + start, skip = 0;
  if (position < 0) { skip = -position; position = 0; }
  return {
    position,
    length: origin + end - position,
    skip,
    fade_in: convert(file.lead_in || 0, file.rate, projectRate),
    fade_out: convert(file.lead_out || 0, file.rate, projectRate),
  };
}

function seconds(position, rate) {
  return position / rate;
}

module.exports = { samples, convert, window, inFile, landing, seconds };
