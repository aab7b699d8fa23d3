-- Where the daemon keeps its spool: the same rule as the daemon's own, so that scripts find it without being told.

local home = {}

--- The daemon's home folder. `env` looks up an environment variable; `system` is "windows", "macos" or "linux"; `installed` is what the
-- installer wrote down (or nil).
function home.folder(env, system, installed)
  local function set(name)
    local value = env(name)
    return value ~= nil and value ~= "" and value or nil
  end
  if set("ACESTEP_BRIDGE_HOME") then return set("ACESTEP_BRIDGE_HOME") end
  if installed and installed ~= "" then return installed end
  if system == "windows" then return (set("LOCALAPPDATA") or (env("USERPROFILE") or "") .. "\\AppData\\Local") .. "\\acestep-bridge" end
  if system == "macos" then return (env("HOME") or "") .. "/Library/Application Support/acestep-bridge" end
  return (set("XDG_DATA_HOME") or (env("HOME") or "") .. "/.local/share") .. "/acestep-bridge"
end

return home
