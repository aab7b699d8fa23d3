-- From a finished job to what the host puts on the timeline: plain data, no host.

local import = ...
local json, placement, requests = import("json"), import("placement"), import("requests")

local results = {}

local function present(value)
  if value == json.null then return nil end
  return value
end

local SHOWN = { patch = true, span = true, whole = true, part = true, stem = true, residual = true }

local function word(pending, file)
  if present(file.track) and file.track ~= "" then return file.track end
  return pending.pick or pending.operation
end

-- What the user reads: a preset has a title of its own.
local function shown(pending, file)
  if present(file.track) and file.track ~= "" or pending.pick then return word(pending, file) end
  return pending.called or word(pending, file)
end

--- The file name under which a result is copied into the project: unique by job id and index.
function results.copy_name(pending, file, index)
  local extension = (file.path:match("%.(%w+)$") or "wav"):lower()
  local base = string.format("%s-%s-%d", word(pending, file):gsub("[^%w]+", "_"), pending.id, index)
  return base .. "." .. extension
end

--- What to place of a job: a list in order of variant, each {path, copy, name, track_name, position, length, skip, fade_in, fade_out, take}.
-- Positions are project samples. New parts (role part) lie where they were asked for; everything else on its source's timeline.
function results.placements(pending, job)
  local list = json.list()
  local result = present(job.result) or {}
  for index, file in ipairs(present(result.files) or {}) do
    if SHOWN[file.role] and not file.preview then
      local landing = placement.landing(file, pending.origin, pending.rate)
      local seed = present(file.seed)
      landing.path = file.path
      landing.copy = results.copy_name(pending, file, index)
      landing.role = file.role
      landing.variant = file.variant or 0
      landing.track_name = shown(pending, file)
      landing.name = string.format("%s %d%s", shown(pending, file), landing.variant + 1, seed and string.format(" (seed %d)", seed) or "")
      landing.take = pending.place == "take"
      list[#list + 1] = landing
    end
  end
  return list
end

--- What the user should know of a finished job, as one text: what was changed on the way to the model, then the daemon's own notes.
function results.notes(messages, pending, job)
  local sentences = {}
  for _, facts in ipairs(pending.notes or {}) do sentences[#sentences + 1] = requests.sentence(messages, facts) end
  local result = present(job.result) or {}
  for _, note in ipairs(present(result.notes) or {}) do sentences[#sentences + 1] = note end
  return table.concat(sentences, " ")
end

return results
