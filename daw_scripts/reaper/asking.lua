-- What is selected when an action starts, and the jobs that it makes of it.

local import, data = ...
local placement, tempo, requests, json = import("placement"), import("tempo"), import("requests"), import("json")
local host, sources = import("host"), import("sources")

local asking = {}

local CURSOR_SECONDS = 30
local AROUND_SECONDS = 10 -- the model hears so much beside a region, and its beats count too

-- The stretches that hold audio; all of them where none does, so that the user learns why nothing can be sent.
local function with_audio(stretches)
  local found = {}
  for _, stretch in ipairs(stretches) do
    local holds = false
    for _, item in ipairs(stretch.items) do holds = holds or host.holds_audio(item) end
    if holds then found[#found + 1] = stretch end
  end
  return #found > 0 and found or stretches
end

--- What is selected for an action: {project, path, rate, stretches}, each stretch {first, last (s), tracks, items, start, end (samples)}.
-- An action that needs only a position gets the edit cursor, as a stretch without length.
function asking.situation(wanted)
  local project, path = host.project()
  local rate = host.rate(project)
  local stretches, tracks = host.selection(project, wanted.needs == "selection", wanted.audio == "target")
  if wanted.audio == "target" then stretches = with_audio(stretches) end
  if #stretches == 0 and wanted.needs == "position" then
    local cursor = reaper.GetCursorPositionEx(project)
    stretches[1] = { first = cursor, last = cursor, tracks = tracks, items = {} }
  end
  for _, stretch in ipairs(stretches) do
    stretch.start, stretch["end"] = placement.samples(stretch.first, rate), placement.samples(stretch.last, rate)
  end
  return { project = project, path = path, rate = rate, stretches = stretches }
end

--- The reason why an action cannot run here, as {code, ...}, or nil. `recipe` is that of the selected take, for an action that needs one.
function asking.refusal(wanted, situation, recipe)
  for index = 1, math.max(1, #situation.stretches) do
    local stretch = situation.stretches[index] or { items = {} }
    local refused = requests.refusal(wanted, { rate = situation.rate, saved = situation.path ~= "", recipe = recipe,
                                               start = stretch.start, ["end"] = stretch["end"], midi_only = host.midi_only(stretch.items) })
    if refused then return refused end
  end
  return nil
end

-- A place without length has one tempo, whatever the map does behind it: the average of what will be filled.
local function plan_tempo(situation, stretch, choice, seconds)
  local first, last = stretch.first, stretch.last
  if last <= first then
    last, choice = first + (seconds and seconds > 0 and seconds or CURSOR_SECONDS), "average"
  end
  return tempo.plan(host.segments(situation.project, first, last), first, last, choice)
end

--- Whether tempo or metre change inside a stretch, so that the user has to say what becomes of it.
function asking.tempo_changes(situation)
  for _, stretch in ipairs(situation.stretches) do
    if not plan_tempo(situation, stretch, "refuse") then return true end
  end
  return false
end

--- What will be sent, and of what, in a sentence for the top of a form.
function asking.summary(wanted, situation)
  local facts = { tracks = {}, stretches = #situation.stretches, seconds = 0 }
  local seen, passages = {}, {}
  for _, stretch in ipairs(situation.stretches) do
    for _, track in ipairs(stretch.tracks) do
      local id = host.track_id(track)
      if not seen[id] then facts.tracks[#facts.tracks + 1] = host.track_name(track) end
      seen[id] = true
    end
    local first, last = host.bars(situation.project, stretch.first, stretch.last)
    facts.first_bar, facts.last_bar = math.min(facts.first_bar or first, first), math.max(facts.last_bar or last, last)
    facts.seconds = facts.seconds + stretch.last - stretch.first
    passages[#passages + 1] = plan_tempo(situation, stretch, "average")[1]
  end
  facts.passages = asking.same_tempo(passages) and passages or nil
  return requests.summary(wanted, facts)
end

--- Whether passages ask for one tempo and metre.
function asking.same_tempo(passages)
  for _, passage in ipairs(passages) do
    if passage.bpm ~= passages[1].bpm or passage.time_signature ~= passages[1].time_signature then return false end
  end
  return true
end

-- The parts to send of a stretch: one per item for an action on a target, one for everything heard. Nil and {code} where it holds none.
local function find_parts(wanted, stretch, order)
  order.first, order.last = stretch.first, stretch.last
  if wanted.audio == "none" then return { {} } end
  if wanted.audio == "target" then
    local parts = {}
    for _, item in ipairs(stretch.items) do
      if host.holds_audio(item) then
        local source, refused = sources.of_item(order, item)
        if not source then return nil, refused end
        local track = reaper.GetMediaItem_Track(item)
        parts[#parts + 1] = { source = source, item = host.item_id(item), track = host.track_id(track),
                              track_name = host.track_name(track) }
      end
    end
    if #parts == 0 then return nil, { code = "nothing_there" } end
    return parts
  end
  local source, refused = sources.of_mix(order, wanted.audio == "others" and stretch.tracks or {})
  if not source then return nil, refused end
  local track = stretch.tracks[1]
  return { { source = source, track = track and host.track_id(track), track_name = track and host.track_name(track) } }
end

-- Where bars and beats lie around what is asked for, and which bars it covers.
local function set_time(project, asked)
  local first, last = asked.start / asked.rate, asked["end"] / asked.rate
  asked.first_bar, asked.last_bar = host.bars(project, first, last)
  asked.segments = host.segments(project, math.max(0, first - AROUND_SECONDS), math.max(last, first + CURSOR_SECONDS) + AROUND_SECONDS)
end

-- A part's own situation: its region is what the selection and the item share.
local function narrow(situation, stretch, part)
  local own = { rate = situation.rate, start = stretch.start, ["end"] = stretch["end"], source = part.source, item = part.item,
                track = part.track, track_name = part.track_name }
  local source = part.source
  if source then
    source.origin = placement.samples(source.zero, situation.rate)
    if part.item then
      own.start = source.origin + placement.convert(source.start, source.rate, situation.rate)
      own["end"] = source.origin + placement.convert(source["end"], source.rate, situation.rate)
    end
  end
  return own
end

-- Several stretches of one item are one job, whose regions they are, where the operation takes some and they ask for one tempo.
local function may_join(wanted, fields)
  if wanted.place ~= "take" or wanted.outside then return false end
  for _, field in ipairs(fields or {}) do
    if field.name == "regions" then return true end
  end
  return false
end

local function region_of(source)
  return { start = source.start, ["end"] = source["end"] }
end

local function join(asked, own, passages)
  local source, passage = asked.source, asked.passages[1]
  source.regions = source.regions or json.list({ region_of(source) })
  asked.places = asked.places or json.list({ { first = asked.start, last = asked["end"] } })
  source.regions[#source.regions + 1] = region_of(own.source)
  asked.places[#asked.places + 1] = { first = own.start, last = own["end"] }
  source["end"], asked["end"] = own.source["end"], own["end"]
  passage["end"] = passages[1]["end"]
end

local function joined(list, own, passages)
  for _, asked in ipairs(list) do
    local fits = asked.item and asked.item == own.item and #asked.passages == 1 and #passages == 1
    if fits and asking.same_tempo({ asked.passages[1], passages[1] }) and own.source.start >= asked.source["end"] then
      join(asked, own, passages)
      return true
    end
  end
  return false
end

--- All that an action asks for, in order: situations for `requests.jobs`, each with its tempo `passages` and, where it is several stretches
-- of an item, their `places` (project samples). Nil and {code} where something of it cannot be sent.
function asking.parts(wanted, situation, values, fields, name)
  local order = { project = situation.project, rate = situation.rate, folder = host.media_folder(situation.project), name = name,
                  outside = wanted.outside, rendered = {} }
  local list, may = {}, may_join(wanted, fields)
  for _, stretch in ipairs(situation.stretches) do
    local passages, changes = plan_tempo(situation, stretch, values.tempo_changes or "average", values.duration)
    if not passages then return nil, { code = changes } end
    local parts, refused = find_parts(wanted, stretch, order)
    if not parts then return nil, refused end
    for _, part in ipairs(parts) do
      local own = narrow(situation, stretch, part)
      if not (may and joined(list, own, passages)) then
        own.passages = passages
        list[#list + 1] = own
      end
    end
  end
  for _, asked in ipairs(list) do set_time(situation.project, asked) end
  return list
end

return asking
