-- The host's tempo map as a job takes it (field tempo_map): points on the timeline of what is sent. No host in here.
-- Segments are those of tempo.lua, each with `bar`, the number of the bar at its start, with a fraction inside a bar.

local import = ...
local json, placement = import("json"), import("placement")

local song_map = {}

local BPM_RANGE = { 10.0, 1000.0 }
local MAX_POINTS = 4096
local SAME_BPM, SAME_BAR = 1e-6, 1e-3
local SLIVER = 0.01 -- beats: a ramp whose length is known to a sample or a tick ends with its last beat

local function point(time, bpm, segment, bar)
  return { time = time, bpm = bpm, metre = string.format("%d/%d", segment.num, segment.den), bar = bar }
end

-- A linear ramp as one point a beat, each with the mean tempo of its beat: the beats lie where the host has them.
local function add_ramp(points, segment, stop)
  local span = stop - segment.start
  local slope = (segment.ramp_to - segment.bpm) / span
  local beat, whole = 4 / segment.den, (segment.bpm + segment.ramp_to) / 2 * span / 60
  local function time_of(quarter) -- after so many quarters, from the area under the ramp
    return (math.sqrt(segment.bpm ^ 2 + 120 * slope * quarter) - segment.bpm) / slope
  end
  local from, quarter, count = 0.0, 0.0, 0
  while quarter < whole do
    local following = quarter + beat
    if whole - following < SLIVER * beat then following = whole end
    local to = following == whole and span or time_of(following)
    points[#points + 1] = point(segment.start + from, 60 * (following - quarter) / (to - from), segment,
                                segment.bar and segment.bar + count / segment.num)
    from, quarter, count = to, following, count + 1
  end
end

-- Whether a point says nothing that does not follow from the one before it.
local function follows(before, new)
  if math.abs(before.bpm - new.bpm) >= SAME_BPM or before.metre ~= new.metre then return false end
  if not new.bar or not before.bar then return true end
  local num, den = before.metre:match("(%d+)/(%d+)")
  local counted = before.bar + (new.time - before.time) * before.bpm / 60 * den / 4 / num
  return math.abs(counted - new.bar) < SAME_BAR
end

local function find_points(segments)
  local points = {}
  for index, segment in ipairs(segments) do
    local following = segments[index + 1]
    if segment.ramp_to and following and math.abs(segment.ramp_to - segment.bpm) >= SAME_BPM then
      add_ramp(points, segment, following.start)
    else
      local new = point(segment.start, segment.bpm, segment, segment.bar)
      if not points[1] or not follows(points[#points], new) then points[#points + 1] = new end
    end
  end
  return points
end

--- The points {sample, bpm, metre, bar} of segments, on a timeline at `rate` whose sample 0 lies at `zero` (s). Nil where a job
-- takes no such map: a tempo below 10 or above 1000 bpm, or too many points.
function song_map.points(segments, zero, rate)
  local list = json.list()
  for _, found in ipairs(find_points(segments)) do
    if found.bpm < BPM_RANGE[1] or found.bpm > BPM_RANGE[2] then return nil end
    local sample = placement.samples(found.time - zero, rate)
    if not list[1] or sample > list[#list].sample then
      list[#list + 1] = { sample = sample, bpm = found.bpm, metre = found.metre, bar = found.bar }
    end
  end
  return #list > 0 and #list <= MAX_POINTS and list or nil
end

return song_map
