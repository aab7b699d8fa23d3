-- Loads the modules beside this file and runs one action. Called by the small script of each action.

local TERMINATE_AND_RELAUNCH = 3 -- when the key is pressed while the script still runs; REAPER 7.03 and later, else REAPER asks

return function(folder, name)
  local loaded, data = {}, nil
  local function import(module)
    if loaded[module] == nil then loaded[module] = assert(loadfile(folder .. "/" .. module .. ".lua"))(import, data) end
    return loaded[module]
  end
  local json, files = import("json"), import("files")
  local function read(file) return json.decode(files.read(folder .. "/" .. file) or "") or {} end
  local settings = read("settings.json")
  local windows = package.config:sub(1, 1) == "\\"
  local system = windows and "windows" or (reaper.GetOS():find("OSX") or reaper.GetOS():find("mac")) and "macos" or "linux"
  data = { actions = read("actions.json").actions, messages = read("messages.json").messages, program = settings.program or {},
           starter = settings.starter or {} }
  data.spool = import("home").folder(os.getenv, system, settings.home) .. "/spool"
  data.folder = folder
  if name ~= "resident" and reaper.APIExists("set_action_options") then reaper.set_action_options(TERMINATE_AND_RELAUNCH) end
  if name == "set up" then return import("set_up").run() end
  import("action").run(name)
end
