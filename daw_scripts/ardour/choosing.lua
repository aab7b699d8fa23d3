-- Actions on a take of ours: made again with another seed, kept alone, its settings restored.

local import, data = ...
local exchange, files, choices = import("exchange"), import("files"), import("choices")
local recipes = import("recipes")
local host, audio, daemon, takes = import("host"), import("audio"), import("daemon"), import("takes")

local choosing = {}

local function chosen_take()
  local chosen = takes.chosen(host.selection())
  if not chosen then host.say({ code = "no_recipe" }) end
  return chosen
end

--- Ask for the take again, with new seeds.
function choosing.reroll()
  local chosen = chosen_take()
  if not chosen then return end
  local context = chosen.memory.pending.context
  if context and not files.exists(context) then return host.say({ code = "context_gone", title = chosen.memory.pending.title }) end
  if not daemon.ready() then return end
  local job = recipes.again(chosen.memory, exchange.name(host.NAME, host.clock()))
  exchange.journal(host.folder() .. "/pending.json").add(job.pending)
  exchange.send(data.spool, job.pending.id, "job.submit", { operation = job.operation, params = job.params })
end

--- Remove the alternatives of the take; one undo step.
function choosing.keep()
  local chosen = chosen_take()
  if chosen then audio.remove(chosen.track, takes.alternatives(chosen), "ACE-Step: keep one take") end
end

--- Open the take's form with the values it was made with, for the same place. `run(action, place)` shows it.
function choosing.restore(run)
  local chosen = chosen_take()
  if not chosen then return end
  local pending = chosen.memory.pending
  choices.keep(host.folder() .. "/choices.json", pending.operation, pending.values or {})
  run(pending.action, { first = pending.first, last = pending.last, tracks = { chosen.track }, regions = {} })
end

return choosing
