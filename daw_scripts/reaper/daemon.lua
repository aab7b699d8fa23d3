-- Questions to the daemon without waiting: the answer comes to a function, some ticks later.

local import, data = ...
local exchange, host = import("exchange"), import("host")

local daemon = {}

local PATIENCE = 3.0

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

return daemon
