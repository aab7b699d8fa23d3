-- Results onto the timeline: their files beside the session until they are imported, then regions on tracks.

local import, data = ...
local files, results, requests = import("files"), import("results"), import("requests")
local host, audio, takes, view = import("host"), import("audio"), import("takes"), import("view")

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

-- The track on which all takes of a job lie.
local function take_track(pending)
  local track = host.track(pending.track)
  if track then return track end
  host.say({ code = "track_gone" })
  return audio.new_track(pending.title, 2)
end

-- A new track for a place; stems of one track stand together.
local function own_track(pending, place)
  local track = audio.new_track(place.track_name, 2)
  if pending.place == "tracks" then
    local source = host.track(pending.track)
    audio.add_to_group((source and source:name() .. " " or "") .. "stems", track)
  end
  return track
end

-- Everything of a job is one undo step. Files are imported before any track is made, so that a bad one changes nothing.
local function place(pending, list)
  local layers = {}
  for index, found in ipairs(list) do
    local region = audio.import(landing.path(found))
    if not region then error(requests.sentence(data.messages, { code = "import_failed", path = landing.path(found) }), 0) end
    layers[index] = { region = region, position = found.position, name = found.name }
  end
  local shared = pending.place == "take" and take_track(pending) or nil
  for index, layer in ipairs(layers) do layer.track = shared or own_track(pending, list[index]) end
  local reversed = {} -- the first variant ends on top
  for index = #layers, 1, -1 do reversed[#reversed + 1] = layers[index] end
  audio.lay(reversed, "ACE-Step: " .. pending.title)
end

--- Place what was fetched, of which the session then has its own copy; the user's selection and view stay. Nil, or what went wrong:
-- then the copies stay.
function landing.land(memory, list)
  local ok, why = pcall(view.keep, function() place(memory.pending, list) end)
  if not ok then return tostring(why) end
  landing.clear(list)
  takes.remember(memory, list)
end

return landing
