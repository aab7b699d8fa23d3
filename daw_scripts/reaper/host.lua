-- What is asked of REAPER: projects, selection, tempo, items. REAPER 6.37 and later, no extension needed.

local import, data = ...
local tempo_map, requests = import("tempo_map"), import("requests")

local FIXED_LANES = 2
local RECORDING = 4
local SECTION, NOTE = "acestep-bridge", "note"

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

--- Do something with a project in front, where REAPER 6 inserts tracks; the one that was there comes back.
function host.in_front(project, work)
  local front = reaper.EnumProjects(-1)
  if front ~= project then reaper.SelectProjectInstance(project) end
  local result = work()
  if front ~= project then reaper.SelectProjectInstance(front) end
  return result
end

--- Whether the transport records.
function host.is_recording(project)
  return reaper.GetPlayStateEx(project) & RECORDING ~= 0
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

local function items_of(tracks, first, last)
  local items = {}
  for _, track in ipairs(tracks) do
    for _, item in ipairs(items_on(track, first, last)) do items[#items + 1] = item end
  end
  return items
end

-- The razor areas of a track itself (not of its envelopes), as {first, last} (s).
local function areas_of(track)
  local areas = {}
  local _, text = reaper.GetSetMediaTrackInfo_String(track, "P_RAZOREDITS", "", false)
  for from, to, envelope in text:gmatch('([%d%.]+) ([%d%.]+) "([^"]*)"') do
    if envelope == "" then areas[#areas + 1] = { first = tonumber(from), last = tonumber(to) } end
  end
  return areas
end

-- Razor edits: the best selection REAPER has, stretches of time on chosen tracks, in the order of the song.
local function razor(project)
  local stretches, by_place = {}, {}
  for index = 0, reaper.CountTracks(project) - 1 do
    local track = reaper.GetTrack(project, index)
    for _, area in ipairs(areas_of(track)) do
      local place = area.first .. " " .. area.last
      if not by_place[place] then
        by_place[place] = { first = area.first, last = area.last, tracks = {} }
        stretches[#stretches + 1] = by_place[place]
      end
      local tracks = by_place[place].tracks
      if tracks[#tracks] ~= track then tracks[#tracks + 1] = track end
    end
  end
  table.sort(stretches, function(a, b) return a.first < b.first or a.first == b.first and a.last < b.last end)
  for _, stretch in ipairs(stretches) do stretch.items = items_of(stretch.tracks, stretch.first, stretch.last) end
  return stretches
end

--- Mark stretches ({first, last} in seconds) of a track as razor edits.
function host.mark(track, stretches)
  local areas = {}
  for index, stretch in ipairs(stretches) do areas[index] = string.format('%.14g %.14g ""', stretch.first, stretch.last) end
  reaper.GetSetMediaTrackInfo_String(track, "P_RAZOREDITS", table.concat(areas, " "), true)
end

-- The selected regions, {first, last (s)} in the order of the song, those that overlap as one. REAPER can tell since 7.62.
local function selected_regions(project)
  local found, stretches = {}, {}
  if not reaper.APIExists("GetRegionOrMarkerInfo_Value") then return stretches end
  for index = 0, reaper.GetNumRegionsOrMarkers(project) - 1 do
    local marker = reaper.GetRegionOrMarker(project, index, "")
    local function value(key) return reaper.GetRegionOrMarkerInfo_Value(project, marker, key) end
    if value("B_ISREGION") == 1 and value("B_UISEL") == 1 then
      found[#found + 1] = { first = value("D_STARTPOS"), last = value("D_ENDPOS") }
    end
  end
  table.sort(found, function(a, b) return a.first < b.first end)
  for _, one in ipairs(found) do
    local before = stretches[#stretches]
    if before and one.first < before.last then before.last = math.max(before.last, one.last) else stretches[#stretches + 1] = one end
  end
  return stretches
end

-- The region around the edit cursor, {first, last (s)}, or nil.
local function region_at_cursor(project)
  local _, index = reaper.GetLastMarkerAndCurRegion(project, reaper.GetCursorPositionEx(project))
  if index < 0 then return nil end
  local _, _, first, last = reaper.EnumProjectMarkers3(project, index)
  return { first = first, last = last }
end

local function selected(project)
  local tracks, items = {}, {}
  for index = 0, reaper.CountSelectedTracks(project) - 1 do tracks[#tracks + 1] = reaper.GetSelectedTrack(project, index) end
  for index = 0, reaper.CountSelectedMediaItems(project) - 1 do items[#items + 1] = reaper.GetSelectedMediaItem(project, index) end
  return tracks, items
end

-- The time selection, with the selected items in it, or else the items on selected tracks.
local function in_time(first, last, tracks, items)
  local found = { first = first, last = last, tracks = tracks, items = {} }
  for _, item in ipairs(items) do
    local from, to = bounds(item)
    if from < last and to > first then found.items[#found.items + 1] = item end
  end
  if #items == 0 then found.items = items_of(tracks, first, last) end
  return found
end

-- Each item as long as it is; those of one place are one stretch.
local function each_by_itself(tracks, items)
  local stretches, by_place = {}, {}
  for _, item in ipairs(items) do
    local first, last = bounds(item)
    local place = first .. " " .. last
    if not by_place[place] then
      by_place[place] = { first = first, last = last, tracks = tracks, items = {} }
      stretches[#stretches + 1] = by_place[place]
    end
    table.insert(by_place[place].items, item)
  end
  return stretches
end

local function from_first_to_last(tracks, items)
  local found = { tracks = tracks, items = items }
  for _, item in ipairs(items) do
    local first, last = bounds(item)
    found.first, found.last = math.min(found.first or first, first), math.max(found.last or last, last)
  end
  return found
end

--- What is selected: stretches of time, each {first, last (s), tracks, items}, and the selected tracks. Razor edits win; then the time
-- selection with the selected items (or the items on selected tracks); then selected items as they are; then the selected regions or,
-- if `regions`, the one around the edit cursor, with the items on selected tracks. `apart`: selected items are a stretch each, else
-- they are one, from the first to the last.
function host.selection(project, regions, apart)
  local tracks, items = selected(project)
  local edits = razor(project)
  if edits[1] then return edits, tracks end
  local first, last = reaper.GetSet_LoopTimeRange2(project, false, false, 0, 0, false)
  if last > first then return { in_time(first, last, tracks, items) }, tracks end
  if #items == 0 then
    local marked = selected_regions(project)
    if #marked == 0 and regions then marked = { region_at_cursor(project) } end
    for index, one in ipairs(marked) do marked[index] = in_time(one.first, one.last, tracks, {}) end
    return marked, tracks
  end
  return apart and each_by_itself(tracks, items) or { from_first_to_last(tracks, items) }, tracks
end

--- Whether what plays of an item is audio: no MIDI, not empty.
function host.holds_audio(item)
  local take = reaper.GetActiveTake(item)
  return take ~= nil and not reaper.TakeIsMIDI(take)
end

--- Whether there are items and none of them holds audio.
function host.midi_only(items)
  for _, item in ipairs(items) do
    if host.holds_audio(item) then return false end
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

--- A line at the bottom that can be read again later, when another has taken its place. Nothing happens for an empty text.
function host.note(title, text)
  if text == "" then return end
  local line = "ACE-Step " .. (title ~= "" and title .. ": " or "") .. text
  host.show(line)
  reaper.SetExtState(SECTION, NOTE, line, false)
end

--- The last of these lines since REAPER was started, or nil.
function host.last_note()
  local line = reaper.GetExtState(SECTION, NOTE)
  return line ~= "" and line or nil
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
