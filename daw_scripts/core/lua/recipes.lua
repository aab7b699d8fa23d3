-- What a placed result remembers of its making, and how it is made again: plain data, no host.

local import = ...
local json = import("json")

local recipes = {}

local KEPT = { "stages", "conditioning", "source", "output", "format", "version" }

local function present(value)
  if value == json.null then return nil end
  return value
end

local function copy(value)
  return json.decode(json.encode(value))
end

--- The memory of a finished job: what its host waited for, and the request with every choice filled in.
function recipes.memory(pending, job)
  local result = present(job.result) or {}
  local request = present(result.recipe) or present(job.request) or {}
  return { format = "acestep-bridge/take", version = 1, pending = pending, request = request }
end

--- The recipe of a result as a new request: the same wish, new seeds.
function recipes.reroll(recipe)
  local old, new = copy(recipe), {}
  for _, name in ipairs(KEPT) do new[name] = old[name] end
  for _, stage in ipairs(new.stages or {}) do
    stage.seed = -1
    stage.seeds = json.null
  end
  if type(new.source) == "table" then new.source.fingerprint = "" end
  return new
end

--- A remembered result made again under another id: {pending, operation, params}. It stays among the alternatives of the old one.
function recipes.again(memory, id)
  local pending = copy(memory.pending)
  pending.id = id
  return { pending = pending, operation = "render", params = recipes.reroll(memory.request) }
end

--- Whether two memories are of results among which the user chooses: the same key press (or a re-roll of it) and the same place.
function recipes.alternatives(one, other)
  local a, b = one.pending, other.pending
  return a.group ~= nil and a.group == b.group and a.first == b.first and a.last == b.last and a.pick == b.pick
end

--- The job whose result a file of the project is a copy of, by its name (which hosts may lengthen at the end); nil for other names.
function recipes.owner(file_name)
  return file_name:match("^[%w_]+%-([%w_-]+)%-%d+[.%%]")
end

return recipes
