-- Questions to the daemon without waiting: the answer comes to a function, some ticks later.

local import, data = ...
local exchange, requests, host = import("exchange"), import("requests"), import("host")

local daemon = {}

local PATIENCE = 3.0
local START_PATIENCE = 15

--- Ask; `done(answer, error)` is called once, with nothing when nobody answered in time.
function daemon.ask(method, params, done, patience)
  local name = exchange.name(host.NAME, host.clock())
  if not exchange.send(data.spool, name, method, params) then return done(nil, nil) end
  local until_when = host.clock() + (patience or PATIENCE)
  local function look()
    local status = exchange.look(data.spool, name)
    if status and status.ended then
      exchange.forget(data.spool, name)
      return done(status.answer, status.error)
    end
    if host.clock() > until_when then
      exchange.withdraw(data.spool, name)
      return done(nil, nil)
    end
    reaper.defer(look)
  end
  look()
end

local function offer_to_start(done)
  if #data.program == 0 then return host.say({ code = "program_unknown", host = host.NAME }) end
  local command = table.concat(data.program, " ")
  local sentence = requests.sentence(data.messages, { code = "daemon_not_running", command = command })
  if not host.ask(sentence .. "\n\nStart it now?") then return end
  host.start(data.starter)
  daemon.ready(done, START_PATIENCE)
end

--- Go on with `done` when a daemon of the right version answers; offers to start one, and says what is wrong otherwise.
function daemon.ready(done, patience)
  daemon.ask("version", {}, function(answer)
    if not answer and patience then return host.say({ code = "no_answer", seconds = patience }) end
    if not answer then return offer_to_start(done) end
    local mismatch = exchange.mismatch(answer, host.NAME)
    if mismatch then return host.say(mismatch) end
    done()
  end, patience)
end

return daemon
