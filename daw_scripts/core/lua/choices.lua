-- What a project remembers of the user's last choices, by action; one small file beside the project.

local import = ...
local json, files = import("json"), import("files")

local choices = {}

local function read(path)
  local data = json.decode(files.read(path) or "")
  if type(data) ~= "table" or data.format ~= "acestep-bridge/choices" then return {} end
  return data.actions or {}
end

--- The values of the last run of an action.
function choices.of(path, action)
  return read(path)[action] or {}
end

--- Remember the values of an action, and of all actions that fall back on it.
function choices.keep(path, action, values)
  local all = read(path)
  all[action] = values
  return files.write(path, json.encode({ format = "acestep-bridge/choices", version = 1, actions = all }))
end

return choices
