-- Actions on results: made again with another seed, kept alone, their settings restored, listened to before they are placed.

local import, data = ...
local exchange, choices, recipes, requests = import("exchange"), import("choices"), import("recipes"), import("requests")
local host, takes, lanes, tracks = import("host"), import("takes"), import("lanes"), import("tracks")
local landing, audition = import("landing"), import("audition")

local choosing = {}

--- The item whose playing take is meant, and what that take remembers; nil for a take that is not ours.
function choosing.selected(project)
  local item = reaper.GetSelectedMediaItem(project, 0)
  return item, takes.memory(item)
end

-- A result that becomes a take goes to this item, which may be a copy of the old one, and sounds like the take that plays.
local function go_to(pending, item)
  local take = reaper.GetActiveTake(item)
  pending.item, pending.track = host.item_id(item), host.track_id(reaper.GetMediaItem_Track(item))
  pending.take = host.take_id(take)
  pending.offset = reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS")
  pending.playrate = reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
  pending.lead = pending.offset
end

--- All selected items whose playing take is ours, with what it remembers: {item, memory} each.
function choosing.selected_all(project)
  local found = {}
  for index = 0, reaper.CountSelectedMediaItems(project) - 1 do
    local item = reaper.GetSelectedMediaItem(project, index)
    local memory = takes.memory(item)
    if memory then found[#found + 1] = { item = item, memory = memory } end
  end
  return found
end

--- The jobs that make the playing takes of such items again, with new seeds, where the items lie now: plain data. They are one key press.
function choosing.again(found)
  local jobs = {}
  for index, one in ipairs(found) do
    local job = recipes.again(one.memory, exchange.name(host.NAME, host.clock()))
    job.pending.moved = takes.moved(one.item, one.memory)
    if job.pending.place == "take" then go_to(job.pending, one.item) end
    job.old = one.memory.pending.id
    jobs[index] = job
    job.pending.press = jobs[1].pending.id
  end
  return jobs
end

--- Ask for those jobs: the daemon's old ones with new seeds, or, where it no longer knows one, what the take remembers of it.
function choosing.reroll(project, path, jobs)
  local journal = exchange.journal(host.beside(project, path, "pending"))
  for _, job in ipairs(jobs) do
    job.pending.instead = { operation = job.operation, params = job.params }
    journal.add(job.pending)
    exchange.send(data.spool, job.pending.id, "job.rerun", { job = job.old, vary = true })
  end
end

local function keep(project, item)
  if takes.memory(item).pending.place ~= "take" then tracks.keep(project, item) end
  if host.has_lanes(reaper.GetMediaItem_Track(item)) then return lanes.keep(item) end
  takes.keep_active(project, item)
end

--- Delete what the selected item's playing take was to be chosen from, wherever it lies; one undo step.
function choosing.keep()
  local project = host.project()
  local item, memory = choosing.selected(project)
  if not memory then return host.say({ code = "no_recipe" }) end
  local wrong = landing.undoable(project, "keep the playing take", keep, project, item)
  if wrong then host.tell(wrong) end
end

-- Select what a take was asked for: its stretch of the song, or its stretches, which only razor edits can mark.
local function mark_places(project, item, pending, moved)
  local function seconds(place) return { first = (place.first + moved) / pending.rate, last = (place.last + moved) / pending.rate } end
  local whole = seconds(pending)
  reaper.GetSet_LoopTimeRange2(project, true, false, whole.first, whole.last, false)
  if not pending.places then return end
  local stretches = {}
  for index, place in ipairs(pending.places) do stretches[index] = seconds(place) end
  host.mark(reaper.GetMediaItem_Track(item), stretches)
end

--- Select the place where the selected take lies now and open its form with the values it was made with. `run(action)` shows it.
function choosing.restore(run)
  local project, path = host.project()
  local item, memory = choosing.selected(project)
  if not memory then return host.say({ code = "no_recipe" }) end
  local pending, moved = memory.pending, takes.moved(item, memory)
  choices.keep(host.beside(project, path, "choices"), pending.operation, pending.values or {})
  mark_places(project, item, pending, moved)
  run(requests.with_form(data.actions, pending))
end

--- Listen to the next held variant, or place the one that is heard.
function choosing.listen() audition.next(host.project()) end
function choosing.place() audition.place(host.project()) end

return choosing
