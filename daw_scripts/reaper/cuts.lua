-- Cutting an item where something new lies over it: REAPER mixes items that overlap partly, so the old piece is muted.

local cuts = {}

local EDGE = 1e-6 -- seconds: nearer to an end than this, there is nothing to cut off

-- The new item right of the cut. The cut itself stays hard, whatever the user's settings for splits are.
local function split(item, at)
  local right = reaper.SplitMediaItem(item, at)
  if not right then error("REAPER could not split the item", 0) end
  reaper.SetMediaItemInfo_Value(item, "D_FADEOUTLEN", 0)
  reaper.SetMediaItemInfo_Value(item, "D_FADEOUTLEN_AUTO", -1)
  reaper.SetMediaItemInfo_Value(right, "D_FADEINLEN", 0)
  reaper.SetMediaItemInfo_Value(right, "D_FADEINLEN_AUTO", -1)
  return right
end

--- Mute what an item holds between two times (s) and nothing else of it; the new items behind the cuts.
function cuts.mute(item, first, last)
  local position = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  local finish = position + reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
  local inside, pieces = item, {}
  if last <= position + EDGE or first >= finish - EDGE then return pieces end
  if first > position + EDGE then
    inside = split(item, first)
    pieces[1] = inside
  end
  if last < finish - EDGE then pieces[#pieces + 1] = split(inside, last) end
  reaper.SetMediaItemInfo_Value(inside, "B_MUTE", 1)
  return pieces
end

return cuts
