-- The selected regions, or all of the session's tracks, as a dataset to train on.

local import = ...
local dataset, exchange, files, lists = import("dataset"), import("exchange"), import("files"), import("lists")
local host, audio, daemon = import("host"), import("audio"), import("daemon")

local pieces = {}

local WAIT = 60 -- seconds that the daemon may look at the files

local function everything()
  local found = {}
  for _, track in ipairs(host.audio_tracks(Session:get_tracks())) do
    for _, region in ipairs(lists.of(track:playlist():region_list())) do
      local first = region:position():samples()
      found[#found + 1] = { region = region, track = track, first = first, last = first + region:length():samples() }
    end
  end
  return found
end

local function file_of(region, channel)
  local file = region:source(channel):to_filesource()
  return not file:isnil() and file:path() or nil
end

-- The file that holds all channels of a region, or nil: Ardour often keeps a file for each channel.
local function one_file(region)
  local path = file_of(region, 0)
  local own = region:to_audioregion()
  for channel = 1, (own:isnil() and 1 or own:n_channels()) - 1 do
    if file_of(region, channel) ~= path then return nil end
  end
  return path
end

local function piece_of(found, song, id, count)
  local path, start = one_file(found.region), found.region:start():samples()
  if not path then
    path, start = string.format("%s/%s-%d.wav", host.folder(), id, count), 0
    local written, why = audio.write_track(found.track, path, found.first, found.last)
    if not written then return nil, { code = why == "read_cancelled" and why or "offline_media", path = path } end
  elseif not files.exists(path) then
    return nil, { code = "offline_media", path = path }
  end
  return { path = path, start = start, length = found.last - found.first, title = found.track:name(), song = song }
end

local function find(song)
  local selected = Editor and host.selection().regions or {}
  local id, found = exchange.name(host.NAME, host.clock()), {}
  for count, one in ipairs(#selected > 0 and selected or everything()) do
    local piece, refused = piece_of(one, song, id, count)
    if not piece then return nil, refused end
    found[#found + 1] = piece
  end
  return found
end

--- Make the dataset, and tell what came of it.
function pieces.make()
  local name = dataset.name(Session:name())
  local blocked = host.prepare(files)
  if blocked then return host.say({ code = "readonly_media_folder", path = blocked }) end
  local found, refused = find(name)
  if not found then return host.say(refused) end
  local params, nothing = dataset.params(name, found)
  if not params then return host.say(nothing) end
  if not daemon.ready() then return end
  local job, failure = daemon.finished("dataset-scan", params, WAIT)
  if failure then return host.tell(failure.message) end
  if not job then return host.say({ code = "no_answer", seconds = WAIT }) end
  host.say(dataset.made(job.result.data))
end

return pieces
