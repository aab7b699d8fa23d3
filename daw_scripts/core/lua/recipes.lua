-- What a placed result remembers of its making, and how it is made again: plain data, no host.

local import = ...
local json = import("json")

local recipes = {}

local function present(value)
  if value == json.null then return nil end
  return value
end

local function copy(value)
  return json.decode(json.encode(value))
end

-- What a recipe asks for, and of which operation. The engine's recipe holds the request; a job without one is remembered by its request.
local function unwrap(recipe, operation)
  local inner = type(recipe.request) == "table" and recipe.request or recipe
  if inner.stages then return inner, "render" end
  return inner, present(recipe.operation) or operation
end

--- The memory of a finished job: what its host waited for, and the recipe of the result.
function recipes.memory(pending, job)
  local result = present(job.result) or {}
  local recipe = present(result.recipe)
  if not recipe or next(recipe) == nil then recipe = present(job.request) or {} end
  return { format = "acestep-bridge/take", version = 1, pending = pending, operation = present(job.operation), request = recipe }
end

--- The request behind a remembered result, and its operation.
function recipes.request(memory)
  return unwrap(memory.request or {}, memory.operation)
end

local function forget_fingerprint(made)
  if type(made.source) == "table" and made.source.fingerprint then made.source.fingerprint = "" end
end

--- A request made again: the same request, new seeds, with the weights that are there now.
function recipes.reroll(request)
  local new = copy(request)
  new.weights, new.made_on, new.precision = nil, nil, nil
  forget_fingerprint(new)
  for _, stage in ipairs(new.stages or { new }) do
    stage.seed = -1
    stage.seeds = json.null
    forget_fingerprint(stage)
  end
  return new
end

--- A remembered result made again under another id: {pending, operation, params}. It stays among the alternatives of the old one, but
-- belongs to another key press.
function recipes.again(memory, id)
  local pending = copy(memory.pending)
  pending.id, pending.press = id, nil
  local request, operation = recipes.request(memory)
  return { pending = pending, operation = operation, params = recipes.reroll(request) }
end

--- The words that a result was asked for with, or an empty text.
function recipes.caption(memory)
  local request = recipes.request(memory)
  return (present(request.conditioning) or request).caption or ""
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
