-- Actions on a take of ours: made again with another seed, kept alone, its settings restored.

local import, data = ...
local exchange, files, choices = import("exchange"), import("files"), import("choices")
local recipes, requests = import("recipes"), import("requests")
local host, audio, daemon, takes = import("host"), import("audio"), import("daemon"), import("takes")

local choosing = {}

local function chosen_take()
  local chosen = takes.chosen(host.selection())
  if not chosen then host.say({ code = "no_recipe" }) end
  return chosen
end

--- Ask for the selected takes again, with new seeds, by one key press: the daemon's old jobs, or, where it no longer knows one, what the
-- take remembers.
function choosing.reroll()
  local found = takes.all_chosen(host.selection())
  if #found == 0 then return host.say({ code = "no_recipe" }) end
  for _, chosen in ipairs(found) do
    local context = chosen.memory.pending.context
    if context and not files.exists(context) then return host.say({ code = "context_gone", title = chosen.memory.pending.title }) end
  end
  local blocked = host.prepare(files)
  if blocked then return host.say({ code = "readonly_media_folder", path = blocked }) end
  if not daemon.ready() then return end
  local press = exchange.name(host.NAME, host.clock())
  for index, chosen in ipairs(found) do
    local job = recipes.again(chosen.memory, string.format("%s-%d", press, index))
    job.pending.press = press
    job.pending.instead = { operation = job.operation, params = job.params }
    if not daemon.rerun(job.pending, chosen.memory.pending.id) then return end
  end
end

--- Remove the alternatives of the take, also those on tracks of their own; one undo step.
function choosing.keep()
  local chosen = chosen_take()
  if chosen then audio.remove(takes.alternatives(chosen), "ACE-Step: keep one take") end
end

--- Open the take's form with the values it was made with, for the same place and track. `run(action, place)` shows it.
function choosing.restore(run)
  local chosen = chosen_take()
  if not chosen then return end
  local pending = chosen.memory.pending
  choices.keep(host.folder() .. "/choices.json", pending.operation, pending.values or {})
  local track = pending.track and host.track(pending.track) or chosen.track
  local place = { first = pending.first, last = pending.last, tracks = { track }, regions = {} }
  run(requests.with_form(data.actions, pending), place)
end

return choosing
