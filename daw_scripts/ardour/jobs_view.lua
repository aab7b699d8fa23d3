-- The jobs of this session: a list, and cancel.

local import, data = ...
local exchange, spool, requests = import("exchange"), import("spool"), import("requests")
local host, daemon = import("host"), import("daemon")

local jobs_view = {}

local function waiting()
  return exchange.journal(host.folder() .. "/pending.json").read()
end

--- Show every waiting or running job of this session with its progress.
function jobs_view.show()
  local lines = {}
  for _, pending in ipairs(waiting()) do
    local status = exchange.look(data.spool, pending.id)
    lines[#lines + 1] = status and status.job and spool.line(status.job) or (pending.title .. ": not taken yet")
  end
  host.tell(#lines > 0 and table.concat(lines, "\n") or requests.sentence(data.messages, { code = "no_jobs" }))
end

--- Cancel the job that was submitted last.
function jobs_view.cancel_newest()
  local jobs = waiting()
  if #jobs == 0 then return host.tell(requests.sentence(data.messages, { code = "no_jobs" })) end
  daemon.call("job.cancel", { id = jobs[#jobs].id })
end

return jobs_view
