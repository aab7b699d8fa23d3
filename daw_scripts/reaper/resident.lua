-- The resident loop: watches the jobs of all open projects and places what is done. The first script that needs it becomes it.

local import, data = ...
local exchange, follow, groups, requests = import("exchange"), import("follow"), import("groups"), import("requests")
local files, recipes, results, json = import("files"), import("recipes"), import("results"), import("json")
local handover, placement = import("handover"), import("placement")
local host, landing, audition = import("host"), import("landing"), import("audition")

local resident = {}

local SECTION, KEY = "acestep-bridge", "resident"
local PERIOD = 0.1
local SILENCE = 2.0 -- a resident that has not shown itself for so long is gone

local memory, ends = {}, {} -- of follow; how jobs ended whose key press is not over yet
local blocked = {}
local staying = false

local function somebody_else()
  local seen = tonumber(reaper.GetExtState(SECTION, KEY)) or -math.huge
  local age = host.clock() - seen
  return age >= 0 and age < SILENCE
end

-- Fetch what a finished job has made; into `fetched`, unless it is to be listened to first. Nil, or what went wrong.
local function fetch(entry, pending, job, fetched)
  local list, why = landing.fetch(entry.project, pending, job)
  if not list then return why end
  local notes = results.notes(data.messages, pending, job)
  local made = recipes.memory(pending, job)
  if not pending.listen_first or #list == 0 then
    fetched[#fetched + 1] = { memory = made, list = list, notes = notes }
    return nil
  end
  host.note(pending.title, notes)
  audition.hold(entry.project, entry.path, made, list)
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
  return nil
end

-- See to a job that has ended; what went wrong, as a sentence, or nil.
local function conclude(entry, pending, status, fetched)
  local problem = status.error and status.error.message
  if not problem and status.job.state == "done" then
    problem = fetch(entry, pending, status.job, fetched)
  elseif not problem and status.job.state == "cancelled" then
    host.note("", requests.sentence(data.messages, { code = "cancelled", title = pending.title }))
  elseif not problem then
    problem = status.job.error and status.job.error ~= json.null and status.job.error.message or status.job.state
  end
  exchange.forget(data.spool, pending.id)
  return problem and pending.title .. ": " .. problem
end

-- The jobs of a key press, of which all have ended: one undo step, and then what went wrong.
local function finish(entry, journal, ended)
  local folder, ids = host.media_folder(entry.project), {}
  for index, one in ipairs(ended) do ids[index] = one.pending.id end
  if not journal.remove(table.unpack(ids)) then return wait_for_folder(folder) end -- first, so that a failure is never repeated forever
  blocked[folder] = nil
  host.show("")
  local fetched, problems, seen = {}, {}, {}
  local function note(problem)
    if problem and not seen[problem] then problems[#problems + 1] = problem end
    if problem then seen[problem] = true end
  end
  for _, one in ipairs(ended) do
    ends[one.pending.id], one.pending.instead = nil, nil
    note(conclude(entry, one.pending, one.status, fetched))
  end
  local wrong = landing.land(entry.project, fetched)
  note(wrong and ended[1].pending.title .. ": " .. wrong)
  if #problems > 0 then host.tell(table.concat(problems, "\n")) end
end

-- How a job stands. One whose request can be said in other words has not ended with a refusal.
local function look(entry, journal, pending)
  local status = ends[pending.id] or follow.look(data.spool, pending, memory, host.clock())
  if not status or not status.ended then return status end
  if status.error and pending.instead then
    if not journal.remove(pending.id) then return wait_for_folder(host.media_folder(entry.project)) end
    return ask_instead(journal, pending)
  end
  ends[pending.id] = status
  return status
end

local function look_after(entry)
  if entry.path == "" or host.is_recording(entry.project) then return end
  local journal = exchange.journal(host.beside(entry.project, entry.path, "pending"))
  for _, press in ipairs(groups.presses(journal.read())) do
    local state = groups.state(press, function(pending) return look(entry, journal, pending) end)
    if state.over then
      finish(entry, journal, state.ended)
    elseif state.line then
      host.show("ACE-Step " .. state.line)
    end
  end
end

-- Place what was sent to REAPER from the studio page, at the edit cursor of the project in front; it waits until that can be done.
local function place_sent()
  if not handover.waits(data.spool, host.NAME) then return end
  local project, path = host.project()
  if path == "" or host.is_recording(project) then return end
  local folder = host.media_folder(project)
  if not files.writable(folder) then return wait_for_folder(folder) end
  blocked[folder] = nil
  local rate, entry, fetched, problems = host.rate(project), { project = project, path = path }, {}, {}
  local position = placement.samples(reaper.GetCursorPositionEx(project), rate)
  for _, sent in ipairs(handover.take(data.spool, host.NAME, exchange.name(host.NAME, host.clock()))) do
    local pending = handover.pending(sent, exchange.name(host.NAME, host.clock()), position, rate)
    local problem = fetch(entry, pending, sent.job, fetched)
    if problem then problems[#problems + 1] = pending.title .. ": " .. problem end
  end
  problems[#problems + 1] = landing.land(project, fetched)
  if #problems > 0 then host.tell(table.concat(problems, "\n")) end
end

--- One look at all open projects.
function resident.tick()
  for _, entry in ipairs(host.projects()) do look_after(entry) end
  place_sent()
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
