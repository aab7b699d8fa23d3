-- A job from its submission to its end, also when the status file is long gone because the host was closed meanwhile.

local import = ...
local spool, exchange = import("spool"), import("exchange")

local follow = {}

local PATIENCE = 3.0

--- How a job stands, or nil while nothing is known. `memory` is a table that the caller keeps between calls, `now` a clock in seconds.
-- When there is no status file for some seconds, the daemon is asked for the job by its id.
function follow.look(folder, pending, memory, now)
  local status = exchange.look(folder, pending.id)
  if status then return status end
  local known = memory[pending.id] or { since = now }
  memory[pending.id] = known
  if known.asked then
    local answer = exchange.look(folder, known.asked)
    if not answer then return nil end
    exchange.forget(folder, known.asked)
    memory[pending.id] = nil
    if answer.error then return { error = answer.error, ended = true } end
    local job = answer.answer
    if type(job) ~= "table" or not job.state then return nil end
    return { job = job, ended = spool.TERMINAL[job.state] == true }
  end
  if now - known.since > PATIENCE then
    known.asked = pending.id:sub(-56) .. "-again"
    exchange.send(folder, known.asked, "job.result", { id = pending.id })
  end
  return nil
end

return follow
