-- Results on tracks with fixed lanes (REAPER 7): every variant an item of its own in a new lane, as long as the item it was made from, so
-- that lanes can be switched and comped without a gap.

local import = ...
local recipes, host, takes = import("recipes"), import("host"), import("takes")

local lanes = {}

local SILENT, PLAYS_ALONE = 0, 1
local COPIED = { "D_POSITION", "D_LENGTH", "D_VOL", "D_FADEINLEN", "D_FADEOUTLEN", "C_BEATATTACHMODE" }

local function items_of(track)
  local list = {}
  for index = 0, reaper.CountTrackMediaItems(track) - 1 do list[#list + 1] = reaper.GetTrackMediaItem(track, index) end
  return list
end

-- A lane that plays alone silences the others: right for the only item that sounds, wrong beside a neighbour.
local function is_only_one(track, item)
  for _, other in ipairs(items_of(track)) do
    if other ~= item and host.lane_plays(track, other) then return false end
  end
  return true
end

local function add_one(track, lane, item, place, memory)
  local new = reaper.AddMediaItemToTrack(track)
  for _, key in ipairs(COPIED) do
    reaper.SetMediaItemInfo_Value(new, key, reaper.GetMediaItemInfo_Value(item, key))
  end
  reaper.SetMediaItemInfo_Value(new, "B_LOOPSRC", 0)
  reaper.SetMediaItemInfo_Value(new, "I_FIXEDLANE", lane)
  reaper.GetSetMediaTrackInfo_String(track, "P_LANENAME:" .. lane, place.name, true)
  takes.fill(reaper.AddTakeToMediaItem(new), place, takes.fit(item, memory.pending), memory)
  return new
end

-- Which lane an item lies in by now: REAPER may remove empty lanes, and those below move up.
local function set_plays(track, item, how)
  local lane = math.floor(reaper.GetMediaItemInfo_Value(item, "I_FIXEDLANE"))
  reaper.SetMediaTrackInfo_Value(track, "C_LANEPLAYS:" .. lane, how)
end

--- Variants as new lanes below those that are there; the first one plays where that silences nothing else.
function lanes.add(item, memory, list)
  local track = reaper.GetMediaItem_Track(item)
  local count = math.floor(reaper.GetMediaTrackInfo_Value(track, "I_NUMFIXEDLANES"))
  local alone = is_only_one(track, item)
  reaper.SetMediaTrackInfo_Value(track, "I_NUMFIXEDLANES", count + #list)
  local made = {}
  for index, place in ipairs(list) do made[index] = add_one(track, count + index - 1, item, place, memory) end
  reaper.UpdateTimeline()
  for _, new in ipairs(made) do set_plays(track, new, SILENT) end
  if alone then set_plays(track, made[1], PLAYS_ALONE) end
end

--- Delete the items of other lanes among which this one was to be chosen; it plays alone from now on if nothing else sounds.
function lanes.keep(item)
  local track, kept = reaper.GetMediaItem_Track(item), takes.memory(item)
  for _, other in ipairs(items_of(track)) do
    local memory = other ~= item and takes.memory(other)
    if memory and recipes.alternatives(memory, kept) then reaper.DeleteTrackMediaItem(track, other) end
  end
  reaper.UpdateTimeline()
end

return lanes
