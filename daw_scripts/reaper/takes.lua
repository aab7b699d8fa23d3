-- Results as takes of an item, and what a take of ours remembers.

local import = ...
local json, recipes, placement, host = import("json"), import("recipes"), import("placement"), import("host")

local takes = {}

local STORE = "P_EXT:acestep"
local DELETE_ACTIVE_TAKE = 40129
local ROUNDING = 1 -- samples

--- What the item's active take remembers of its making (see recipes.memory), or nil for a take that is not ours.
function takes.memory(item)
  local take = item and reaper.GetActiveTake(item)
  if not take then return nil end
  local ok, text = reaper.GetSetMediaItemTakeInfo_String(take, STORE, "", false)
  local memory = ok and json.decode(text) or nil
  return type(memory) == "table" and memory or nil
end

local function take_of(item, id)
  for index = 0, reaper.CountTakes(item) - 1 do
    local take = reaper.GetTake(item, index)
    if take and host.take_id(take) == id then return take end
  end
  return nil
end

--- How a result that spans an item lies in it: {offset (s), model}. `model` is the take it was made from, nil when that is gone. The
-- item may have been trimmed since: the offset follows that of the model.
function takes.fit(item, pending)
  local model = take_of(item, pending.take)
  local moved = model and (reaper.GetMediaItemTakeInfo_Value(model, "D_STARTOFFS") - pending.offset) / pending.playrate or 0
  return { offset = (pending.lead or 0) + moved, model = model }
end

--- How a result with a place of its own lies in a new item there; it sounds like the take of `item` that it was made from.
function takes.fit_own(item, place, pending)
  return { offset = place.skip / pending.rate, model = item and take_of(item, pending.take) }
end

-- A new take sounds through the same volume, pan and effects as the one it was made from.
local function dress(take, model)
  for _, key in ipairs({ "D_VOL", "D_PAN" }) do
    reaper.SetMediaItemTakeInfo_Value(take, key, reaper.GetMediaItemTakeInfo_Value(model, key))
  end
  for index = 0, reaper.TakeFX_GetCount(model) - 1 do reaper.TakeFX_CopyToTake(model, index, take, index, false) end
end

-- The waveform of a new file: 0 asks whether there is anything to do, 1 does a part of it and tells what is left, 2 ends it.
local function build_peaks(source)
  if not reaper.APIExists("PCM_Source_BuildPeaks") or reaper.PCM_Source_BuildPeaks(source, 0) == 0 then return end
  repeat until reaper.PCM_Source_BuildPeaks(source, 1) == 0
  reaper.PCM_Source_BuildPeaks(source, 2)
end

--- Make an empty take a result. A rendered source already holds the old take's effects.
function takes.fill(take, place, fit, memory)
  local source = reaper.PCM_Source_CreateFromFile(place.imported)
  reaper.SetMediaItemTake_Source(take, source)
  build_peaks(source)
  reaper.SetMediaItemTakeInfo_Value(take, "D_STARTOFFS", fit.offset)
  if fit.model and not memory.pending.rendered then dress(take, fit.model) end
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", place.name, true)
  local own = { begin = place.begin }
  for key, value in pairs(memory) do own[key] = value end
  reaper.GetSetMediaItemTakeInfo_String(take, STORE, json.encode(own), true)
end

--- How far the item's active take lies from where it was asked for, in the project's samples: the item was moved or is a copy.
function takes.moved(item, memory)
  local take, rate = reaper.GetActiveTake(item), memory.pending.rate
  local position = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  local begin = position - reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS")
  local moved = placement.samples(begin, rate) - (memory.begin or placement.samples(begin, rate))
  return math.abs(moved) > ROUNDING and moved or 0
end

--- Variants as new takes of an item; the first becomes the active one.
function takes.add(item, memory, list, fit)
  local first
  for _, place in ipairs(list) do
    local take = reaper.AddTakeToMediaItem(item)
    takes.fill(take, place, fit, memory)
    first = first or take
  end
  if first then reaper.SetActiveTake(first) end
end

--- Delete the takes of an item among which the active one was to be chosen; takes of other origin stay.
function takes.keep_active(project, item)
  local active, kept = reaper.GetActiveTake(item), takes.memory(item)
  reaper.SelectAllMediaItems(project, false)
  reaper.SetMediaItemSelected(item, true)
  for index = reaper.CountTakes(item) - 1, 0, -1 do
    local take = reaper.GetTake(item, index)
    reaper.SetActiveTake(take)
    local memory = takes.memory(item)
    if take ~= active and memory and recipes.alternatives(memory, kept) then
      reaper.Main_OnCommandEx(DELETE_ACTIVE_TAKE, 0, project)
    end
  end
  reaper.SetActiveTake(active)
end

return takes
