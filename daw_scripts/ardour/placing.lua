-- Results onto the timeline: called by the timer hook about ten times a second, cheap when nothing waits.

local import, data = ...
local exchange, files, results, json = import("exchange"), import("files"), import("results"), import("json")
local follow, recipes, requests, host = import("follow"), import("recipes"), import("requests"), import("host")
local landing, audition, progress = import("landing"), import("audition"), import("progress")

local placing = {}

local MOST_CONTEXTS = 20

local busy = false
local blocked = false
local memory = {}

-- What Show jobs tells of the job that ended last.
local function note(text)
  files.write(host.folder() .. "/last.txt", text)
end

local function place(pending, job)
  local list, why = landing.fetch(pending, job)
  if not list then return why end
  note(pending.title .. ": done. " .. results.notes(data.messages, pending, job))
  local made = recipes.memory(pending, job)
  if pending.listen_first and #list > 0 then return audition.hold(made, list) end
  return audition.land(made, list, list)
end

-- The same, with whatever a script of ours may stumble over as a sentence: the job waits no longer, so the user has to know.
local function try_to_place(pending, job)
  local ok, why = pcall(place, pending, job)
  if not ok then return tostring(why) end
  return why
end

-- A re-roll needs the audio that was sent, so that of the newest jobs stays.
local function keep_context(path)
  local kept = exchange.journal(host.folder() .. "/contexts.json")
  kept.remove(path)
  kept.add({ id = path })
  local list = kept.read()
  for index = 1, #list - MOST_CONTEXTS do
    os.remove(list[index].id)
    kept.remove(list[index].id)
  end
end

-- Several jobs may read the same rendered audio; the last one out removes it, unless one of them has a result.
local function drop_context(path, journal)
  for _, list in ipairs({ journal.read(), exchange.journal(host.folder() .. "/contexts.json").read() }) do
    for _, other in ipairs(list) do
      if other.context == path or other.id == path then return end
    end
  end
  os.remove(path)
end

-- The session's folder takes no files: said once, and the result waits until it does.
local function wait_for_folder()
  if not blocked then host.say({ code = "readonly_media_folder", path = host.folder() }) end
  blocked = true
end

-- The daemon refused what was asked for, but the same can be said in other words: submitted under the same id.
local function ask_instead(journal, pending)
  local job = pending.instead
  pending.instead = nil
  journal.add(pending)
  exchange.forget(data.spool, pending.id)
  exchange.send(data.spool, pending.id, "job.submit", job)
end

local function finish(pending, status)
  local journal = exchange.journal(host.folder() .. "/pending.json")
  if not journal.remove(pending.id) then return wait_for_folder() end -- first, so that a failure is never repeated for ever
  blocked = false
  if status.error and pending.instead then return ask_instead(journal, pending) end
  pending.instead = nil
  local problem = status.error and status.error.message
  if not problem and status.job.state == "done" then
    problem = try_to_place(pending, status.job)
    if pending.context then keep_context(pending.context) end
  elseif not problem and status.job.state == "cancelled" then
    note(requests.sentence(data.messages, { code = "cancelled", title = pending.title }))
  elseif not problem then
    problem = status.job.error and status.job.error ~= json.null and status.job.error.message or status.job.state
  end
  if pending.context then drop_context(pending.context, journal) end
  exchange.forget(data.spool, pending.id)
  if problem then host.tell(pending.title .. ": " .. problem) end
end

-- Place what has ended or was chosen; what waits to be chosen and what is still under way, for the markers.
local function look()
  local under_way = {}
  for _, marker in ipairs(audition.tick()) do under_way[#under_way + 1] = marker end -- first: a job at the same place counts more
  for _, pending in ipairs(exchange.journal(host.folder() .. "/pending.json").read()) do
    local status = follow.look(data.spool, pending, memory, host.clock())
    if status and status.ended then
      finish(pending, status)
    else
      under_way[#under_way + 1] = progress.marker(pending, progress.text(pending, status and status.job))
    end
  end
  return under_way
end

--- Look at every waiting job of this session, place those that have ended and show how the others stand.
function placing.tick()
  if busy or Session:actively_recording() then return end
  busy = true
  local ok, why = pcall(function() progress.show(look()) end)
  busy = false
  if not ok then print("acestep-bridge: " .. tostring(why)) end
end

return placing
