-- Operations that have no action of their own: presets and what plug-ins add. They appear by themselves.

local import = ...
local json = import("json")

local operations = {}

local function has(fields, name)
  for _, field in ipairs(fields) do
    if field.name == name then return true end
  end
  return false
end

--- Whether a host can carry out an action of the table.
function operations.offered(action, host)
  if #action.hosts == 0 then return true end
  for _, name in ipairs(action.hosts) do
    if name == host then return true end
  end
  return false
end

--- Names of the operations in a describe answer that make audio and that no other action runs, in order.
function operations.others(described, actions)
  local taken = {}
  for _, action in ipairs(actions) do taken[action.operation] = true end
  local names = json.list()
  for _, operation in ipairs(described) do
    local fields = operation.fields or {}
    if not taken[operation.name] and has(fields, "returns") and has(fields, "variants") then names[#names + 1] = operation.name end
  end
  table.sort(names)
  return names
end

--- What people call the operations of a describe answer, by name, where that is another word: presets have titles.
function operations.titles(described)
  local titles = {}
  for _, operation in ipairs(described) do
    local title = operation.title
    if type(title) == "string" and title ~= "" then titles[operation.name] = title end
  end
  return titles
end

--- The action "operation" for a chosen operation: its own form, its own needs.
function operations.adapt(action, operation)
  local own = {}
  for key, value in pairs(action) do own[key] = value end
  own.operation = operation.name
  own.called = operations.titles({ operation })[operation.name]
  own.title = own.called or operation.name
  own.ask = json.list()
  own.whole_form = true
  if has(operation.fields, "source") then
    own.needs = "selection"
  else
    own.audio, own.needs = "none", "position"
  end
  return own
end

return operations
