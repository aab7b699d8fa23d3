-- What somebody sent to this host from the studio page: taken out of the spool folder by renaming its file, so that of several scripts
-- that look, one has it. Nothing here waits.

local import = ...
local json, files = import("json"), import("files")

local handover = {}

handover.FORMAT, handover.VERSION = "acestep-bridge/handover", 1

local function path(folder, host)
  return folder .. "/handover-" .. host .. ".json"
end

--- Whether something waits for a host.
function handover.waits(folder, host)
  return files.exists(path(folder, host))
end

--- Take all that waits for a host: a list of {title, job (as job.result gives one)}. `mark` is a name that no other script uses.
function handover.take(folder, host, mark)
  local own = folder .. "/handover-" .. mark .. ".taken"
  if not os.rename(path(folder, host), own) then return {} end -- another script was quicker
  local data = json.decode(files.read(own) or "")
  os.remove(own)
  if type(data) ~= "table" or data.format ~= handover.FORMAT or data.version ~= handover.VERSION then return {} end
  return data.results or {}
end

--- What has to be known to place it: on new tracks, from a sample of the project's timeline on.
function handover.pending(sent, id, position, rate)
  return {
    id = id, group = id, press = id, action = "generate", place = "track", title = "Sent: " .. sent.title, operation = sent.job.operation,
    rate = rate, origin = position, first = position, last = position,
  }
end

return handover
