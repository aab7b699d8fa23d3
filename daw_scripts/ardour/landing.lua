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

-- The layers of a job, the first variant on top. Files are imported before any track is made, so that a bad one changes nothing.
local function layers_of(pending, list)
  local layers = {}
  for index, found in ipairs(list) do
    local region = audio.import(landing.path(found))
    if not region then error(requests.sentence(data.messages, { code = "import_failed", path = landing.path(found) }), 0) end
    layers[#list + 1 - index] = { region = region, position = found.position, name = found.name, place = found }
  end
  local shared = pending.place == "take" and take_track(pending) or nil
  for index = #layers, 1, -1 do layers[index].track = shared or own_track(pending, layers[index].place) end
  return layers
end

-- Everything of a key press is one undo step. A job that cannot be placed keeps no other from its place; it gets its `wrong`.
local function place(jobs)
  local layers, title = {}, nil
  for _, one in ipairs(jobs) do
    local ok, found = pcall(layers_of, one.memory.pending, one.list)
    if ok then
      title = title or one.memory.pending.title
      table.move(found, 1, #found, #layers + 1, layers)
    else
      one.wrong = tostring(found)
    end
  end
  if title then audio.lay(layers, "ACE-Step: " .. title) end
end

--- Place what was fetched of the jobs of a key press, each {memory, list}, of which the session then has its own copies; the user's
-- selection and view stay. What could not be placed has `wrong`, a sentence: then its copies stay.
function landing.land(jobs)
  local ok, why = pcall(view.keep, function() place(jobs) end)
  for _, one in ipairs(jobs) do
    if not ok then one.wrong = one.wrong or tostring(why) end
    if not one.wrong then
      landing.clear(one.list)
      takes.remember(one.memory, one.list)
    end
  end
end

return landing
