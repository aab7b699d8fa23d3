-- Ardour's tempo map as the core's segments. Ardour 7 does not list its tempo points to scripts, so the map is probed, and each change
-- is then found to the sample. What changes more than once between two probes counts as a ramp.

local tempo_map = {}

local PROBES = 64 -- at least so many, and
local PER_SECOND = 2
local TICKS = 1920 -- of a beat, whatever its note value
local SAME_BPM = 1e-6
local EDGE = 0.001 -- seconds: who misses a bar line by less meant it
local NEAR = 0.1 -- seconds: a slow ramp moves so little at its ends that they cannot be found closer

-- Tempo and metre of a sample. A tempo point's own sample still counts as before it in Ardour 7.3, so the next one is asked for.
local function state_at(map, sample)
  local position = Temporal.timepos_t(sample + 1)
  local meter = map:meter_at(position)
  return { bpm = map:quarters_per_minute_at(position), num = meter:divisions_per_bar(), den = meter:note_value() }
end

local function same_metre(a, b)
  return a.num == b.num and a.den == b.den
end

local function same(a, b)
  return math.abs(a.bpm - b.bpm) < SAME_BPM and same_metre(a, b)
end

-- The first sample after `low` from which on `is_over` holds; it holds at `high`.
local function boundary(map, low, high, is_over)
  while high - low > 1 do
    local middle = (low + high) // 2
    if is_over(state_at(map, middle)) then high = middle else low = middle end
  end
  return high
end

-- What changes between two neighbouring probes: from sample `leave` on it is no longer as before, from `arrive` on it is as after.
-- A step has both at once; nil when nothing changes.
local function change(map, before, after)
  if same(before.state, after.state) then return nil end
  local leave = boundary(map, before.at, after.at, function(state) return not same(state, before.state) end)
  local arrive = boundary(map, leave - 1, after.at, function(state) return same(state, after.state) end)
  return { leave = leave, arrive = arrive, head = state_at(map, leave), tail = state_at(map, arrive - 1), after = after.state }
end

-- A ramp that goes on: `area` is its tempo summed over its samples.
local function lengthen(ramp, found)
  ramp.area = ramp.area + (ramp.tail.bpm + found.tail.bpm) / 2 * (found.arrive - ramp.to)
  ramp.to, ramp.tail = found.arrive, found.tail
end

-- Put a change behind the parts found so far, of which the last one is always steady.
local function append(parts, found, near)
  local steady, ramp = parts[#parts], parts[#parts - 1]
  if found.arrive > found.leave then
    local joins = found.leave - steady.from <= near
    if joins then table.remove(parts) end
    if joins and ramp and ramp.to and same_metre(ramp.head, found.head) then
      lengthen(ramp, found)
    else
      local from = joins and steady.from or found.leave
      local area = (found.head.bpm + found.tail.bpm) / 2 * (found.arrive - from)
      parts[#parts + 1] = { from = from, to = found.arrive, head = found.head, tail = found.tail, area = area }
    end
  end
  parts[#parts + 1] = { from = found.arrive, head = found.after }
end

-- Steady parts and ramps in turn, in samples.
local function find_parts(map, first, last, near)
  local probes = math.max(PROBES, math.ceil(PER_SECOND * (last - first) / Session:nominal_sample_rate()))
  local before = { at = first, state = state_at(map, first) }
  local parts = { { from = first, head = before.state } }
  local length = math.max(0, last - 2 - first) -- a point that lies at `last` does not matter, whichever way its own sample counts
  for probe = 1, probes do
    local at = first + length * probe // probes
    local here = { at = at, state = state_at(map, at) }
    local found = change(map, before, here)
    if found then append(parts, found, near) end
    before = here
  end
  local steady, ramp = parts[#parts], parts[#parts - 1]
  if ramp and ramp.to and last - steady.from <= near then steady.from = last end
  return parts
end

-- The number of the bar at a sample, with a fraction inside a bar. Ardour counts in ticks: what is within one of a bar line lies on it.
local function bar_at(map, sample, beats)
  local place = map:bbt_at(Temporal.timepos_t(sample))
  local ticks = (place.beats - 1) * TICKS + place.ticks
  if ticks <= 1 then return place.bars + 0.0 end
  if beats * TICKS - ticks <= 1 then return place.bars + 1.0 end
  return place.bars + ticks / (beats * TICKS)
end

-- The core takes a ramp as linear and Ardour's is not, so its ends are moved until its mean is right.
local function segment(map, part, rate)
  local made = { start = part.from / rate, bpm = part.head.bpm, num = part.head.num, den = part.head.den }
  if part.to then
    local mean, half = part.area / (part.to - part.from), (part.tail.bpm - part.head.bpm) / 2
    made.bpm, made.ramp_to = mean - half, mean + half
  end
  made.bar = bar_at(map, part.from, part.head.num)
  return made
end

--- Segments that cover [first, last), in samples, each with the number of the bar at its start.
function tempo_map.segments(first, last)
  local map, rate = Temporal.TempoMap.read(), Session:nominal_sample_rate()
  local segments = {}
  for index, part in ipairs(find_parts(map, first, last, NEAR * rate)) do segments[index] = segment(map, part, rate) end
  return segments
end

--- The first and the last bar of [first, last), in samples.
function tempo_map.bars(first, last)
  local map, edge = Temporal.TempoMap.read(), math.floor(EDGE * Session:nominal_sample_rate())
  local function bar(sample) return map:bbt_at(Temporal.timepos_t(sample)).bars end
  return bar(first + edge), bar(math.max(first + edge, last - edge))
end

return tempo_map
