-- Jobs of one key press: shown in one line, cancelled as one, placed as one once all of them have ended. Plain data, no host.

local import = ...
local spool = import("spool")

local groups = {}

--- The jobs of a journal by key press: lists of pending jobs, the oldest press first.
function groups.presses(jobs)
  local presses, by_name = {}, {}
  for _, pending in ipairs(jobs) do
    local name = pending.press or pending.id
    if not by_name[name] then
      by_name[name] = {}
      presses[#presses + 1] = by_name[name]
    end
    table.insert(by_name[name], pending)
  end
  return presses
end

-- The line of a press of which `ready` jobs have ended and one is known to run or wait.
local function line(press, ready, job)
  if #press == 1 then return spool.line(job) end
  return string.format("%s: %d of %d ready, %s", press[1].title, ready, #press, spool.line(job))
end

--- How the jobs of a press stand: {ended = {{pending, status}, ...}, over (all of them), line?}. `look(pending)` gives a status or nil.
function groups.state(press, look)
  local ended, current = {}, nil
  for _, pending in ipairs(press) do
    local status = look(pending)
    if status and status.ended then
      ended[#ended + 1] = { pending = pending, status = status }
    elseif status and status.job and (not current or status.job.state == "running") then
      current = status.job
    end
  end
  return { ended = ended, over = #ended == #press, line = current and line(press, #ended, current) }
end

return groups
