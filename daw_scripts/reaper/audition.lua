-- Listening before placing: results that wait, one of them at a time sounding at its place in the song, as loud as what it would replace.
-- What sounds is an item for the moment; nothing of it stays.

local import, data = ...
local json, exchange, requests, host = import("json"), import("exchange"), import("requests"), import("host")
local takes, tracks, landing, cuts = import("takes"), import("tracks"), import("landing"), import("cuts")

local audition = {}

local MARK, BEFORE = "P_EXT:acestep_listen", "P_EXT:acestep_before"
local KEPT = { "B_MUTE", "D_LENGTH", "D_FADEOUTLEN", "D_FADEOUTLEN_AUTO" }
local LOUDNESS, TARGET = 0, -18.0 -- LUFS, integrated

local function held(project, path)
  return exchange.journal(host.beside(project, path, "held"))
end

--- Keep a finished job for listening.
function audition.hold(project, path, memory, list)
  held(project, path).add({ id = memory.pending.id, memory = memory, list = list, heard = 0 })
  host.show(requests.sentence(data.messages, { code = "ready_to_listen", count = #list, title = memory.pending.title }))
end

-- The factor that brings a stretch of a source to the target loudness; nil where REAPER cannot tell (before 6.44).
local function gain(source, first, last)
  if not reaper.APIExists("CalculateNormalization") then return nil end
  local factor = reaper.CalculateNormalization(source, LOUDNESS, TARGET, first, last)
  return factor > 0 and factor or nil
end

-- The asked stretch of the song in a take's source.
local function stretch(pending, item, take)
  local rate, offset = reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE"), reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS")
  local position = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  local function at(samples) return math.max(0, offset + ((samples + (pending.moved or 0)) / pending.rate - position) * rate) end
  return at(pending.first), at(pending.last)
end

local function gain_of(pending, item)
  local take = reaper.GetActiveTake(item)
  return gain(reaper.GetMediaItemTake_Source(take), stretch(pending, item, take))
end

-- Bring the heard item to the loudness of the item that it stands for.
local function match_level(pending, item, model)
  local own, wanted = gain_of(pending, item), gain_of(pending, model)
  if not own or not wanted then return end
  local take = reaper.GetActiveTake(item)
  reaper.SetMediaItemTakeInfo_Value(take, "D_VOL", reaper.GetMediaItemTakeInfo_Value(take, "D_VOL") * own / wanted)
end

local function mark(item)
  reaper.GetSetMediaItemInfo_String(item, MARK, "1", true)
end

local function item_as(item, place, memory)
  local heard = reaper.AddMediaItemToTrack(reaper.GetMediaItem_Track(item))
  for _, key in ipairs({ "D_POSITION", "D_LENGTH", "D_VOL", "I_FIXEDLANE" }) do
    reaper.SetMediaItemInfo_Value(heard, key, reaper.GetMediaItemInfo_Value(item, key))
  end
  takes.fill(reaper.AddTakeToMediaItem(heard), place, takes.fit(item, memory.pending), memory)
  return heard
end

-- Mute what the heard item stands for; what that changes is remembered in the item.
local function mute_under(heard, item)
  local before = {}
  for _, key in ipairs(KEPT) do before[key] = reaper.GetMediaItemInfo_Value(item, key) end
  reaper.GetSetMediaItemInfo_String(item, BEFORE, json.encode(before), true)
  local first = reaper.GetMediaItemInfo_Value(heard, "D_POSITION")
  local last = first + reaper.GetMediaItemInfo_Value(heard, "D_LENGTH")
  for _, piece in ipairs(cuts.mute(item, first, last)) do mark(piece) end
end

-- In the place of its item, which is silent there meanwhile.
local function sound_for_item(item, place, memory)
  local pending = memory.pending
  local heard = pending.spans_item and item_as(item, place, memory)
    or tracks.add_item(reaper.GetMediaItem_Track(item), { place }, memory, item)
  match_level(pending, heard, item)
  mark(heard)
  mute_under(heard, item)
end

local function sound(project, place, memory)
  local pending = memory.pending
  local item = pending.place == "take" and pending.item and host.find_item(project, pending.item)
  if item then return sound_for_item(item, place, memory) end
  local track = tracks.insert(project, reaper.CountTracks(project), place.name)
  reaper.GetSetMediaTrackInfo_String(track, MARK, "1", true)
  tracks.add_item(track, { place }, memory)
end

local function take_back(item)
  local _, mark = reaper.GetSetMediaItemInfo_String(item, MARK, "", false)
  if mark == "1" then return reaper.DeleteTrackMediaItem(reaper.GetMediaItem_Track(item), item) end
  local _, before = reaper.GetSetMediaItemInfo_String(item, BEFORE, "", false)
  if before == "" then return end
  for key, value in pairs(json.decode(before)) do reaper.SetMediaItemInfo_Value(item, key, value) end
  reaper.GetSetMediaItemInfo_String(item, BEFORE, "", true)
end

--- Take back what only sounds for the moment; also after REAPER was closed in the middle.
function audition.silence(project)
  for index = reaper.CountMediaItems(project) - 1, 0, -1 do take_back(reaper.GetMediaItem(project, index)) end
  for index = reaper.CountTracks(project) - 1, 0, -1 do
    local track = reaper.GetTrack(project, index)
    local _, mark = reaper.GetSetMediaTrackInfo_String(track, MARK, "", false)
    if mark == "1" then reaper.DeleteTrack(track) end
  end
end

-- The newest held job, or nil and a sentence.
local function newest(project, path)
  local list = held(project, path).read()
  if #list == 0 then host.say({ code = "nothing_held" }) end
  return list[#list]
end

local function play_from(project, entry)
  local pending = entry.memory.pending
  reaper.SetEditCurPos2(project, (pending.first + (pending.moved or 0)) / pending.rate, false, true)
  if reaper.GetPlayStateEx(project) & 1 == 0 then reaper.OnPlayButtonEx(project) end
end

--- Let the next variant of the newest held job sound; after the last one comes what was there before.
function audition.next(project, path)
  local entry = newest(project, path)
  if not entry then return end
  local journal = held(project, path)
  entry.heard = (entry.heard + 1) % (#entry.list + 1)
  journal.remove(entry.id)
  journal.add(entry)
  reaper.PreventUIRefresh(1)
  audition.silence(project)
  local place = entry.list[entry.heard]
  if place then sound(project, place, entry.memory) end
  reaper.PreventUIRefresh(-1)
  reaper.UpdateArrange()
  host.show("ACE-Step: " .. (place and string.format("%s, %d of %d", place.name, entry.heard, #entry.list) or "as it was"))
  play_from(project, entry)
end

--- Place the previewed variant and drop the others; all of them when what was there before is heard.
function audition.place(project, path)
  local entry = newest(project, path)
  if not entry then return end
  held(project, path).remove(entry.id)
  audition.silence(project)
  host.show("")
  for index, place in ipairs(entry.list) do
    if index ~= entry.heard then os.remove(place.imported) end
  end
  if entry.heard == 0 then return end
  local wrong = landing.land(project, { { memory = entry.memory, list = { entry.list[entry.heard] }, notes = "" } })
  if wrong then host.tell(entry.memory.pending.title .. ": " .. wrong) end
end

return audition
