-- The daemon as an action sees it: there, of the right version, and what it offers. Answers come within a fraction of a second.

local import, data = ...
local exchange, requests = import("exchange"), import("requests")
local host = import("host")

local daemon = {}

local PATIENCE = 3.0
local START_PATIENCE = 15.0

--- Ask and wait; the answer, or nil and the error (nil when nobody answered).
function daemon.call(method, params, patience)
  local name = exchange.name(host.NAME, host.clock())
  if not exchange.send(data.spool, name, method, params) then return nil end
  local until_when = host.clock() + (patience or PATIENCE)
  while host.clock() < until_when do
    local status = exchange.look(data.spool, name)
    if status and status.ended then
      exchange.forget(data.spool, name)
      return status.answer, status.error
    end
    host.sleep(0.02)
  end
  exchange.withdraw(data.spool, name)
  return nil
end

--- Run a short job and wait for its end; the job, or nil and the error (nil when it did not end in time).
function daemon.finished(operation, params, patience)
  local name = exchange.name(host.NAME, host.clock())
  if not exchange.send(data.spool, name, "job.submit", { operation = operation, params = params }) then return nil end
  local until_when = host.clock() + patience
  while host.clock() < until_when do
    local status = exchange.look(data.spool, name)
    if status and status.ended then
      exchange.forget(data.spool, name)
      local failure = status.error or (status.job and status.job.error)
      if type(failure) == "table" and failure.message then return nil, failure end
      return status.job
    end
    host.sleep(0.05)
  end
  return nil
end

--- Whether a daemon of the right version answers; offers to start one, and says what is wrong otherwise.
function daemon.ready()
  local answer = daemon.call("version", {})
  if not answer then
    local command = table.concat(data.program, " ")
    local sentence = requests.sentence(data.messages, { code = "daemon_not_running", command = command })
    if #data.program == 0 or not host.ask(sentence .. "\n\nStart it now?") then return false end
    host.start(data.starter)
    answer = daemon.call("version", {}, START_PATIENCE)
    if not answer then
      host.say({ code = "no_answer", seconds = math.floor(START_PATIENCE) })
      return false
    end
  end
  local mismatch = exchange.mismatch(answer, host.NAME)
  if mismatch then host.say(mismatch) end
  return mismatch == nil
end

local function hand_in(pending, method, params)
  local journal = exchange.journal(host.folder() .. "/pending.json")
  if not journal.add(pending) then -- nobody would place the result
    host.say({ code = "readonly_media_folder", path = host.folder() })
    return false
  end
  exchange.send(data.spool, pending.id, method, params)
  return true
end

--- Hand in a job that the session waits for from now on; false when it could not be written down, of which the user was told.
function daemon.submit(pending, operation, params)
  return hand_in(pending, "job.submit", { operation = operation, params = params })
end

--- The same for an old job of the daemon, made again with new seeds.
function daemon.rerun(pending, old)
  return hand_in(pending, "job.rerun", { job = old, vary = true })
end

--- What the daemon says about one operation as a model has it, or nil when it has none of that name. Where the model cannot do it, or
-- is not here: what it says of any, and the sentence that tells so.
function daemon.describe(operation, model)
  local answer, failure = daemon.call("describe", { operation = operation, model = model })
  if type(failure) == "table" then answer = daemon.call("describe", { operation = operation }) end
  if type(answer) ~= "table" then return nil end
  local list = answer.operations or answer
  for _, found in ipairs(list) do
    if found.name == operation then return found, failure and failure.message end
  end
  return nil
end

--- Every operation that the daemon offers.
function daemon.describe_all()
  local answer = daemon.call("describe", {})
  return type(answer) == "table" and answer.operations or {}
end

return daemon
