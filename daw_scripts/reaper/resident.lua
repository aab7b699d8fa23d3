-- The resident loop: watches the jobs of all open projects and places what is done. The first script that needs it becomes it.

local import, data = ...
local exchange, follow, spool, requests = import("exchange"), import("follow"), import("spool"), import("requests")
local recipes, results, json = import("recipes"), import("results"), import("json")
local host, landing, audition = import("host"), import("landing"), import("audition")

local resident = {}

local SECTION, KEY = "acestep-bridge", "resident"
local PERIOD = 0.1
local SILENCE = 2.0 -- a resident that has not shown itself for so long is gone

local memory = {}
local blocked = {}
local staying = false

local function somebody_else()
  local seen = tonumber(reaper.GetExtState(SECTION, KEY)) or -math.huge
  local age = host.clock() - seen
  return age >= 0 and age < SILENCE
end

local function place(entry, pending, job)
  local list, why = landing.fetch(entry.project, pending, job)
  if not list then return why end
  local notes = results.notes(data.messages, pending, job)
  local memory = recipes.memory(pending, job)
  if not pending.listen_first or #list == 0 then return landing.land(entry.project, memory, list, notes) end
  host.note(pending.title, notes)
  audition.hold(entry.project, entry.path, memory, list)
end

-- The media folder takes no files: said once, and the results wait until it does.
local function wait_for_folder(folder)
  if not blocked[folder] then host.say({ code = "readonly_media_folder", path = folder }) end
  blocked[folder] = true
end

-- The daemon refused what was asked for, but the same can be said in other words: submitted under the same id.
local function ask_instead(journal, pending)
  local job = pending.instead
  pending.instead = nil
  journal.add(pending)
  exchange.forget(data.spool, pending.id)
  exchange.send(data.spool, pending.id, "job.submit", job)
end

local function finish(entry, journal, pending, status)
  local folder = host.media_folder(entry.project)
  if not journal.remove(pending.id) then return wait_for_folder(folder) end -- first, so that a failure is never repeated for ever
  blocked[folder] = nil
  if status.error and pending.instead then return ask_instead(journal, pending) end
  pending.instead = nil
  host.show("")
  local problem = status.error and status.error.message
  if not problem and status.job.state == "done" then
    problem = place(entry, pending, status.job)
  elseif not problem and status.job.state == "cancelled" then
    host.note("", requests.sentence(data.messages, { code = "cancelled", title = pending.title }))
  elseif not problem then
    problem = status.job.error and status.job.error ~= json.null and status.job.error.message or status.job.state
  end
  exchange.forget(data.spool, pending.id)
  if problem then host.tell(pending.title .. ": " .. problem) end
end

local function look_after(entry)
  if entry.path == "" or host.is_recording(entry.project) then return end
  local journal = exchange.journal(host.beside(entry.project, entry.path, "pending"))
  for _, pending in ipairs(journal.read()) do
    local status = follow.look(data.spool, pending, memory, host.clock())
    if status and status.ended then
      finish(entry, journal, pending, status)
    elseif status and status.job then
      host.show("ACE-Step " .. spool.line(status.job))
    end
  end
end

--- One look at all open projects.
function resident.tick()
  for _, entry in ipairs(host.projects()) do look_after(entry) end
end

--- Become the resident, unless there is one already. To be asked at the key press: while a form or a render is open no script runs,
-- and the resident cannot show itself.
function resident.stay()
  if staying or somebody_else() then return end
  staying = true
  local last = -math.huge
  local function loop()
    local now = host.clock()
    if now - last >= PERIOD then
      last = now
      reaper.SetExtState(SECTION, KEY, string.format("%.17g", now), false) -- unrounded: a sign never lies ahead
      resident.tick()
    end
    reaper.defer(loop)
  end
  reaper.atexit(function() reaper.DeleteExtState(SECTION, KEY, false) end)
  loop()
end

return resident
