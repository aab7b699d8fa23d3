-- From an action and what the host found to the jobs that are submitted. The action table is shared data (actions.json).

local import = ...
local json, placement, song_map = import("json"), import("placement"), import("song_map")

local requests = {}

requests.MAX_SECONDS = 600

local MAX_NAME = 80 -- characters

--- The action of a name.
function requests.action(actions, name)
  for _, action in ipairs(actions) do
    if action.name == name then return action end
  end
  return nil
end

--- The name of the action that made a job if it has a form, else of one of the same operation that has.
function requests.with_form(actions, pending)
  local own = requests.action(actions, pending.action)
  if own and #own.ask > 0 then return own.name end
  for _, action in ipairs(actions) do
    if action.operation == pending.operation and #action.ask > 0 then return action.name end
  end
  return pending.action
end

--- The reason why an action cannot run here, as {code, ...}, or nil.
-- `situation` is {start, end (project samples), rate, source?, midi_only?, saved?, recipe?}.
function requests.refusal(action, situation)
  if action.needs == "recipe" and not situation.recipe then return { code = "no_recipe" } end
  if action.kind ~= "submit" or action.needs == "recipe" then return nil end
  if not situation.saved then return { code = "unsaved_project" } end
  if action.needs == "selection" then
    if not situation.start then return { code = "no_selection" } end
    if situation["end"] <= situation.start then return { code = "empty_selection" } end
    if situation.midi_only and action.audio == "target" then return { code = "midi_only" } end
  end
  local seconds = situation.start and (situation["end"] - situation.start) / situation.rate or 0
  if seconds > requests.MAX_SECONDS then
    return { code = "too_long", seconds = math.floor(seconds + 0.5), limit = requests.MAX_SECONDS }
  end
  return nil
end

local function offers(fields, name)
  if not fields then return true end
  for _, field in ipairs(fields) do
    if field.name == name then return true end
  end
  return false
end

local function set(params, fields, name, value)
  if value ~= nil and value ~= "" and value ~= json.null and offers(fields, name) then params[name] = value end
end

-- The part of the selection that a passage covers, in project samples, and the same part in the source's samples.
local function part(situation, passage)
  local first = math.max(situation.start, placement.samples(passage.start, situation.rate))
  local last = math.min(situation["end"], placement.samples(passage["end"], situation.rate))
  local source = situation.source
  if not source then return first, last end
  local rate = source.rate or situation.rate
  return first, last,
    source.start + placement.convert(first - situation.start, situation.rate, rate),
    source["end"] - placement.convert(situation["end"] - last, situation.rate, rate)
end

local function cut(params, fields, situation, passage)
  local first, last, source_start, source_end = part(situation, passage)
  local source = situation.source
  if not source then
    if last > first then
      set(params, fields, "length", last - first)
      set(params, fields, "rate", situation.rate)
    end
    return
  end
  set(params, fields, "source", source.path)
  if source.regions then
    params.regions = source.regions
  else
    set(params, fields, "start", source_start)
    set(params, fields, "end", source_end)
  end
  if source.span_start then
    set(params, fields, "span_start", source.span_start)
    set(params, fields, "span_end", source.span_end)
  end
end

-- Where the song's bars and beats lie on the timeline of what is sent: the source's, or that of the new part.
local function set_time(params, fields, situation, passage)
  local source = situation.source
  if not situation.segments or not offers(fields, "tempo_map") then return end
  local rate = source and source.rate or situation.rate
  local zero = source and (source.zero or source.origin / situation.rate) or part(situation, passage) / rate
  params.tempo_map = song_map.points(situation.segments, zero, rate)
  if not source and params.tempo_map then set(params, fields, "rate", rate) end
end

