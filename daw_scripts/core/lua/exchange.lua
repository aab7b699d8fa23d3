-- Requests and answers through the daemon's spool folder, on top of `spool` and `files`. Nothing here waits.

local import = ...
local json, spool, files = import("json"), import("spool"), import("files")

local exchange = {}

exchange.PROTOCOL = 1

local counter = 0
local state = tostring({}):match("(%x+)$"):sub(-6) -- differs between scripts that run side by side

--- A name that no other request has: host, date, time, milliseconds, this script's mark, a number.
function exchange.name(host, clock)
  counter = counter + 1
  local milliseconds = math.floor((clock or 0) * 1000) % 1000
  return string.format("%s-%s-%03d-%s-%d", host, os.date("%Y%m%d-%H%M%S"), milliseconds, state, counter)
end

--- Hand in a request; true, or nil and why it could not be written (no daemon ever ran here, usually).
function exchange.send(folder, name, method, params)
  local paths = spool.paths(folder, name)
  return files.write(paths.request, spool.request(method, params), paths.draft)
end

--- The status of a request: nil while there is none.
function exchange.look(folder, name)
  local text = files.read(spool.paths(folder, name).status)
  if not text then return nil end
  local status = spool.status(text)
  return status -- a damaged status counts as none: the daemon rewrites it
end

--- Forget a request whose end was seen.
function exchange.forget(folder, name)
  os.remove(spool.paths(folder, name).status)
end

--- Take a request back that nobody picked up (no daemon is running).
function exchange.withdraw(folder, name)
  os.remove(spool.paths(folder, name).request)
end

--- What is wrong with the daemon's version, as {code, ...}, or nil. `answer` is that of the method version.
function exchange.mismatch(answer, host)
  local level = tonumber(answer.protocol) or 0
  if level < exchange.PROTOCOL then return { code = "daemon_older", daemon = level, script = exchange.PROTOCOL } end
  if level > exchange.PROTOCOL then return { code = "daemon_newer", daemon = level, script = exchange.PROTOCOL, host = host } end
  return nil
end

--- The jobs a project waits for, kept in one file beside the project, so that they outlive the host.
function exchange.journal(path)
  local journal = {}

  function journal.read()
    local data = json.decode(files.read(path) or "")
    if type(data) ~= "table" or data.format ~= "acestep-bridge/pending" then return {} end
    return data.jobs or {}
  end

  function journal.write(jobs)
    return files.write(path, json.encode({ format = "acestep-bridge/pending", version = 1, jobs = json.list(jobs) }))
  end

  function journal.add(pending)
    local jobs = journal.read()
    jobs[#jobs + 1] = pending
    return journal.write(jobs)
  end

  function journal.remove(...)
    local gone, kept = {}, {}
    for _, id in ipairs({ ... }) do gone[id] = true end
    for _, job in ipairs(journal.read()) do
      if not gone[job.id] then kept[#kept + 1] = job end
    end
    return journal.write(kept)
  end

  return journal
end

return exchange
