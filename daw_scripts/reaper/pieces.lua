-- The selected items, or all of the project, as a dataset to train on.

local import, data = ...
local dataset, exchange, placement = import("dataset"), import("exchange"), import("placement")
local host, sources = import("host"), import("sources")

local pieces = {}

local function items(project)
  local found = {}
  for index = 0, reaper.CountSelectedMediaItems(project) - 1 do found[#found + 1] = reaper.GetSelectedMediaItem(project, index) end
  if #found > 0 then return found end
  for index = 0, reaper.CountMediaItems(project) - 1 do found[#found + 1] = reaper.GetMediaItem(project, index) end
  return found
end

-- The name of the region that a time lies in; a project without regions is one song.
local function song_at(project, name, time)
  local _, index = reaper.GetLastMarkerAndCurRegion(project, time)
  if index < 0 then return name end
  local _, _, _, _, title = reaper.EnumProjectMarkers3(project, index)
  return name .. (title ~= "" and ": " .. title or " region " .. index)
end

local function piece_of(order, name, item)
  local first = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  order.first, order.last = first, first + reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
  local source, refused = sources.of_item(order, item)
  if not source then return nil, refused end
  return {
    path = source.path, start = source.start, length = source["end"] - source.start,
    title = host.track_name(reaper.GetMediaItem_Track(item)), song = song_at(order.project, name, first),
  }
end

-- Every piece of audio, as it sounds; nil and {code} where one cannot be read.
local function find(project, name)
  local rate = host.rate(project)
  local order = { project = project, rate = rate, folder = host.media_folder(project), rendered = {},
                 name = "acestep-" .. exchange.name(host.NAME, host.clock()) }
  local found = {}
  for _, item in ipairs(items(project)) do
    if host.holds_audio(item) then
      local piece, refused = piece_of(order, name, item)
      if piece then
        found[#found + 1] = piece
      elseif refused.code ~= "nothing_there" then
        return nil, refused
      end
    end
  end
  return found
end

local function hand_in(params)
  local name = exchange.name(host.NAME, host.clock())
  exchange.send(data.spool, name, "job.submit", { operation = "dataset-scan", params = params })
  host.show(string.format("ACE-Step: dataset %s ...", params.dataset))
  local function look()
    local status = exchange.look(data.spool, name)
    if not (status and status.ended) then return reaper.defer(look) end
    exchange.forget(data.spool, name)
    local failure = status.error or (status.job and status.job.error)
    if type(failure) == "table" and failure.message then return host.tell(failure.message) end
    host.say(dataset.made(status.job.result.data))
  end
  look()
end

--- Make the dataset, and tell what came of it.
function pieces.make(ready)
  local project, path = host.project()
  if path == "" then return host.say({ code = "unsaved_project" }) end
  local name = dataset.name(path:match("([^/\\]+)%.[^.]+$"))
  local found, refused = find(project, name)
  if not found then return host.say(refused) end
  local params, nothing = dataset.params(name, found)
  if not params then return host.say(nothing) end
  ready(function() hand_in(params) end)
end

return pieces
