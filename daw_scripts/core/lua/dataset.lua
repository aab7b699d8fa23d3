-- A project's stems or regions as a dataset to train on: one request to the daemon. Hosts find the audio.

local import = ...
local json = import("json")

local dataset = {}

--- A name that the daemon takes, made of a project's.
function dataset.name(title)
  local plain = (title or ""):gsub("[^%w%. +_\128-\255-]", " "):gsub("^[%s%._+-]+", ""):gsub("%s+", " ")
  plain = plain:sub(1, 60):gsub("[%s%.]+$", "")
  return plain == "" and "project" or plain
end

--- The request for pieces {path, start, length (samples of the file), title, song}, or nil and {code}. A piece that is there twice, as in
-- a loop, counts once.
function dataset.params(name, pieces)
  local regions, seen = json.list(), {}
  for _, piece in ipairs(pieces) do
    local key = string.format("%s %d %d", piece.path, piece.start, piece.length)
    if piece.length > 0 and not seen[key] then
      seen[key] = true
      regions[#regions + 1] = { path = piece.path, start = piece.start, length = piece.length, title = piece.title or "", song = piece.song or "" }
    end
  end
  if #regions == 0 then return nil, { code = "no_pieces" } end
  return { dataset = name, regions = regions }
end

--- What to tell the user once the daemon has made the dataset, as {code, ...}. `data` is the job's answer.
function dataset.made(data)
  local left = data.left_out and #data.left_out or 0
  return {
    code = "dataset_made", name = data.dataset, count = data.samples, seconds = math.floor((data.seconds or 0) + 0.5),
    left = left > 0 and string.format("; %d could not be used: %s", left, data.left_out[1].reason) or "",
  }
end

return dataset
