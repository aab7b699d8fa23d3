-- The jobs of this session: a list, and cancel.

local import, data = ...
local exchange, files, queue, requests = import("exchange"), import("files"), import("queue"), import("requests")
local host, daemon, form, audition = import("host"), import("daemon"), import("form"), import("audition")
local forms, groups = import("forms"), import("groups")

local jobs_view = {}

local function waiting()
  return exchange.journal(host.folder() .. "/pending.json").read()
end

local function cancel(pending)
  daemon.call("job.cancel", { id = pending.id })
end

--- Show every waiting or running job of this session with its progress, how many results wait to be placed and what there is to know
-- of the last one; then ask which job to cancel.
function jobs_view.show()
  local jobs = waiting()
  local lines = queue.lines(jobs, function(id) return exchange.look(data.spool, id) end)
  local held = audition.count()
  if held > 0 then lines[#lines + 1] = requests.sentence(data.messages, { code = "variants_wait", count = held }) end
  lines[#lines + 1] = files.read(host.folder() .. "/last.txt")
  if #lines == 0 then return host.say({ code = "no_jobs" }) end
  if #jobs == 0 then return host.tell(table.concat(lines, "\n")) end
  local chosen = queue.chosen(jobs, form.ask("ACE-Step: jobs", { forms.note_row(table.concat(lines, "\n")), queue.row(#jobs) }, host.tell))
  if chosen then cancel(chosen) end
end

--- Cancel all that the newest key press asked for; what of it is ready already is placed.
function jobs_view.cancel_newest()
  local presses = groups.presses(waiting())
  if #presses == 0 then return host.say({ code = "no_jobs" }) end
  for _, pending in ipairs(presses[#presses]) do cancel(pending) end
end

return jobs_view
