-- Results into the project: files copied into its media folder, then takes, lanes, items or tracks, as one undo step.

local import, data = ...
local files, results, requests, host = import("files"), import("results"), import("requests"), import("host")
local takes, lanes, tracks, cuts = import("takes"), import("lanes"), import("tracks"), import("cuts")

local landing = {}

--- What there is to place of a finished job, each file copied into the media folder under a name that nothing else has; nil and why not.
function landing.fetch(project, pending, job)
  local moved = pending.moved or 0
  local where = setmetatable({ origin = pending.origin + moved }, { __index = pending })
  local list = results.placements(where, job)
  for _, place in ipairs(list) do
    place.begin = place.position - place.skip - moved
    place.imported = host.media_folder(project) .. "/" .. place.copy
    local done, why = files.copy(place.path, place.imported)
    if not done then return nil, why end
  end
  return list
end

local SAME_PLACE = 1e-3 -- seconds

-- The item of ours that has just this place on a track, or nil.
local function find_ours(track, first, last)
  for index = 0, reaper.CountTrackMediaItems(track) - 1 do
    local item = reaper.GetTrackMediaItem(track, index)
    local position = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
    local finish = position + reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
    local is_there = math.abs(position - first) < SAME_PLACE and math.abs(finish - last) < SAME_PLACE
    if is_there and takes.memory(item) then return item end
  end
  return nil
end

-- Mute what a result lies over. The silent piece is selected no longer, or the next action would send it, too.
local function make_room(item, first, last)
  local pieces = cuts.mute(item, first, last)
  pieces[#pieces + 1] = item
  for _, piece in ipairs(pieces) do
    if reaper.GetMediaItemInfo_Value(piece, "B_MUTE") == 1 then reaper.SetMediaItemSelected(piece, false) end
  end
end

-- Variants with a place of their own: over the item that they continue, or as further takes where another such result lies.
local function insert_over(item, memory, list)
  local pending, place, track = memory.pending, list[1], reaper.GetMediaItem_Track(item)
  local first, last = place.position / pending.rate, (place.position + place.length) / pending.rate
  local there = find_ours(track, first, last)
  if there then return takes.add(there, memory, list, takes.fit_own(item, place, pending)) end
  make_room(item, first, last)
  tracks.add_item(track, list, memory, item)
end

local function insert_in(item, memory, list)
  if not memory.pending.spans_item then return insert_over(item, memory, list) end
  if host.has_lanes(reaper.GetMediaItem_Track(item)) then return lanes.add(item, memory, list) end
  takes.add(item, memory, list, takes.fit(item, memory.pending))
end

-- The item of a result that becomes a take, or its track when the item is gone; nothing where new tracks are needed.
local function find_target(project, pending)
  if pending.place ~= "take" then return nil, nil end
  local item = pending.item and host.find_item(project, pending.item)
  return item, item and reaper.GetMediaItem_Track(item) or host.find_track(project, pending.track or "")
end

local function insert(project, memory, list)
  local item, track = find_target(project, memory.pending)
  if item then return insert_in(item, memory, list) end
  if track then return tracks.add_item(track, list, memory) end
  tracks.add_parts(project, memory, list)
end

--- Change a project as one undo step; nil, or what went wrong.
function landing.undoable(project, title, change, ...)
  reaper.Undo_BeginBlock2(project)
  reaper.PreventUIRefresh(1)
  local ok, wrong = pcall(change, ...)
  reaper.PreventUIRefresh(-1)
  reaper.UpdateArrange()
  reaper.Undo_EndBlock2(project, "ACE-Step: " .. title, -1)
  return not ok and tostring(wrong) or nil
end

-- Results of several jobs. One that cannot be placed keeps no other from its place.
local function insert_all(project, results_of_jobs)
  local wrong = {}
  for _, one in ipairs(results_of_jobs) do
    local ok, why = pcall(insert, project, one.memory, one.list)
    if not ok then wrong[#wrong + 1] = tostring(why) end
  end
  if #wrong > 0 then error(table.concat(wrong, "\n"), 0) end
end

-- What there is to know of results, each sentence once, and whether all of them have a track already.
local function look_at(project, results_of_jobs)
  local told, seen, has_track = {}, {}, true
  local function tell(sentence)
    if sentence ~= "" and not seen[sentence] then told[#told + 1] = sentence end
    seen[sentence] = true
  end
  for _, one in ipairs(results_of_jobs) do
    local _, track = find_target(project, one.memory.pending)
    tell(one.notes)
    if not track then
      has_track = false
      if one.memory.pending.place == "take" then tell(requests.sentence(data.messages, { code = "track_gone" })) end
    end
  end
  return table.concat(told, " "), has_track
end

--- Place what was fetched of the jobs of one key press, each {memory, list, notes}, as one undo step, and show what there is to know
-- of it; nil, or what went wrong.
function landing.land(project, results_of_jobs)
  if #results_of_jobs == 0 then return nil end
  local title = results_of_jobs[1].memory.pending.title
  local notes, has_track = look_at(project, results_of_jobs)
  host.note(title, notes)
  local full = {}
  for _, one in ipairs(results_of_jobs) do
    if #one.list > 0 then full[#full + 1] = one end
  end
  if #full == 0 then return nil end
  local function change() return landing.undoable(project, title, insert_all, project, full) end
  if has_track then return change() end
  return host.in_front(project, change)
end

return landing
