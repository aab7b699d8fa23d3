-- Actions on results: made again with another seed, kept alone, their settings restored, listened to before they are placed.

local import, data = ...
local exchange, choices, recipes = import("exchange"), import("choices"), import("recipes")
local host, resident, takes, lanes = import("host"), import("resident"), import("takes"), import("lanes")
local landing, audition = import("landing"), import("audition")

local choosing = {}

--- Ask for a remembered take again, with new seeds.
function choosing.reroll(project, path, memory)
  local job = recipes.again(memory, exchange.name(host.NAME, host.clock()))
  exchange.journal(host.beside(project, path, "pending")).add(job.pending)
  exchange.send(data.spool, job.pending.id, "job.submit", { operation = job.operation, params = job.params })
  resident.stay()
end

local function keep(project, item)
  if host.has_lanes(reaper.GetMediaItem_Track(item)) then return lanes.keep(item) end
  takes.keep_active(project, item)
end

--- Delete what the selected item's playing take was to be chosen from; one undo step.
function choosing.keep()
  local project = host.project()
  local item = reaper.GetSelectedMediaItem(project, 0)
  if not takes.memory(item) then return host.say({ code = "no_recipe" }) end
  local wrong = landing.undoable(project, "keep the playing take", keep, project, item)
  if wrong then host.tell(wrong) end
end

--- Select the place of the selected take again and open its form with the values it was made with. `run(action)` shows it.
function choosing.restore(run)
  local project, path = host.project()
  local memory = takes.memory(reaper.GetSelectedMediaItem(project, 0))
  if not memory then return host.say({ code = "no_recipe" }) end
  local pending = memory.pending
  choices.keep(host.beside(project, path, "choices"), pending.operation, pending.values or {})
  reaper.GetSet_LoopTimeRange2(project, true, false, pending.first / pending.rate, pending.last / pending.rate, false)
  run(pending.action)
end

--- Listen to the next held variant, or place the one that is heard.
function choosing.listen() audition.next(host.project()) end
function choosing.place() audition.place(host.project()) end

return choosing
