-- Which regions of the session are ours, and what the session remembers of their making. Ardour's scripts cannot store data in a
-- region, but a region knows its file, and our files are named after their job.

local import = ...
local json, files, recipes = import("json"), import("files"), import("recipes")
local lists, host = import("lists"), import("host")

local takes = {}

local function memory_path(id)
  return host.folder() .. "/" .. id .. ".recipe.json"
end

-- The name of the file that is behind a region, or nil.
local function file_name(region)
  local source = region:source(0)
  if source:isnil() then return nil end
  return ARDOUR.LuaAPI.path_get_basename(source:name())
end

-- A file's name as far as Ardour's import keeps it.
local function stem(name)
  return name:match("^[^.%%]+")
end

--- Remember how a result was made, and which variant each of its placed files belongs to.
function takes.remember(memory, list)
  memory.variants = {}
  for _, place in ipairs(list) do memory.variants[stem(place.copy)] = place.variant end
  return files.write(memory_path(memory.pending.id), json.encode(memory))
end

--- The memory of a region, or nil when it is not ours.
function takes.memory(region)
  local name = file_name(region)
  local id = name and recipes.owner(name)
  local memory = id and json.decode(files.read(memory_path(id)) or "")
  return type(memory) == "table" and memory.format == "acestep-bridge/take" and memory or nil
end

local function overlaps(region, first, last)
  local from = region:position():samples()
  return from < last and from + region:length():samples() > first
end

-- The one that is heard: the highest of ours between two samples of a track.
local function topmost(track, first, last)
  local found
  for _, region in ipairs(lists.of(track:playlist():region_list())) do
    if overlaps(region, first, last) and (not found or region:layer() > found.region:layer()) then
      local memory = takes.memory(region)
      if memory then found = { region = region, track = track, memory = memory } end
    end
  end
  return found
end

--- The takes of ours that the user means, each {region, track, memory}: selected regions, one of each job, else the one that is heard
-- in the selected range.
function takes.all_chosen(selection)
  local found, seen = {}, {}
  for _, entry in ipairs(selection.regions) do
    local memory = takes.memory(entry.region)
    if memory and not seen[memory.pending.id] then
      seen[memory.pending.id] = true
      found[#found + 1] = { region = entry.region, track = entry.track, memory = memory }
    end
  end
  if #found > 0 then return found end
  for _, track in ipairs(selection.first and selection.tracks or {}) do
    local heard = topmost(track, selection.first, selection.last)
    if heard then return { heard } end
  end
  return {}
end

--- The first of them, or nil.
function takes.chosen(selection)
  return takes.all_chosen(selection)[1]
end

-- Whether a region belongs to the chosen variant: it is a piece of it, or another file of the same variant.
local function belongs(region, memory, chosen)
  if region:to_stateful():id():to_s() == chosen.region:to_stateful():id():to_s() then return true end
  if memory.pending.id ~= chosen.memory.pending.id then return false end
  local variants = memory.variants or {}
  local variant = variants[stem(file_name(region))]
  return variant ~= nil and variant == variants[stem(file_name(chosen.region))]
end

--- The other results among which a take was to be chosen, on whatever tracks they lie: a list of {track, region}.
function takes.alternatives(chosen)
  local list = {}
  for _, track in ipairs(host.audio_tracks(Session:get_tracks())) do
    for _, region in ipairs(lists.of(track:playlist():region_list())) do
      local memory = takes.memory(region)
      if memory and recipes.alternatives(memory, chosen.memory) and not belongs(region, memory, chosen) then
        list[#list + 1] = { track = track, region = region }
      end
    end
  end
  return list
end

return takes
