-- Results as items of their own, on the source's track or on new tracks.

local import = ...
local recipes, host, takes = import("recipes"), import("host"), import("takes")

local tracks = {}

local GROUP, MADE = "P_EXT:acestep_group", "P_EXT:acestep_made"

--- Variants as the takes of one new item at their own place on a track. `like` is the item that it continues, if any.
function tracks.add_item(track, list, memory, like)
  local rate, place = memory.pending.rate, list[1]
  local item = reaper.AddMediaItemToTrack(track)
  reaper.SetMediaItemInfo_Value(item, "C_BEATATTACHMODE", 0) -- time: a later tempo edit must not stretch exact audio
  reaper.SetMediaItemInfo_Value(item, "D_POSITION", place.position / rate)
  reaper.SetMediaItemInfo_Value(item, "D_LENGTH", place.length / rate)
  reaper.SetMediaItemInfo_Value(item, "B_LOOPSRC", 0)
  reaper.SetMediaItemInfo_Value(item, "D_FADEINLEN", 0)
  reaper.SetMediaItemInfo_Value(item, "D_FADEOUTLEN", 0)
  for _, key in ipairs(like and { "D_VOL", "I_FIXEDLANE" } or {}) do
    reaper.SetMediaItemInfo_Value(item, key, reaper.GetMediaItemInfo_Value(like, key))
  end
  takes.add(item, memory, list, takes.fit_own(like, place, memory.pending))
  return item
end

--- A new named track of the project in front.
function tracks.insert(project, index, name)
  reaper.InsertTrackAtIndex(index, false)
  local track = reaper.GetTrack(project, index)
  reaper.GetSetMediaTrackInfo_String(track, "P_NAME", name, true)
  reaper.GetSetMediaTrackInfo_String(track, MADE, "1", true)
  return track
end

-- The folder track of a group of stems, made below the source's track when it is not there yet.
local function folder_for(project, pending)
  for index = 0, reaper.CountTracks(project) - 1 do
    local track = reaper.GetTrack(project, index)
    local ok, group = reaper.GetSetMediaTrackInfo_String(track, GROUP, "", false)
    if ok and group == pending.group then return index, false end
  end
  local _, source = host.find_track(project, pending.track or "")
  local index = source and source + 1 or reaper.CountTracks(project)
  local track = tracks.insert(project, index, pending.title)
  reaper.GetSetMediaTrackInfo_String(track, GROUP, pending.group, true)
  reaper.SetMediaTrackInfo_Value(track, "I_FOLDERDEPTH", 1)
  return index, true
end

-- A new track for a part: at the end, or for stems in the folder of their group.
local function track_for(project, place, pending)
  if pending.place ~= "tracks" then return tracks.insert(project, reaper.CountTracks(project), place.track_name) end
  local folder, is_last = folder_for(project, pending)
  local track = tracks.insert(project, folder + 1, place.track_name)
  if is_last then reaper.SetMediaTrackInfo_Value(track, "I_FOLDERDEPTH", -1) end
  return track
end

--- Every file as an item on a new track; stems of one action share a folder.
function tracks.add_parts(project, memory, list)
  for _, place in ipairs(list) do tracks.add_item(track_for(project, place, memory.pending), { place }, memory) end
end

local function overlap(one, other)
  local first, length = reaper.GetMediaItemInfo_Value(one, "D_POSITION"), reaper.GetMediaItemInfo_Value(one, "D_LENGTH")
  local from = reaper.GetMediaItemInfo_Value(other, "D_POSITION")
  return from < first + length and first < from + reaper.GetMediaItemInfo_Value(other, "D_LENGTH")
end

-- Delete a track of ours that is empty now, unless it holds tracks; a folder that it was the last track of ends above it.
local function delete_empty(project, track)
  local _, made = reaper.GetSetMediaTrackInfo_String(track, MADE, "", false)
  local depth = reaper.GetMediaTrackInfo_Value(track, "I_FOLDERDEPTH")
  if made ~= "1" or depth > 0 or reaper.CountTrackMediaItems(track) > 0 then return end
  local _, index = host.find_track(project, host.track_id(track))
  if depth < 0 and index > 0 then
    local before = reaper.GetTrack(project, index - 1)
    reaper.SetMediaTrackInfo_Value(before, "I_FOLDERDEPTH", reaper.GetMediaTrackInfo_Value(before, "I_FOLDERDEPTH") + depth)
    reaper.SetMediaTrackInfo_Value(track, "I_FOLDERDEPTH", 0)
  end
  reaper.DeleteTrack(track)
end

--- Delete the items at the place of this one among which it was to be chosen, and the tracks that were made for them. Items that
-- hold other takes, too, stay.
function tracks.keep(project, item)
  local kept = takes.memory(item)
  for index = reaper.CountMediaItems(project) - 1, 0, -1 do
    local other = reaper.GetMediaItem(project, index)
    local memory = other ~= item and reaper.CountTakes(other) == 1 and overlap(item, other) and takes.memory(other)
    if memory and recipes.alternatives(memory, kept) then
      local track = reaper.GetMediaItem_Track(other)
      reaper.DeleteTrackMediaItem(track, other)
      delete_empty(project, track)
    end
  end
end

return tracks
