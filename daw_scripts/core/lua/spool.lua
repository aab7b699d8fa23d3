-- The spool protocol: one JSON file a request, one a status. Only names and texts here; the host reads and writes the files.

local import = ...
local json = import("json")

local spool = {}

spool.REQUEST, spool.STATUS, spool.VERSION = "acestep-bridge/spool", "acestep-bridge/spool-status", 1
spool.TERMINAL = { done = true, failed = true, cancelled = true, interrupted = true }

--- Whether a text may be a job id and a file name: 1 to 64 of A-Z a-z 0-9 . _ - and not hidden.
function spool.is_name(text)
  return type(text) == "string" and #text <= 64 and text:find("^[%w_-][%w._-]*$") ~= nil
end

--- The paths of a request inside the spool folder; write `draft`, rename it to `request`, wait for `status`.
function spool.paths(folder, name)
  return {
    draft = folder .. "/requests/" .. name .. ".tmp",
    request = folder .. "/requests/" .. name .. ".json",
    status = folder .. "/status/" .. name .. ".json",
  }
end

--- The text of a request file.
function spool.request(method, params)
  return json.encode({ format = spool.REQUEST, version = spool.VERSION, method = method, params = params })
end

local function present(value)
  if value == json.null then return nil end
  return value
end

--- What a status file says: {name, answer, error, job, ended}, or nil and a sentence.
function spool.status(text)
  local data, why = json.decode(text)
  if type(data) ~= "table" then return nil, why or "the status is not a map" end
  if data.format ~= spool.STATUS then return nil, "not a status file of acestep-bridge" end
  if math.type(data.version) ~= "integer" or data.version > spool.VERSION then
    return nil, "the status file has a newer version"
  end
  local job, failure = present(data.job), present(data.error)
  local ended = failure ~= nil or (job ~= nil and spool.TERMINAL[job.state] == true) or (job == nil and present(data.answer) ~= nil)
  return { name = data.name, answer = present(data.answer), error = failure, job = job, ended = ended }
end

--- One line for the user about a job.
function spool.line(job)
  local progress = present(job.progress) or {}
  if job.state == "running" then
    local percent = math.floor(100 * (progress.fraction or 0) + 0.5)
    local stage = progress.stage and progress.stage ~= "" and (" " .. progress.stage) or ""
    return string.format("%s:%s %d %%", job.operation, stage, percent)
  end
  if job.state == "queued" then return string.format("%s: waiting, place %d", job.operation, job.position or 0) end
  local failure = present(job.error)
  if failure then return string.format("%s: %s", job.operation, failure.message) end
  return string.format("%s: %s", job.operation, job.state)
end

return spool
