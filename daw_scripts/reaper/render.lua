-- Rendering through REAPER's own render settings. Every setting is put back, whatever happens.

local import = ...
local host = import("host")

local render = {}

local NUMBERS = { "RENDER_SETTINGS", "RENDER_BOUNDSFLAG", "RENDER_STARTPOS", "RENDER_ENDPOS", "RENDER_CHANNELS", "RENDER_SRATE",
                  "RENDER_TAILFLAG", "RENDER_TAILMS", "RENDER_ADDTOPROJ", "RENDER_DITHER", "RENDER_NORMALIZE",
                  "RENDER_FADEIN", "RENDER_FADEOUT" }
local STRINGS = { "RENDER_FILE", "RENDER_PATTERN", "RENDER_FORMAT", "RENDER_FORMAT2" }

local FLOAT_WAV = "ZXZhdyAAAQ=="
local RENDER_WITH_LAST_SETTINGS = 42230 -- closes its window by itself; 41824 would wait for a click
local ITEM_VALUES = { "D_VOL", "D_FADEINLEN", "D_FADEOUTLEN", "D_FADEINLEN_AUTO", "D_FADEOUTLEN_AUTO" }

local function remember(project)
  local kept = { numbers = {}, strings = {} }
  for _, key in ipairs(NUMBERS) do kept.numbers[key] = reaper.GetSetProjectInfo(project, key, 0, false) end
  for _, key in ipairs(STRINGS) do
    local _, text = reaper.GetSetProjectInfo_String(project, key, "", false)
    kept.strings[key] = text
  end
  return kept
end

local function set(project, numbers, strings)
  for key, value in pairs(numbers) do reaper.GetSetProjectInfo(project, key, value, true) end
  for key, value in pairs(strings) do reaper.GetSetProjectInfo_String(project, key, value, true) end
end

-- `order` is {folder, name, numbers}; the file is folder/name.wav, float, at the project's rate.
local function run(project, order)
  local numbers = { RENDER_CHANNELS = 2, RENDER_TAILFLAG = 0, RENDER_TAILMS = 0, RENDER_ADDTOPROJ = 0, RENDER_DITHER = 0,
                    RENDER_NORMALIZE = 0, RENDER_FADEIN = 0, RENDER_FADEOUT = 0 }
  for key, value in pairs(order.numbers) do numbers[key] = value end
  set(project, numbers, { RENDER_FILE = order.folder, RENDER_PATTERN = order.name, RENDER_FORMAT = FLOAT_WAV, RENDER_FORMAT2 = "" })
  local _, targets = reaper.GetSetProjectInfo_String(project, "RENDER_TARGETS", "", false)
  local target = targets:match("[^;]+") or (order.folder .. "/" .. order.name .. ".wav")
  if reaper.file_exists(target) then os.remove(target) end -- or REAPER asks whether to overwrite it
  reaper.Main_OnCommandEx(RENDER_WITH_LAST_SETTINGS, 0, project)
  if not reaper.file_exists(target) then error("REAPER rendered nothing to " .. target, 0) end
  return target
end

-- Do something with settings and states that are all put back, also after an error. The path, or nil and why not.
local function protected(project, restore, work)
  if host.is_recording(project) then return nil, "recording" end
  local kept = remember(project)
  reaper.PreventUIRefresh(1)
  local ok, result = pcall(work)
  set(project, kept.numbers, kept.strings)
  restore()
  reaper.PreventUIRefresh(-1)
  if ok then return result end
  return nil, tostring(result)
end

--- What is heard between two times, without the tracks in `muted`, as a float WAV at `rate`.
function render.heard(project, span, rate, folder, name, muted)
  local states = {}
  for index, track in ipairs(muted) do states[index] = reaper.GetMediaTrackInfo_Value(track, "B_MUTE") end
  local function restore()
    for index, track in ipairs(muted) do reaper.SetMediaTrackInfo_Value(track, "B_MUTE", states[index]) end
  end
  return protected(project, restore, function()
    for _, track in ipairs(muted) do reaper.SetMediaTrackInfo_Value(track, "B_MUTE", 1) end
    local numbers = { RENDER_SETTINGS = 0, RENDER_BOUNDSFLAG = 0, RENDER_STARTPOS = span.first, RENDER_ENDPOS = span.last, RENDER_SRATE = rate }
    return run(project, { folder = folder, name = name, numbers = numbers })
  end)
end

--- One item as it sounds (take effects, play rate, stretch markers ...) without its own volume and fades, which stay with the item.
function render.item(project, item, rate, folder, name)
  local chosen, values = {}, {}
  for index = 0, reaper.CountSelectedMediaItems(project) - 1 do chosen[index + 1] = reaper.GetSelectedMediaItem(project, index) end
  for _, key in ipairs(ITEM_VALUES) do values[key] = reaper.GetMediaItemInfo_Value(item, key) end
  local function restore()
    for key, value in pairs(values) do reaper.SetMediaItemInfo_Value(item, key, value) end
    reaper.SelectAllMediaItems(project, false)
    for _, other in ipairs(chosen) do reaper.SetMediaItemSelected(other, true) end
  end
  return protected(project, restore, function()
    reaper.SelectAllMediaItems(project, false)
    reaper.SetMediaItemSelected(item, true)
    for _, key in ipairs(ITEM_VALUES) do reaper.SetMediaItemInfo_Value(item, key, key == "D_VOL" and 1 or 0) end
    return run(project, { folder = folder, name = name, numbers = { RENDER_SETTINGS = 32, RENDER_BOUNDSFLAG = 4, RENDER_SRATE = rate } })
  end)
end

return render
