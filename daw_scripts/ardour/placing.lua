-- Results onto the timeline: called by the timer hook about ten times a second, cheap when nothing waits.

local import, data = ...
local exchange, files, results, json = import("exchange"), import("files"), import("results"), import("json")
local follow, groups, recipes, requests = import("follow"), import("groups"), import("recipes"), import("requests")
local host, view = import("host"), import("view")
local landing, audition, progress = import("landing"), import("audition"), import("progress")
local handover = import("handover")

local placing = {}

local MOST_CONTEXTS = 20

local busy = false
local blocked = false
local memory, ends = {}, {} -- of follow; how jobs ended whose key press is not over yet

-- What Show jobs tells of the job that ended last.
local function note(text)
  files.write(host.folder() .. "/last.txt", text)
end

-- Fetch what a finished job has made; into `fetched`, unless it is to be listened to first. Nil, or what went wrong.
local function fetch(pending, job, fetched)
  local list, why = landing.fetch(pending, job)
  if not list then return why end
  local made, notes = recipes.memory(pending, job), results.notes(data.messages, pending, job)
  note(pending.title .. ": " .. (notes ~= "" and notes or "done."))
  if pending.listen_first and #list > 0 then return audition.hold(made, list) end
  if #list > 0 then fetched[#fetched + 1] = { memory = made, list = list, fetched = list } end
end

-- The same, with whatever a script of ours may stumble over as a sentence: the job waits no longer, so the user has to know.
local function try_to_fetch(...)
  local ok, why = pcall(fetch, ...)
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

-- See to a job that has ended; what went wrong, as a sentence, or nil.
local function conclude(pending, status, fetched)
  local problem = status.error and status.error.message
  if not problem and status.job.state == "done" then
    problem = try_to_fetch(pending, status.job, fetched)
    if pending.context then keep_context(pending.context) end
  elseif not problem and status.job.state == "cancelled" then
    note(requests.sentence(data.messages, { code = "cancelled", title = pending.title }))
  elseif not problem then
    problem = status.job.error and status.job.error ~= json.null and status.job.error.message or status.job.state
  end
  exchange.forget(data.spool, pending.id)
  return problem and pending.title .. ": " .. problem
end

-- Sentences, each once.
local function say_once(problems)
  local told, seen = {}, {}
  for _, problem in ipairs(problems) do
    if not seen[problem] then told[#told + 1] = problem end
    seen[problem] = true
  end
  if #told > 0 then host.tell(table.concat(told, "\n")) end
end

-- The jobs of a key press, of which all have ended: one undo step, and then what went wrong.
local function finish(journal, ended)
  local ids, fetched, problems = {}, {}, {}
  for index, one in ipairs(ended) do ids[index] = one.pending.id end
  if not journal.remove(table.unpack(ids)) then return wait_for_folder() end -- first, so that a failure is never repeated forever
  blocked = false
  for _, one in ipairs(ended) do
    ends[one.pending.id], one.pending.instead = nil, nil
    problems[#problems + 1] = conclude(one.pending, one.status, fetched)
  end
  local wrong = #fetched > 0 and audition.land(fetched) or {}
  table.move(wrong, 1, #wrong, #problems + 1, problems)
  for _, one in ipairs(ended) do
    if one.pending.context then drop_context(one.pending.context, journal) end
  end
  say_once(problems)
end

-- How a job stands. One whose request can be said in other words has not ended with a refusal.
local function state_of(journal, pending)
  local status = ends[pending.id] or follow.look(data.spool, pending, memory, host.clock())
  if not status or not status.ended then return status end
  if status.error and pending.instead then
    if journal.remove(pending.id) then ask_instead(journal, pending) else wait_for_folder() end
    return nil
  end
  ends[pending.id] = status
  return status
end

-- Place what has ended or was chosen; what waits to be chosen and what is still under way, for the markers.
local function look()
  local under_way = {}
  for _, marker in ipairs(audition.tick()) do under_way[#under_way + 1] = marker end -- first: a job at the same place counts more
  local journal = exchange.journal(host.folder() .. "/pending.json")
  for _, press in ipairs(groups.presses(journal.read())) do
    local stands = {}
    local state = groups.state(press, function(pending)
      stands[pending.id] = state_of(journal, pending)
      return stands[pending.id]
    end)
    if state.over then
      finish(journal, state.ended)
    else
      for _, pending in ipairs(press) do
        local status = stands[pending.id]
        under_way[#under_way + 1] = progress.marker(pending, progress.text(pending, status and status.job))
      end
    end
  end
  return under_way
end

-- Place what was sent to Ardour from the studio page, at the playhead; it waits until that can be done.
local function place_sent()
  if not handover.waits(data.spool, host.NAME) then return end
  if host.prepare(files) then return wait_for_folder() end
  blocked = false
  local fetched, problems = {}, {}
  local position, rate = host.cursor(), Session:nominal_sample_rate()
  for _, sent in ipairs(handover.take(data.spool, host.NAME, exchange.name(host.NAME, host.clock()))) do
    local pending = handover.pending(sent, exchange.name(host.NAME, host.clock()), position, rate)
    local problem = try_to_fetch(pending, sent.job, fetched)
    if problem then problems[#problems + 1] = pending.title .. ": " .. problem end
  end
  local wrong = #fetched > 0 and audition.land(fetched) or {}
  table.move(wrong, 1, #wrong, #problems + 1, problems)
  say_once(problems)
end

--- Look at every waiting job of this session, place those that have ended and show how the others stand.
function placing.tick()
  if busy or Session:actively_recording() then return end
  busy = true
  view.settle()
  local ok, why = pcall(function()
    progress.show(look())
    place_sent()
  end)
  busy = false
  if not ok then print("acestep-bridge: " .. tostring(why)) end
end

return placing
