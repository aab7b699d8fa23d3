-- The waiting jobs as the user sees them: numbered lines, and a form that asks which one to cancel.

local import = ...
local json, spool = import("json"), import("spool")

local queue = {}

--- A numbered line for each pending job; `look(id)` gives its status or nil.
function queue.lines(jobs, look)
  local lines = {}
  for index, pending in ipairs(jobs) do
    local status = look(pending.id)
    local stands = status and status.job and spool.line(status.job):match(":.*$") or ": not accepted yet"
    lines[index] = string.format("%d  %s%s", index, pending.title, stands)
  end
  return lines
end

--- The row that asks for the number of a job to cancel.
function queue.row(count)
  local numbers = json.list({ "none" })
  for number = 1, count do numbers[number + 1] = string.format("%d", number) end
  return { name = "cancel", label = "Cancel job", kind = "choice", choices = numbers, value = "none", element = "str" }
end

--- The job that was chosen in that row, or nil.
function queue.chosen(jobs, values)
  return values and jobs[tonumber(values.cancel)] or nil
end

return queue