-- Where a result belongs, in words; an action that takes no audio belongs to no track. Empty where the host knows neither.
local function place_name(action, situation)
  local words = {}
  if action.audio ~= "none" and (situation.track_name or "") ~= "" then words[1] = situation.track_name end
  local first, last = situation.first_bar, situation.last_bar
  if first and first == last then
    words[#words + 1] = string.format("bar %d", first)
  elseif first then
    words[#words + 1] = string.format("bars %d-%d", first, last)
  end
  local text = table.concat(words, ", ")
  local stop = utf8.offset(text, MAX_NAME + 1)
  return stop and text:sub(1, stop - 1) or text
end

--- The parameters of one job. `fields` is the operation's list from describe (nil: unknown, everything is sent).
-- `situation` has besides the keys of `refusal` key?, guide_from? (where a guide's chords begin), track?, track_name?, first_bar? and last_bar? (as the host counts them),
-- segments? (the tempo map around the region, see song_map), source {path, rate?, origin, zero? (project time of its sample 0, s), start,
-- end, span_start?, span_end?, regions? (several stretches of it, {start, end} each, instead of one)}; `passage` comes from tempo.plan.
function requests.params(action, situation, passage, values, fields)
  local params = {}
  cut(params, fields, situation, passage)
  set(params, fields, "bpm", passage.bpm)
  set(params, fields, "time_signature", passage.time_signature)
  set_time(params, fields, situation, passage)
  set(params, fields, "key", situation.key)
  set(params, fields, "guide_from", situation.guide_from)
  set(params, fields, "name", place_name(action, situation))
  local returns = action.returns
  if returns == "patch" and situation.source and situation.source.span_start then returns = "span" end
  if returns ~= "" then set(params, fields, "returns", json.list({ returns })) end
  for name, value in pairs(values) do
    if name ~= action.each then params[name] = value end
  end
  for name, value in pairs(action.sets) do params[name] = value end
  if params.length then params.duration = nil end
  return params
end

-- The passages that have anything to ask for: where a selection is split, a piece of it may lie beside the audio.
local function meeting(situation, passages)
  if not situation.source then return passages end
  local found = {}
  for _, passage in ipairs(passages) do
    local first, last = part(situation, passage)
    if last > first then found[#found + 1] = passage end
  end
  return found
end

--- The jobs of an action: one per tempo passage that meets its audio and picked value. Each is {operation, params, passage, pick?}.
function requests.jobs(action, situation, passages, values, fields)
  local jobs = {}
  local picks = action.each ~= "" and values[action.each] or nil
  if type(picks) ~= "table" then picks = { picks } end
  for _, passage in ipairs(meeting(situation, passages)) do
    for index = 1, math.max(1, #picks) do
      local params = requests.params(action, situation, passage, values, fields)
      if picks[index] then params[action.each] = picks[index] end
      jobs[#jobs + 1] = { operation = action.operation, params = params, passage = passage, pick = picks[index] }
    end
  end
  return jobs
end

-- What was changed on the way to the model. Beside a tempo map the daemon itself says which metre the model is told.
local function notes_of(job)
  local notes = {}
  for _, note in ipairs(job.passage.notes or {}) do
    if note.code ~= "metre_unknown" or not job.params.tempo_map then notes[#notes + 1] = note end
  end
  return #notes > 0 and notes or nil
end

--- What the host must remember of a job to place its result later, even after a restart: plain data.
function requests.pending(id, action, situation, job)
  local source = situation.source
  local first, last = part(situation, job.passage)
  return {
    id = id,
    action = action.name,
    place = action.place,
    title = action.title,
    operation = job.operation,
    called = action.called,
    pick = job.pick,
    rate = situation.rate,
    origin = source and source.origin or first,
    first = first,
    last = last,
    track = situation.track,
    item = situation.item,
    lead = source and source.lead or nil,
    spans_item = source ~= nil and source.span_start ~= nil or nil,
    notes = notes_of(job),
  }
end

local READ = {
  none = "Sends no audio.",
  target = "Sends the audio of the selected tracks, with some seconds around it.",
  others = "Sends the mix without the selected track.",
  heard = "Sends the mix.",
}

local MOST_NAMES = 4

-- The names of tracks; of very many the first ones.
local function listed(names)
  if #names <= MOST_NAMES then return table.concat(names, ", ") end
  return string.format("%s and %d more tracks", table.concat(names, ", ", 1, MOST_NAMES - 1), #names - MOST_NAMES + 1)
end

-- Bars in words, at the beginning of a sentence or behind a track.
local function bars_of(facts, begins)
  local first, last = facts.first_bar, facts.last_bar
  if not first then return nil end
  if facts.seconds <= 0 then return string.format("%s bar %d", begins and "At" or "at", first) end
  if first == last then return string.format("%s %d", begins and "Bar" or "bar", first) end
  return string.format("%s %d to %d", begins and "Bars" or "bars", first, last)
end

--- What will happen, for the top of a form. `facts` is {tracks (names), stretches? (how many), first_bar?, last_bar?, seconds (all
-- together), passages (from tempo.plan)?}.
function requests.summary(action, facts)
  local words = {}
  if action.audio ~= "none" and #facts.tracks > 0 then words[1] = listed(facts.tracks) end
  if facts.stretches and facts.stretches > 1 then words[#words + 1] = string.format("%d ranges", facts.stretches) end
  words[#words + 1] = bars_of(facts, #words == 0)
  if facts.seconds > 0 then words[#words + 1] = string.format("%.1f s", facts.seconds) end
  local passage = facts.passages and facts.passages[1]
  if passage then words[#words + 1] = string.format("sent as %.6g bpm", passage.bpm) end
  return table.concat(words, ", ") .. (#words > 0 and ". " or "") .. (READ[action.audio] or "")
end

--- The sentence of a message: `code` looked up in messages.json, {name} filled in from `facts`.
function requests.sentence(messages, facts)
  local text = messages[facts.code] or facts.code
  return (text:gsub("{(%w+)}", function(name)
    local value = facts[name]
    if math.type(value) == "float" then return (string.format("%.2f", value):gsub("0+$", ""):gsub("%.$", "")) end
    return value ~= nil and tostring(value) or "?"
  end))
end

return requests
