-- A project's stems or regions as a dataset to train on: one request to the daemon. Hosts find the audio.

local import = ...
local json = import("json")

local dataset = {}

local MAX_NAME = 60 -- characters; the daemon takes some more, so that a number may follow

-- Spaces and invisible characters beyond ASCII, in UTF-8: the no-break space, U+2000 to U+200F, U+2028 to U+202F, U+2060, U+3000, U+FEFF.
local UNSEEN = { "\194[\128-\160\173]", "\226\128[\128-\143\168-\175]", "\226\129\160", "\227\128\128", "\239\187\191" }

-- A UTF-8 text, cut behind so many characters and never inside one.
local function first(text, count)
  for place in text:gmatch("()[^\128-\191]") do
    if count == 0 then return text:sub(1, place - 1) end
    count = count - 1
  end
  return text
end

--- A name that the daemon takes, made of a project's.
function dataset.name(title)
  local plain = (title or ""):gsub("[^%w%. +_\128-\255-]", " ")
  for _, unseen in ipairs(UNSEEN) do plain = plain:gsub(unseen, " ") end
  plain = plain:gsub("^[%s%._+-]+", ""):gsub("%s+", " ")
  plain = first(plain, MAX_NAME):gsub("[%s%.]+$", "")
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
