-- Results as items of their own, on the source's track or on new tracks.

local import = ...
local host, takes = import("host"), import("takes")

local tracks = {}

local GROUP = "P_EXT:acestep_group"

--- A result as an item at its own place on a track.
function tracks.add_item(track, place, memory)
  local rate = memory.pending.rate
  local item = reaper.AddMediaItemToTrack(track)
  reaper.SetMediaItemInfo_Value(item, "C_BEATATTACHMODE", 0) -- time: a later tempo edit must not stretch exact audio
  reaper.SetMediaItemInfo_Value(item, "D_POSITION", place.position / rate)
  reaper.SetMediaItemInfo_Value(item, "D_LENGTH", place.length / rate)
  reaper.SetMediaItemInfo_Value(item, "B_LOOPSRC", 0)
  reaper.SetMediaItemInfo_Value(item, "D_FADEINLEN", 0)
  reaper.SetMediaItemInfo_Value(item, "D_FADEOUTLEN", 0)
  takes.fill(reaper.AddTakeToMediaItem(item), place, { offset = place.skip / rate }, memory)
  return item
end

--- A new named track. REAPER 6 inserts tracks only into the project in front, so that one is changed for a moment.
function tracks.insert(project, index, name)
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
  for _, place in ipairs(list) do tracks.add_item(track_for(project, place, memory.pending), place, memory) end
end

return tracks
