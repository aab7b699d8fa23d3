-- The audio that is sent for a selection: the item's own file where it is untouched, a render where it is not.

local import = ...
local placement, render, host = import("placement"), import("render"), import("host")

local sources = {}

local CONTEXT_SECONDS = 10
local READABLE = { wav = true, flac = true, aif = true, aiff = true }

-- Whether what sounds is the file itself, sample by sample (volume and effects stay with the take).
local function untouched(take, source, path)
  local value = function(key) return reaper.GetMediaItemTakeInfo_Value(take, key) end
  local section = reaper.PCM_Source_GetSectionInfo(source)
  return READABLE[(path:match("%.(%w+)$") or ""):lower()] and not section and reaper.GetTakeNumStretchMarkers(take) == 0
    and reaper.CountTakeEnvelopes(take) == 0 and value("D_PLAYRATE") == 1 and value("D_PITCH") == 0 and value("I_CHANMODE") == 0
end

local function file_of(take)
  local source = reaper.GetMediaItemTake_Source(take)
  local parent = reaper.GetMediaSourceParent(source)
  while parent do
    source, parent = parent, reaper.GetMediaSourceParent(parent)
  end
  return reaper.GetMediaItemTake_Source(take), reaper.GetMediaSourceFileName(source)
end

local function by_file(item, take, source, path, first, last)
  local length = reaper.GetMediaSourceLength(source)
  local rate = reaper.GetMediaSourceSampleRate(source)
  local clip = {
    position = reaper.GetMediaItemInfo_Value(item, "D_POSITION"), length = reaper.GetMediaItemInfo_Value(item, "D_LENGTH"),
    offset = reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS"), rate = rate, frames = placement.samples(length, rate),
  }
  local cut, why = placement.in_file(clip, first, last)
  if not cut then return nil, why end
  cut.path, cut.rate = path, rate
  cut.zero = clip.position - clip.offset
  return cut
end

-- The file of an item as it sounds; several stretches of it are cut from one.
local function render_once(order, item)
  local id = host.item_id(item)
  if not order.rendered[id] then
    order.count = (order.count or 0) + 1
    local path, why = render.item(order.project, item, order.rate, order.folder, string.format("%s-item%d", order.name, order.count))
    if not path then return nil, why end
    order.rendered[id] = path
  end
  return order.rendered[id]
end

local function by_render(order, item, first, last)
  local position = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  local length = reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
  local path, why = render_once(order, item)
  if not path then return nil, why end
  local frames = placement.samples(length, order.rate)
  return {
    path = path, rate = order.rate, rendered = true, lead = 0.0, span_start = 0, span_end = frames, zero = position,
    start = math.max(0, placement.samples(first - position, order.rate)),
    ["end"] = math.min(frames, placement.samples(last - position, order.rate)),
  }
end

-- For an action whose region may reach past the item's ends: the whole selection, and a patch of its own instead of a take.
local function reach_out(found, order)
  found.start = placement.samples(order.first - found.zero, found.rate)
  found["end"] = placement.samples(order.last - found.zero, found.rate)
  found.span_start, found.span_end, found.lead = nil, nil, nil
end

--- The source of one audio item: region and span in its samples, and `zero`, the project time of its sample 0. Nil and {code} otherwise.
-- `order` is {project, rate, folder, name, first, last (s), outside, rendered (files of items, kept by this module)}.
function sources.of_item(order, item)
  local take = reaper.GetActiveTake(item)
  local source, path = file_of(take)
  if path ~= "" and not reaper.file_exists(path) then return nil, { code = "offline_media", path = path } end
  local found, why
  if untouched(take, source, path) then
    found, why = by_file(item, take, source, path, order.first, order.last)
    if why == "nothing_there" then return nil, { code = why } end
  end
  if not found then found, why = by_render(order, item, order.first, order.last) end
  if not found then return nil, { code = why } end
  if order.outside then reach_out(found, order) end
  found.take = host.take_id(take)
  found.offset = reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS")
  found.playrate = reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
  return found
end

--- What is heard around the selection, without the tracks in `muted`.
function sources.of_mix(order, muted)
  local window = placement.window(placement.samples(order.first, order.rate), placement.samples(order.last, order.rate), CONTEXT_SECONDS * order.rate)
  local span = { first = window.from / order.rate, last = window.to / order.rate }
  order.count = (order.count or 0) + 1
  local path, why = render.heard(order.project, span, order.rate, order.folder, string.format("%s-%d", order.name, order.count), muted)
  if not path then return nil, { code = why } end
  return { path = path, rate = order.rate, rendered = true, start = window.start, ["end"] = window["end"], zero = span.first }
end

return sources
