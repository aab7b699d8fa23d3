-- What is under way, on the timeline: a range marker over the place of every waiting job, named with its progress. Ardour's own progress
-- window is modal, and its user should keep working.

local import = ...
local json, lists = import("json"), import("lists")

local progress = {}

local MARK = " ACE-Step "

local function is_ours(location)
  return location:name():find(MARK, 1, true) ~= nil
end

--- What stands on a marker: how far the job is comes first, because Ardour cuts the names of short ranges off.
function progress.text(pending, job)
  local state = "sent"
  if job and job.state == "running" then
    local known = job.progress ~= json.null and job.progress or {}
    state = string.format("%d %%", math.floor(100 * (known.fraction or 0) + 0.5))
  elseif job then
    state = job.state
  end
  return state .. MARK .. pending.operation
end

--- What stands on a marker where results wait to be chosen from: how many there are, and the action with which they can be heard.
function progress.waiting(count, title)
  return string.format("%d wait%s%s", count, MARK, title)
end

--- A marker over the place of a job, at least a second long.
function progress.marker(pending, text)
  return { first = pending.first, last = math.max(pending.last, pending.first + pending.rate), text = text }
end

local function key(first, last)
  return string.format("%d-%d", first, last)
end

--- Make the markers say what `jobs` say, a list of {first, last (samples), text}; markers of jobs that have ended go.
function progress.show(jobs)
  local wanted = {}
  for _, job in ipairs(jobs) do wanted[key(job.first, job.last)] = job end
  local unwanted = {}
  for _, location in ipairs(lists.of(Session:locations():list())) do
    if is_ours(location) then
      local place = key(location:start():samples(), location:_end():samples())
      local mark = wanted[place]
      wanted[place] = nil
      if not mark then
        unwanted[#unwanted + 1] = location
      elseif location:name() ~= mark.text then
        location:set_name(mark.text)
      end
    end
  end
  for _, location in ipairs(unwanted) do Session:locations():remove(location) end
  for _, mark in pairs(wanted) do
    local made = Session:locations():add_range(Temporal.timepos_t(mark.first), Temporal.timepos_t(mark.last))
    made:set_name(mark.text)
  end
end

return progress
