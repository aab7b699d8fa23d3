-- Registers every action of this folder in REAPER's action list and lets results arrive as soon as REAPER starts.

local import, data = ...
local files, host, resident = import("files"), import("host"), import("resident")

local set_up = {}

local MARK = "-- acestep-bridge: place results"

-- One line in __startup.lua that starts the resident; other people's lines stay.
local function start_with_reaper(folder)
  local path = reaper.GetResourcePath() .. "/Scripts/__startup.lua"
  local text = files.read(path) or ""
  if text:find(MARK, 1, true) then return end
  if text ~= "" and text:sub(-1) ~= "\n" then text = text .. "\n" end
  files.write(path, text .. string.format("dofile(%q)(%q, \"resident\") %s\n", folder .. "/start.lua", folder, MARK))
end

--- Register the scripts; `scripts` are file names beside the lib folder.
function set_up.run()
  local base = data.folder:gsub("[/\\]lib$", "")
  local count = 0
  for index, action in ipairs(data.actions) do
    local path = base .. "/acestep-bridge_" .. action.title .. ".lua"
    if reaper.file_exists(path) then
      reaper.AddRemoveReaScript(true, 0, path, index == #data.actions)
      count = count + 1
    end
  end
  start_with_reaper(data.folder)
  host.tell(string.format("%d actions are registered. Open the action list and search for acestep-bridge.", count))
  resident.stay()
end

return set_up
