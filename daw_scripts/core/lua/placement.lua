-- Where audio is cut and where it lands: samples, seconds, windows, fades. No host in here.

local placement = {}

--- The one rule that turns seconds into samples: floor(seconds * rate + 0.5).
function placement.samples(seconds, rate)
  return math.floor(seconds * rate + 0.5)
end

--- The same moment in samples of another rate; exact for equal rates, half a sample rounds up.
function placement.convert(position, from, to)
  if from == to then return position end
  return (2 * position * to + from) // (2 * from)
end

--- What to render around a region: context on both sides, never before zero and never past the end of the timeline.
-- All in samples at one rate. Gives the window and the region's place inside the rendered file.
function placement.window(first, last, context, timeline_end)
  local from = math.max(0, first - context)
  local to = last + context
  if timeline_end then to = math.max(last, math.min(to, timeline_end)) end
  return { from = from, to = to, start = first - from, ["end"] = last - from }
end

--- A region of the timeline inside an untouched file.
-- `clip` is {position, length, offset (seconds), rate, frames}: playback at normal speed, nothing reversed or looped. The region is
-- in seconds. Gives the region and the clip's span in the file's own samples, and `lead`, the seconds by which the span's first
-- sample comes before the clip (never more than one sample). Nil when the clip reaches outside its file.
function placement.in_file(clip, first, last)
  local rate = clip.rate
  local from, to = math.max(first, clip.position), math.min(last, clip.position + clip.length)
  if to <= from then return nil, "nothing_there" end
  local span_start = math.floor(clip.offset * rate + 1e-6)
  local span_end = math.ceil((clip.offset + clip.length) * rate - 1e-6)
  if span_start < 0 or span_end > clip.frames then return nil, "outside_file" end
  return {
    start = math.max(span_start, placement.samples(clip.offset + from - clip.position, rate)),
    ["end"] = math.min(span_end, placement.samples(clip.offset + to - clip.position, rate)),
    span_start = span_start,
    span_end = span_end,
    lead = math.max(0.0, clip.offset - span_start / rate),
  }
end

--- Where a result file lies on the timeline, in the project's samples.
-- `origin` is the timeline position of sample 0 of the source that was sent (or of the region, for newly made parts), in project samples.
function placement.landing(file, origin, project_rate)
  local start = placement.convert(file.start, file.rate, project_rate)
  local stop = placement.convert(file.start + file.length, file.rate, project_rate)
  local position = origin + start
  local skip = 0
  if position < 0 then position, skip = 0, -(origin + start) end
  return {
    position = position,
    length = origin + stop - position,
    skip = skip,
    fade_in = placement.convert(file.lead_in or 0, file.rate, project_rate),
    fade_out = placement.convert(file.lead_out or 0, file.rate, project_rate),
  }
end

--- Seconds that a tail of samples lasts; for hosts that count in seconds.
function placement.seconds(position, rate)
  return position / rate
end

return placement
