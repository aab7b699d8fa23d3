-- Results onto the timeline: called by the timer hook about ten times a second, cheap when nothing waits.

local import, data = ...
local exchange, files, results, json = import("exchange"), import("files"), import("results"), import("json")
local follow, host, audio = import("follow"), import("host"), import("audio")
local takes, progress = import("takes"), import("progress")

local placing = {}

local MOST_CONTEXTS = 20

local busy = false
local blocked = false
local memory = {}

-- The first variant ends on top.
local function lay(track, list, pending)
  local layers = {}
  for index = #list, 1, -1 do
    local region = audio.import(list[index].imported, track)
    if region then layers[#layers + 1] = { region = region, position = list[index].position, name = list[index].name } end
  end
  audio.lay(track, layers, "ACE-Step: " .. pending.title)
end

local function place_takes(pending, list)
  local track = host.track(pending.track)
  if not track then
    host.say({ code = "track_gone" })
    track = audio.new_track(pending.title, 2)
  end
  lay(track, list, pending)
end

local function place_tracks(pending, list)
  for _, place in ipairs(list) do lay(audio.new_track(place.track_name, 2), { place }, pending) end
end

-- Unique names, so that Ardour's import never asks whether to use an existing source.
local function fetch(list)
  for _, place in ipairs(list) do
    place.imported = host.folder() .. "/" .. place.copy
    local done, why = files.copy(place.path, place.imported)
    if not done then return nil, why end
  end
  return true
end

local function place(pending, job)
  local list = results.placements(pending, job)
  local fetched, why = fetch(list)
  if not fetched then return why end
  if pending.place == "take" then place_takes(pending, list) else place_tracks(pending, list) end
  for _, landed in ipairs(list) do os.remove(landed.imported) end -- the session has its own copy now
  takes.remember(pending, job)
  files.write(host.folder() .. "/last.txt", pending.title .. ": done. " .. results.notes(data.messages, pending, job))
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

local function finish(pending, status)
  local journal = exchange.journal(host.folder() .. "/pending.json")
  if not journal.remove(pending.id) then return wait_for_folder() end -- first, so that a failure is never repeated for ever
  blocked = false
  local problem = status.error and status.error.message
  if not problem and status.job.state == "done" then
    problem = place(pending, status.job)
    if pending.context then keep_context(pending.context) end
  elseif not problem and status.job.state ~= "cancelled" then
    problem = status.job.error and status.job.error ~= json.null and status.job.error.message or status.job.state
  end
  if pending.context then drop_context(pending.context, journal) end
  exchange.forget(data.spool, pending.id)
  if problem then host.tell(pending.title .. ": " .. problem) end
end

-- Place what has ended; what is still under way, for the markers.
local function look()
  local under_way = {}
  for _, pending in ipairs(exchange.journal(host.folder() .. "/pending.json").read()) do
    local status = follow.look(data.spool, pending, memory, host.clock())
    if status and status.ended then
      finish(pending, status)
    else
      local last = math.max(pending.last, pending.first + pending.rate)
      under_way[#under_way + 1] = { first = pending.first, last = last, text = progress.text(pending, status and status.job) }
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
