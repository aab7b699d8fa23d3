-- Results onto the timeline: called by the timer hook about ten times a second, cheap when nothing waits.

local import, data = ...
local exchange, files, results, requests, json = import("exchange"), import("files"), import("results"), import("requests"), import("json")
local follow, host, audio = import("follow"), import("host"), import("audio")

local placing = {}

local busy = false
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
    host.tell(requests.sentence(data.messages, { code = "track_gone" }))
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
  files.write(host.folder() .. "/" .. pending.id .. ".recipe.json", json.encode(results.recipe(job)))
end

-- Several jobs may read the same rendered audio; the last one out removes it.
local function drop_context(pending, journal)
  for _, other in ipairs(journal.read()) do
    if other.context == pending.context then return end
  end
  os.remove(pending.context)
end

local function finish(pending, status)
  local journal = exchange.journal(host.folder() .. "/pending.json")
  journal.remove(pending.id) -- first, so that a failure is never repeated for ever
  local problem = status.error and status.error.message
  if not problem and status.job.state == "done" then
    problem = place(pending, status.job)
  elseif not problem and status.job.state ~= "cancelled" then
    problem = status.job.error and status.job.error ~= json.null and status.job.error.message or status.job.state
  end
  if pending.context then drop_context(pending, journal) end
  exchange.forget(data.spool, pending.id)
  if problem then host.tell(pending.title .. ": " .. problem) end
end

--- Look at every waiting job of this session and place those that have ended.
function placing.tick()
  if busy or Session:actively_recording() then return end
  busy = true
  local ok, why = pcall(function()
    for _, pending in ipairs(exchange.journal(host.folder() .. "/pending.json").read()) do
      local status = follow.look(data.spool, pending, memory, host.clock())
      if status and status.ended then finish(pending, status) end
    end
  end)
  busy = false
  if not ok then print("acestep-bridge: " .. tostring(why)) end
end

return placing
