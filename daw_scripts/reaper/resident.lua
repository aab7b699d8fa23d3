-- The resident loop: watches the jobs of all open projects and places what is done. The first script that needs it becomes it.

local import, data = ...
local exchange, files, follow, spool = import("exchange"), import("files"), import("follow"), import("spool")
local results, requests, json = import("results"), import("requests"), import("json")
local host, takes = import("host"), import("takes")

local resident = {}

local SECTION, KEY = "acestep-bridge", "resident"
local PERIOD = 0.1
local SILENCE = 2.0 -- a resident that has not shown itself for so long is gone
local RECORDING = 4

local memory = {}
local staying = false

local function somebody_else()
  local seen = tonumber(reaper.GetExtState(SECTION, KEY)) or -math.huge
  local age = host.clock() - seen
  return age >= 0 and age < SILENCE
end

-- Copies into the project's media folder, under names that nothing else has.
local function fetch(project, list)
  for _, place in ipairs(list) do
    place.imported = host.media_folder(project) .. "/" .. place.copy
    local done, why = files.copy(place.path, place.imported)
    if not done then return nil, why end
  end
  return true
end

local function insert(project, pending, list, job)
  local item = pending.place == "take" and pending.item and host.find_item(project, pending.item)
  if item and pending.spans_item then return takes.add(item, pending, list, job) end
  local track = pending.place == "take" and host.find_track(project, pending.track or "")
  if track then return takes.add_items(track, pending, list, job) end
  takes.add_tracks(project, pending, list, job)
end

local function place(project, pending, job)
  local list = results.placements(pending, job)
  local fetched, why = fetch(project, list)
  if not fetched then return why end
  reaper.Undo_BeginBlock2(project)
  reaper.PreventUIRefresh(1)
  local ok, wrong = pcall(insert, project, pending, list, job)
  reaper.PreventUIRefresh(-1)
  reaper.UpdateArrange()
  reaper.Undo_EndBlock2(project, "ACE-Step: " .. pending.title, -1)
  if not ok then return tostring(wrong) end
end

local function finish(project, journal, pending, status)
  journal.remove(pending.id) -- first, so that a failure is never repeated for ever
  local problem = status.error and status.error.message
  if not problem and status.job.state == "done" then
    problem = place(project, pending, status.job)
  elseif not problem and status.job.state ~= "cancelled" then
    problem = status.job.error and status.job.error ~= json.null and status.job.error.message or status.job.state
  end
  exchange.forget(data.spool, pending.id)
  host.show("")
  if problem then host.tell(pending.title .. ": " .. problem) end
end

local function look_after(entry)
  if entry.path == "" or reaper.GetPlayStateEx(entry.project) & RECORDING ~= 0 then return end
  local journal = exchange.journal(host.beside(entry.project, entry.path, "pending"))
  for _, pending in ipairs(journal.read()) do
    local status = follow.look(data.spool, pending, memory, host.clock())
    if status and status.ended then
      finish(entry.project, journal, pending, status)
    elseif status and status.job then
      host.show("ACE-Step " .. spool.line(status.job))
    end
  end
end

--- One look at all open projects.
function resident.tick()
  for _, entry in ipairs(host.projects()) do look_after(entry) end
end

--- A line for each of these jobs.
function resident.lines(jobs)
  local lines = {}
  for index, pending in ipairs(jobs) do
    local status = exchange.look(data.spool, pending.id)
    lines[index] = status and status.job and spool.line(status.job) or (pending.title .. ": not taken yet")
  end
  return lines
end

--- Become the resident, unless there is one already.
function resident.stay()
  if staying or somebody_else() then return end
  staying = true
  local last = -math.huge
  local function loop()
    local now = host.clock()
    if now - last >= PERIOD then
      last = now
      reaper.SetExtState(SECTION, KEY, string.format("%.3f", now), false)
      resident.tick()
    end
    reaper.defer(loop)
  end
  reaper.atexit(function() reaper.DeleteExtState(SECTION, KEY, false) end)
  loop()
end

return resident
