-- Results as takes and tracks, and what a take of ours remembers.

local import = ...
local json, results, host = import("json"), import("results"), import("host")

local takes = {}

local STORE = "P_EXT:acestep"
local DELETE_ACTIVE_TAKE = 40129

--- What the item's active take remembers of its making: {pending, request}, or nil for a take that is not ours.
function takes.memory(item)
  local take = item and reaper.GetActiveTake(item)
  if not take then return nil end
  local ok, text = reaper.GetSetMediaItemTakeInfo_String(take, STORE, "", false)
  local memory = ok and json.decode(text) or nil
  return type(memory) == "table" and memory or nil
end

local function new_source(take, path)
  local source = reaper.PCM_Source_CreateFromFile(path)
  reaper.SetMediaItemTake_Source(take, source)
  reaper.PCM_Source_BuildPeaks(source, 0)
end

local function describe(take, place, pending, job)
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", place.name, true)
  reaper.GetSetMediaItemTakeInfo_String(take, STORE, json.encode({ pending = pending, request = results.recipe(job) }), true)
end

local function take_of(item, id)
  for index = 0, reaper.CountTakes(item) - 1 do
    local take = reaper.GetTake(item, index)
    if take and host.take_id(take) == id then return take end
  end
  return nil
end

-- A new take sounds through the same volume, pan and effects as the one it was made from.
local function dress(take, model)
  for _, key in ipairs({ "D_VOL", "D_PAN" }) do
    reaper.SetMediaItemTakeInfo_Value(take, key, reaper.GetMediaItemTakeInfo_Value(model, key))
  end
  for index = 0, reaper.TakeFX_GetCount(model) - 1 do reaper.TakeFX_CopyToTake(model, index, take, index, false) end
end

--- Variants as new takes of an item; the first becomes the active one. `rendered` takes already hold the old take's effects.
-- The item may have been trimmed since: the new takes follow the offset of the old one.
function takes.add(item, pending, list, job)
  local model = take_of(item, pending.take)
  local moved = model and (reaper.GetMediaItemTakeInfo_Value(model, "D_STARTOFFS") - pending.offset) / pending.playrate or 0
  local first
  for _, place in ipairs(list) do
    local take = reaper.AddTakeToMediaItem(item)
    new_source(take, place.imported)
    reaper.SetMediaItemTakeInfo_Value(take, "D_STARTOFFS", (pending.lead or 0) + moved)
    if model and not pending.rendered then dress(take, model) end
    describe(take, place, pending, job)
    first = first or take
  end
  if first then reaper.SetActiveTake(first) end
end

local function new_item(track, place, rate, pending, job)
  local item = reaper.AddMediaItemToTrack(track)
  reaper.SetMediaItemInfo_Value(item, "C_BEATATTACHMODE", 0) -- time: a later tempo edit must not stretch exact audio
  reaper.SetMediaItemInfo_Value(item, "D_POSITION", place.position / rate)
  reaper.SetMediaItemInfo_Value(item, "D_LENGTH", place.length / rate)
  reaper.SetMediaItemInfo_Value(item, "B_LOOPSRC", 0)
  reaper.SetMediaItemInfo_Value(item, "D_FADEINLEN", 0)
  reaper.SetMediaItemInfo_Value(item, "D_FADEOUTLEN", 0)
  local take = reaper.AddTakeToMediaItem(item)
  new_source(take, place.imported)
  reaper.SetMediaItemTakeInfo_Value(take, "D_STARTOFFS", place.skip / rate)
  describe(take, place, pending, job)
  return item
end

-- REAPER 6 inserts tracks only into the project in front, so that one is changed for a moment.
local function insert_track(project, index, name)
  local front = reaper.EnumProjects(-1)
  if front ~= project then reaper.SelectProjectInstance(project) end
  reaper.InsertTrackAtIndex(index, false)
  if front ~= project then reaper.SelectProjectInstance(front) end
  local track = reaper.GetTrack(project, index)
  reaper.GetSetMediaTrackInfo_String(track, "P_NAME", name, true)
  return track
end

-- The folder track of a group of stems, made below the source's track when it is not there yet.
local function folder_for(project, pending)
  for index = 0, reaper.CountTracks(project) - 1 do
    local track = reaper.GetTrack(project, index)
    local ok, group = reaper.GetSetMediaTrackInfo_String(track, "P_EXT:acestep_group", "", false)
    if ok and group == pending.group then return index, false end
  end
  local _, source = host.find_track(project, pending.track or "")
  local index = source and source + 1 or reaper.CountTracks(project)
  local track = insert_track(project, index, pending.title)
  reaper.GetSetMediaTrackInfo_String(track, "P_EXT:acestep_group", pending.group, true)
  reaper.SetMediaTrackInfo_Value(track, "I_FOLDERDEPTH", 1)
  return index, true
end

--- Every file as an item on a new track; stems of one action share a folder.
function takes.add_tracks(project, pending, list, job)
  for _, place in ipairs(list) do
    local index
    local last_child = false
    if pending.place == "tracks" then
      local folder
      folder, last_child = folder_for(project, pending)
      index = folder + 1
    else
      index = reaper.CountTracks(project)
    end
    local track = insert_track(project, index, place.track_name)
    if last_child then reaper.SetMediaTrackInfo_Value(track, "I_FOLDERDEPTH", -1) end
    new_item(track, place, pending.rate, pending, job)
  end
end

--- The result as an item of its own on a track; for takes whose item is gone, and for patches.
function takes.add_items(track, pending, list, job)
  for _, place in ipairs(list) do new_item(track, place, pending.rate, pending, job) end
end

--- Delete the other variants of the active take's job; takes of other origin stay.
function takes.keep_active(project, item)
  local active = reaper.GetActiveTake(item)
  local id = takes.memory(item).pending.group
  reaper.Undo_BeginBlock2(project)
  reaper.SelectAllMediaItems(project, false)
  reaper.SetMediaItemSelected(item, true)
  for index = reaper.CountTakes(item) - 1, 0, -1 do
    local take = reaper.GetTake(item, index)
    reaper.SetActiveTake(take)
    local memory = takes.memory(item)
    if take ~= active and memory and memory.pending.group == id then reaper.Main_OnCommandEx(DELETE_ACTIVE_TAKE, 0, project) end
  end
  reaper.SetActiveTake(active)
  reaper.UpdateArrange()
  reaper.Undo_EndBlock2(project, "ACE-Step: keep the playing take", -1)
end

return takes
