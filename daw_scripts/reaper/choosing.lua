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

--- The job that makes an item's playing take again, with new seeds, where the item lies now: plain data.
function choosing.again(item, memory)
  local job = recipes.again(memory, exchange.name(host.NAME, host.clock()))
  job.pending.moved = takes.moved(item, memory)
  if job.pending.place == "take" then go_to(job.pending, item) end
  job.old = memory.pending.id
  return job
end

--- Ask for that job: the daemon's old one with new seeds, or, where it no longer knows that one, what the take remembers of it.
function choosing.reroll(project, path, job)
  job.pending.instead = { operation = job.operation, params = job.params }
  exchange.journal(host.beside(project, path, "pending")).add(job.pending)
  exchange.send(data.spool, job.pending.id, "job.rerun", { job = job.old, vary = true })
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

--- Select the place where the selected take lies now and open its form with the values it was made with. `run(action)` shows it.
function choosing.restore(run)
  local project, path = host.project()
  local item, memory = choosing.selected(project)
  if not memory then return host.say({ code = "no_recipe" }) end
  local pending, moved = memory.pending, takes.moved(item, memory)
  choices.keep(host.beside(project, path, "choices"), pending.operation, pending.values or {})
  local first, last = (pending.first + moved) / pending.rate, (pending.last + moved) / pending.rate
  reaper.GetSet_LoopTimeRange2(project, true, false, first, last, false)
  run(requests.with_form(data.actions, pending))
end

--- Listen to the next held variant, or place the one that is heard.
function choosing.listen() audition.next(host.project()) end
function choosing.place() audition.place(host.project()) end

return choosing
