-- What is selected when an action starts, and the audio and jobs that it makes of it.

local import = ...
local requests, tempo, placement = import("requests"), import("tempo"), import("placement")
local host, audio = import("host"), import("audio")

local asking = {}

local CONTEXT_SECONDS = 10
local CURSOR_SECONDS = 30

local function id_of(object)
  return object:to_stateful():id():to_s()
end

-- Each selected region as long as it is; those of one place are one stretch.
local function each_by_itself(regions)
  local stretches, by_place = {}, {}
  for _, entry in ipairs(regions) do
    local place = entry.first .. " " .. entry.last
    if not by_place[place] then
      by_place[place] = { start = entry.first, ["end"] = entry.last, tracks = {} }
      stretches[#stretches + 1] = by_place[place]
    end
    table.insert(by_place[place].tracks, entry.track)
  end
  table.sort(stretches, function(a, b) return a.start < b.start or a.start == b.start and a["end"] < b["end"] end)
  return stretches
end

--- What is selected for an action: {rate, midi_only, stretches}, each stretch {start, end (samples), tracks}. A marked range is one;
-- selected regions are one each where their own audio is sent, else one from the first to the last. An action that needs only a
-- position gets the playhead, as a stretch without length. `place` stands for the selection where a take says where.
function asking.situation(wanted, place)
  local selection = place or host.selection()
  local situation = { rate = Session:nominal_sample_rate(), midi_only = selection.midi_only }
  if wanted.audio == "target" and not selection.ranged and #selection.regions > 0 then
    situation.stretches = each_by_itself(selection.regions)
  elseif selection.first then
    situation.stretches = { { start = selection.first, ["end"] = selection.last, tracks = selection.tracks } }
  elseif wanted.needs == "position" then
    situation.stretches = { { start = host.cursor(), ["end"] = host.cursor(), tracks = selection.tracks } }
  else
    situation.stretches = {}
  end
  return situation
end

--- The reason why an action cannot run here, as {code, ...}, or nil.
function asking.refusal(wanted, situation)
  for index = 1, math.max(1, #situation.stretches) do
    local stretch = situation.stretches[index] or { tracks = {} }
    local refused = requests.refusal(wanted, { rate = situation.rate, saved = true, start = stretch.start, ["end"] = stretch["end"],
                                               midi_only = situation.midi_only })
    if refused then return refused end
    if wanted.audio ~= "none" and #stretch.tracks == 0 then return { code = "nothing_there" } end
  end
  return nil
end

--- Whether what is asked for has a length of its own.
function asking.has_length(situation)
  return situation.stretches[1]["end"] > situation.stretches[1].start
end

-- What the tempo map asks for. A cursor has no segments to split into: one job, with the tempo of what will come after it.
local function plan_tempo(situation, stretch, choice, seconds)
  local first, last = stretch.start, stretch["end"]
  if last <= first then
    last = first + placement.samples((seconds or 0) > 0 and seconds or CURSOR_SECONDS, situation.rate)
    choice = "average"
  end
  return tempo.plan(host.segments(first, last), first / situation.rate, last / situation.rate, choice)
end

--- Whether tempo or metre change inside a stretch, so that the user has to say what becomes of it.
function asking.tempo_changes(situation)
  for _, stretch in ipairs(situation.stretches) do
    if not plan_tempo(situation, stretch, "refuse") then return true end
  end
  return false
end

-- The passages, if all of them have one tempo.
local function of_one_tempo(passages)
  for _, passage in ipairs(passages) do
    if passage.bpm ~= passages[1].bpm then return nil end
  end
  return passages
end

--- What will be sent, and of what, for the top of a form.
function asking.summary(wanted, situation)
  local facts, seen, passages = { tracks = {}, stretches = #situation.stretches, seconds = 0 }, {}, {}
  for index, stretch in ipairs(situation.stretches) do
    for _, track in ipairs(stretch.tracks) do
      if not seen[id_of(track)] then facts.tracks[#facts.tracks + 1] = track:name() end
      seen[id_of(track)] = true
    end
    local first, last = host.bars(stretch.start, stretch["end"])
    facts.first_bar, facts.last_bar = math.min(facts.first_bar or first, first), math.max(facts.last_bar or last, last)
    facts.seconds = facts.seconds + (stretch["end"] - stretch.start) / situation.rate
    passages[index] = plan_tempo(situation, stretch, "average")[1]
  end
  facts.passages = of_one_tempo(passages)
  return requests.summary(wanted, facts)
end

-- The window of audio that is sent: region and context, inside what the track holds.
local function find_window(wanted, part, track)
  local first, last, context = part.start, part["end"], CONTEXT_SECONDS * part.rate
  if wanted.audio ~= "target" then return placement.window(first, last, context) end
  local begin, finish = audio.extent(track)
  if not begin or finish < first or begin > last then return nil end
  if not wanted.outside and (finish == first or begin == last) then return nil end
  local window = placement.window(first, last, context, finish)
  if wanted.outside then
    window.from, window.to = math.max(window.from, begin), math.min(window.to, finish)
    window.start, window["end"] = first - window.from, last - window.from
  end
  return window
end

-- Read what is sent into a file of its own; what was read, or nil and {code}.
local function render(wanted, part, track, name)
  local window = find_window(wanted, part, track)
  if not window then return nil, { code = "nothing_there" } end
  local path = host.folder() .. "/context/" .. name .. ".wav"
  local done, why
  if wanted.audio == "target" then
    local missing = audio.missing(track, window.from, window.to)
    if missing then return nil, { code = "offline_media", path = missing } end
    done, why = audio.write_track(track, path, window.from, window.to)
  else
    local without = {}
    if wanted.audio == "others" and track then without[id_of(track)] = true end
    done, why = audio.write_mix(path, window.from, window.to, without, name)
  end
  if not done then return nil, { code = why } end
  return { path = path, rate = part.rate, start = window.start, ["end"] = window["end"], origin = window.from }
end

-- The tempo map around what is sent, or around what will come after the cursor: the beats beside a region count too.
local function map_around(part)
  local first, last = part.start, math.max(part["end"], part.start + CURSOR_SECONDS * part.rate)
  return host.segments(math.max(0, first - CONTEXT_SECONDS * part.rate), last + CONTEXT_SECONDS * part.rate)
end

-- A stretch of a track as `requests.jobs` wants it.
local function part_of(situation, stretch, track, passages)
  local part = { rate = situation.rate, start = stretch.start, ["end"] = stretch["end"], passages = passages }
  part.track, part.track_name = track and id_of(track) or nil, track and track:name() or nil
  part.first_bar, part.last_bar = host.bars(part.start, part["end"])
  part.segments = map_around(part)
  return part
end

local function forget(parts)
  for _, part in ipairs(parts) do
    if part.source then os.remove(part.source.path) end
  end
end

--- All that an action asks for, in order: situations for `requests.jobs`, each with its tempo `passages` and its audio read under `name`.
-- Nil and {code} where something of it cannot be sent: then nothing is left of what was read.
function asking.parts(wanted, situation, values, name)
  local parts = {}
  for _, stretch in ipairs(situation.stretches) do
    local passages, changes = plan_tempo(situation, stretch, values.tempo_changes or "average", values.duration)
    if not passages then return nil, { code = changes } end
    local tracks = wanted.audio == "target" and stretch.tracks or { stretch.tracks[1] or false }
    for _, track in ipairs(tracks) do parts[#parts + 1] = part_of(situation, stretch, track or nil, passages) end
    for index = #parts - #tracks + 1, wanted.audio ~= "none" and #parts or 0 do
      local refused
      parts[index].source, refused = render(wanted, parts[index], host.track(parts[index].track), name .. (index > 1 and "-" .. index or ""))
      if refused then
        forget(parts)
        return nil, refused
      end
    end
  end
  return parts
end

return asking
