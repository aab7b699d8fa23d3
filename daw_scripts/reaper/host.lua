-- What is asked of REAPER: projects, selection, tempo, items. REAPER 6.37 and later, no extension needed.

local import, data = ...
local tempo_map, requests = import("tempo_map"), import("requests")

local FIXED_LANES = 2

local host = {}

host.NAME = "reaper"

--- The project in front: handle and path of its .rpp (empty while it was never saved).
function host.project()
  local project, path = reaper.EnumProjects(-1)
  return project, path or ""
end

--- All open projects as {project, path}.
function host.projects()
  local list, index = {}, 0
  while true do
    local project, path = reaper.EnumProjects(index)
    if not project then return list end
    list[#list + 1] = { project = project, path = path or "" }
    index = index + 1
  end
end

--- Media folder of a project.
function host.media_folder(project)
  return reaper.GetProjectPathEx(project)
end

local function is_inside(path, folder)
  return path:sub(1, #folder) == folder and not path:find("^[^/\\]", #folder + 1)
end

local function checksum(text)
  local sum = 0
  for index = 1, #text do sum = (sum * 31 + text:byte(index)) % 0x100000000 end
  return string.format("%08x", sum)
end

--- Path of a small file of ours that belongs to one project: beside its media, named after its .rpp. In a media folder outside the
-- project's own, which another project of that name may use too, the name tells their folders apart.
function host.beside(project, path, kind)
  local media = host.media_folder(project)
  local folder, name = path:match("^(.*)[/\\]([^/\\]+)%.[rR][pP][pP]$")
  if folder and not is_inside(media, folder) then name = name .. "-" .. checksum(folder) end
  return media .. "/" .. (name or "project") .. ".acestep-" .. kind .. ".json"
end

--- The project's sample rate: its own if it has one, else that of the audio device.
function host.rate(project)
  local rate = reaper.GetSetProjectInfo(project, "PROJECT_SRATE", 0, false)
  if reaper.GetSetProjectInfo(project, "PROJECT_SRATE_USE", 0, false) ~= 0 and rate > 0 then return math.floor(rate + 0.5) end
  local ok, text = reaper.GetAudioDeviceInfo("SRATE")
  return ok and math.floor(tonumber(text) or 48000) or 48000
end

--- The GUID of an item, track or take.
function host.item_id(item)
  local _, id = reaper.GetSetMediaItemInfo_String(item, "GUID", "", false)
  return id
end

function host.track_id(track)
  return reaper.GetTrackGUID(track)
end

function host.take_id(take)
  local _, id = reaper.GetSetMediaItemTakeInfo_String(take, "GUID", "", false)
  return id
end

--- The name of a track; REAPER makes one up ("Track 3") where the user gave none.
function host.track_name(track)
  local _, name = reaper.GetTrackName(track)
  return name
end

--- The item or track of a GUID, or nil when it is gone.
function host.find_item(project, id)
  for index = 0, reaper.CountMediaItems(project) - 1 do
    local item = reaper.GetMediaItem(project, index)
    if host.item_id(item) == id then return item end
  end
  return nil
end

function host.find_track(project, id)
  for index = 0, reaper.CountTracks(project) - 1 do
    local track = reaper.GetTrack(project, index)
    if reaper.GetTrackGUID(track) == id then return track, index end
  end
  return nil
end

local function bounds(item)
  local first = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  return first, first + reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
end

--- Whether a track has fixed lanes (REAPER 7; older ones answer 0 or 1).
function host.has_lanes(track)
  return reaper.GetMediaTrackInfo_Value(track, "I_FREEMODE") == FIXED_LANES
end

--- Whether an item sounds as far as fixed lanes are concerned.
function host.lane_plays(track, item)
  return not host.has_lanes(track) or reaper.GetMediaItemInfo_Value(item, "C_LANEPLAYS") > 0
end

local function items_on(track, first, last)
  local found = {}
  for index = 0, reaper.CountTrackMediaItems(track) - 1 do
    local item = reaper.GetTrackMediaItem(track, index)
    local from, to = bounds(item)
    if from < last and to > first and host.lane_plays(track, item) then found[#found + 1] = item end
  end
  return found
end

-- Razor edits: the best selection REAPER has, a range on chosen tracks.
local function razor(project)
  local first, last
  local tracks, items = {}, {}
  for index = 0, reaper.CountTracks(project) - 1 do
    local track = reaper.GetTrack(project, index)
    local _, text = reaper.GetSetMediaTrackInfo_String(track, "P_RAZOREDITS", "", false)
    for from, to, envelope in text:gmatch('([%d%.]+) ([%d%.]+) "([^"]*)"') do
      if envelope == "" then
        first = math.min(first or math.huge, tonumber(from))
        last = math.max(last or 0, tonumber(to))
        tracks[#tracks + 1] = track
      end
    end
  end
  for _, track in ipairs(tracks) do
    for _, item in ipairs(items_on(track, first, last)) do items[#items + 1] = item end
  end
  if first then return { first = first, last = last, tracks = tracks, items = items } end
  return nil
end

local function selected(project)
  local tracks, items = {}, {}
  for index = 0, reaper.CountSelectedTracks(project) - 1 do tracks[#tracks + 1] = reaper.GetSelectedTrack(project, index) end
  for index = 0, reaper.CountSelectedMediaItems(project) - 1 do items[#items + 1] = reaper.GetSelectedMediaItem(project, index) end
  return tracks, items
end

--- What is selected: {first, last (s), tracks, items}. Razor edits win; then the time selection with the selected items (or the items
-- on selected tracks); then selected items as they are. `first` is nil without any selection.
function host.selection(project)
  local edits = razor(project)
  if edits then return edits end
  local tracks, items = selected(project)
  local first, last = reaper.GetSet_LoopTimeRange2(project, false, false, 0, 0, false)
  local found = { tracks = tracks, items = {} }
  if last > first then
    found.first, found.last = first, last
    for _, item in ipairs(items) do
      local from, to = bounds(item)
      if from < last and to > first then found.items[#found.items + 1] = item end
    end
    if #items > 0 then return found end
    for _, track in ipairs(tracks) do
      for _, item in ipairs(items_on(track, first, last)) do found.items[#found.items + 1] = item end
    end
    return found
  end
  found.items = items
  for _, item in ipairs(items) do
    local from, to = bounds(item)
    found.first, found.last = math.min(found.first or from, from), math.max(found.last or to, to)
  end
  return found
end

--- Whether there are items and all of them hold only MIDI.
function host.midi_only(items)
  for _, item in ipairs(items) do
    local take = reaper.GetActiveTake(item)
    if take and not reaper.TakeIsMIDI(take) then return false end
  end
  return #items > 0
end

--- The tempo map between two times as the core's segments.
function host.segments(project, first, last)
  return tempo_map.segments(project, first, last)
end

--- The first and the last bar between two times.
host.bars = tempo_map.bars

--- A sentence for the user.
function host.tell(sentence)
  reaper.ShowMessageBox(sentence, "ACE-Step", 0)
end

--- A sentence of the shared list, as {code, ...}.
function host.say(facts)
  host.tell(requests.sentence(data.messages, facts))
end

--- A yes-or-no question.
function host.ask(sentence)
  return reaper.ShowMessageBox(sentence, "ACE-Step", 4) == 6
end

--- A line at the bottom of the window; empty clears it.
function host.show(line)
  reaper.Help_Set(line, false)
end

--- Start a program without waiting.
function host.start(words)
  local quoted = {}
  for index, word in ipairs(words) do quoted[index] = '"' .. word .. '"' end
  reaper.ExecProcess(table.concat(quoted, " "), -2)
end

function host.clock()
  return reaper.time_precise()
end

return host
