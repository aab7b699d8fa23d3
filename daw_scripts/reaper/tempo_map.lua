-- REAPER's tempo map as the core's segments. REAPER counts a marker's bpm in the metre's own beats, so tempo is always taken from
-- the quarter notes between two times.

local tempo_map = {}

local EDGE = 0.001 -- seconds: who misses a bar line by less meant it
local EXACT = 1e-6 -- bars: what is nearer to a bar line than this lies on it

-- The number of the bar at a time, with a fraction inside a bar. At a marker REAPER may still count in the bar before it, so it is
-- asked a little later.
local function bar_at(project, time, bpm)
  local into, measure, num, _, den = reaper.TimeMap2_timeToBeats(project, time + EDGE)
  local bar = measure + 1 + (into - EDGE * bpm / 60 * den / 4) / num
  local line = math.floor(bar + 0.5)
  return math.abs(bar - line) < EXACT and line + 0.0 or bar
end

local function piece(project, from, to)
  local start = reaper.TimeMap2_timeToQN(project, from)
  local half = reaper.TimeMap2_timeToQN(project, (from + to) / 2) - start
  local whole = reaper.TimeMap2_timeToQN(project, to) - start
  local span = to - from
  local mean = 60.0 * whole / span
  local slope = 240.0 * (whole - 2 * half) / (span * span) -- bpm a second, from the curvature of quarters over time
  local num, den = reaper.TimeMap_GetTimeSigAtTime(project, from)
  local segment = { start = from, bpm = mean, num = math.floor(num), den = math.floor(den) }
  if math.abs(slope * span) > 1e-3 then
    segment.bpm = mean - slope * span / 2
    segment.ramp_to = mean + slope * span / 2
  end
  segment.bar = bar_at(project, from, segment.bpm)
  return segment
end

--- Segments that cover [first, last), in seconds, each with the number of the bar at its start.
function tempo_map.segments(project, first, last)
  local edges = { first }
  for index = 0, reaper.CountTempoTimeSigMarkers(project) - 1 do
    local _, at = reaper.GetTempoTimeSigMarker(project, index)
    if at > first and at < last then edges[#edges + 1] = at end
  end
  edges[#edges + 1] = last
  local segments = {}
  for index = 1, #edges - 1 do segments[index] = piece(project, edges[index], edges[index + 1]) end
  local tail = segments[#segments]
  segments[#segments + 1] = { start = last, bpm = tail.ramp_to or tail.bpm, num = tail.num, den = tail.den }
  segments[#segments].bar = bar_at(project, last, segments[#segments].bpm)
  return segments
end

--- The first and the last bar of [first, last), in seconds; bars count from 1.
function tempo_map.bars(project, first, last)
  local function bar(time)
    local _, measure = reaper.TimeMap2_timeToBeats(project, time)
    return math.floor(measure) + 1
  end
  return bar(first + EDGE), bar(math.max(first + EDGE, last - EDGE))
end

return tempo_map
