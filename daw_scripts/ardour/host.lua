-- All that is asked of Ardour: session, selection, tempo, dialogs. Ardour 7 and later.

local import, data = ...
local lists, requests, tempo_map = import("lists"), import("requests"), import("tempo_map")

local host = {}

host.NAME = "ardour"

--- Folder of ours inside the session.
function host.folder()
  return Session:path() .. "/acestep-bridge"
end

--- Make the folders of ours; the first one that takes no files, or nil.
function host.prepare(files)
  for _, path in ipairs({ host.folder(), host.folder() .. "/context" }) do
    if not ARDOUR.LuaAPI.file_test(path, ARDOUR.LuaAPI.FileTest.IsDir) then
      os.execute('mkdir "' .. path:gsub('(["\\$`])', "\\%1") .. '"')
    end
    if not files.writable(path) then return path end
  end
  return nil
end

--- The audio tracks among routes.
function host.audio_tracks(routes)
  local tracks = {}
  for _, route in ipairs(lists.of(routes)) do
    local track = route:to_track()
    if not track:isnil() and not track:to_audio_track():isnil() then tracks[#tracks + 1] = track end
  end
  return tracks
end

local function has_midi(routes)
  for _, route in ipairs(lists.of(routes)) do
    local track = route:to_track()
    if not track:isnil() and not track:to_midi_track():isnil() then return true end
  end
  return false
end

--- The track a region lies on, or nil.
local function track_of(region)
  for _, route in ipairs(lists.of(Session:get_tracks())) do
    local track = route:to_track()
    if not track:playlist():region_by_id(region:to_stateful():id()):isnil() then return track end
  end
  return nil
end

local function add_once(tracks, track)
  for _, known in ipairs(tracks) do
    if known:to_stateful():id():to_s() == track:to_stateful():id():to_s() then return end
  end
  tracks[#tracks + 1] = track
end

--- What the user has selected: {first, last (samples), ranged, tracks, regions, midi_only}; first is nil without a selection, regions
-- holds {region, track, first, last} of audio regions. A time range (`ranged`) counts before selected regions.
function host.selection()
  local selection = Editor:get_selection()
  local found = { tracks = host.audio_tracks(selection.tracks:routelist()), regions = {} }
  found.midi_only = #found.tracks == 0 and has_midi(selection.tracks:routelist())
  found.ranged = not selection.time:empty()
  if found.ranged then
    found.first, found.last = selection.time:start_sample(), selection.time:end_sample()
  end
  for _, region in ipairs(lists.of(selection.regions:regionlist())) do
    local track = track_of(region)
    local first, last = region:position():samples(), (region:position() + region:length()):samples()
    if track and track:to_audio_track():isnil() then
      found.midi_only = #found.tracks == 0
    elseif track then
      add_once(found.tracks, track)
      found.regions[#found.regions + 1] = { region = region, track = track, first = first, last = last }
      found.midi_only = false
    end
    if not found.ranged then
      found.first = math.min(found.first or first, first)
      found.last = math.max(found.last or last, last)
    end
  end
  return found
end

--- The cursor: the playhead.
function host.cursor()
  return Session:transport_sample()
end

--- The tempo map between two samples as the core's segments.
host.segments = tempo_map.segments

--- The first and the last bar between two samples.
host.bars = tempo_map.bars

--- A sentence for the user.
function host.tell(sentence)
  LuaDialog.Message("ACE-Step", sentence, LuaDialog.MessageType.Info, LuaDialog.ButtonType.Close):run()
end

--- A sentence of the shared list, as {code, ...}.
function host.say(facts)
  host.tell(requests.sentence(data.messages, facts))
end

--- A yes-or-no question.
function host.ask(sentence)
  local answer = LuaDialog.Message("ACE-Step", sentence, LuaDialog.MessageType.Question, LuaDialog.ButtonType.Yes_No):run()
  return answer == LuaDialog.Response.Yes
end

--- Start a program with its arguments, without waiting. A shell leaves it behind, because Ardour ends what `os.forkexec` started when the
-- action is over (seen in 7.3). Ardour's children have no standard error, and nobody reads what they print.
function host.start(words)
  local quoted = {}
  for index, word in ipairs(words) do quoted[index] = "'" .. word:gsub("'", "'\\''") .. "'" end
  os.execute(table.concat(quoted, " ") .. " </dev/null >/dev/null 2>&1 &")
end

--- Sleep for some seconds (the window does not redraw meanwhile).
function host.sleep(seconds)
  ARDOUR.LuaAPI.usleep(math.floor(seconds * 1e6))
end

--- A clock in seconds.
function host.clock()
  return ARDOUR.LuaAPI.monotonic_time() / 1e6
end

--- The track of an id, or nil.
function host.track(id)
  for _, route in ipairs(lists.of(Session:get_tracks())) do
    if route:to_stateful():id():to_s() == id then return route:to_track() end
  end
  return nil
end

return host
