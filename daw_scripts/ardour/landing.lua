-- Results onto the timeline: their files beside the session until they are imported, then regions on tracks.

local import = ...
local files, results = import("files"), import("results")
local host, audio, takes = import("host"), import("audio"), import("takes")

local landing = {}

--- Where the file of a place lies until it is imported. Not kept in the place, because sessions are moved.
function landing.path(place)
  return host.folder() .. "/" .. place.copy
end

--- What there is to place of a finished job, each file copied beside the session; nil and why not. The names are unique, so that
-- Ardour's import never asks whether to use an existing source.
function landing.fetch(pending, job)
  local list = results.placements(pending, job)
  for _, place in ipairs(list) do
    local done, why = files.copy(place.path, landing.path(place))
    if not done then return nil, why end
  end
  return list
end

--- Remove the copies of what was fetched.
function landing.clear(list)
  for _, place in ipairs(list) do os.remove(landing.path(place)) end
end

-- The first variant ends on top.
local function lay(track, list, pending)
  local layers = {}
  for index = #list, 1, -1 do
    local region = audio.import(landing.path(list[index]), track)
    if region then layers[#layers + 1] = { region = region, position = list[index].position, name = list[index].name } end
  end
  audio.lay(track, layers, "ACE-Step: " .. pending.title)
end

local function place_takes(pending, list)
  local track = host.track(pending.track)
  if not track then
    host.say({ code = "track_gone" })
    track = audio.new_track(pending.title, 2)
  end
  lay(track, list, pending)
end

local function place_tracks(pending, list)
  for _, place in ipairs(list) do lay(audio.new_track(place.track_name, 2), { place }, pending) end
end

--- Place what was fetched, of which the session then has its own copy.
function landing.land(memory, list)
  local pending = memory.pending
  if pending.place == "take" then place_takes(pending, list) else place_tracks(pending, list) end
  landing.clear(list)
  takes.remember(memory)
end

return landing
