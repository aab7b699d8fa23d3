-- Results into the project: files copied into its media folder, then takes, lanes, items or tracks, as one undo step.

local import = ...
local files, results, host = import("files"), import("results"), import("host")
local takes, lanes, tracks = import("takes"), import("lanes"), import("tracks")

local landing = {}

--- What there is to place of a finished job, each file copied into the media folder under a name that nothing else has; nil and why not.
function landing.fetch(project, pending, job)
  local list = results.placements(pending, job)
  for _, place in ipairs(list) do
    place.imported = host.media_folder(project) .. "/" .. place.copy
    local done, why = files.copy(place.path, place.imported)
    if not done then return nil, why end
  end
  return list
end

local function insert(project, memory, list)
  local pending = memory.pending
  local item = pending.place == "take" and pending.item and host.find_item(project, pending.item)
  if item and pending.spans_item then
    local kind = host.has_lanes(reaper.GetMediaItem_Track(item)) and lanes or takes
    return kind.add(item, memory, list)
  end
  local track = pending.place == "take" and host.find_track(project, pending.track or "")
  if not track then return tracks.add_parts(project, memory, list) end
  for _, place in ipairs(list) do tracks.add_item(track, place, memory) end
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

--- Place what was fetched; nil, or what went wrong.
function landing.land(project, memory, list)
  return landing.undoable(project, memory.pending.title, insert, project, memory, list)
end

return landing
