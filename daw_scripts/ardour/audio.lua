-- Audio out of Ardour as a WAV file, and WAV files into it.

local import = ...
local wav, files, lists = import("wav"), import("files"), import("lists")

local audio = {}

local BLOCK = 8192
local REPORT = 16 -- blocks between two signs of life
local QUICK = 5 -- seconds of audio that are read without a window

--- Where a track's audio begins and ends, in samples; nil when it has none.
function audio.extent(track)
  local first, last
  for _, region in ipairs(lists.of(track:playlist():region_list())) do
    local from, to = region:position():samples(), (region:position() + region:length()):samples()
    first, last = math.min(first or from, from), math.max(last or to, to)
  end
  return first, last
end

--- The path of a file between two samples of a track that is not there (Ardour plays silence for it), or nil.
function audio.missing(track, first, last)
  for _, region in ipairs(lists.of(track:playlist():region_list())) do
    local from, to = region:position():samples(), (region:position() + region:length()):samples()
    local file = from < last and to > first and region:source(0):to_filesource()
    if file and not file:isnil() and not files.exists(file:path()) then return file:path() end
  end
  return nil
end

local function channels_of(track)
  local count = 1
  for _, region in ipairs(lists.of(track:playlist():region_list())) do
    local region_audio = region:to_audioregion()
    if not region_audio:isnil() then count = math.max(count, region_audio:n_channels()) end
  end
  return math.min(2, count)
end

local function interleave(buffers, count)
  if #buffers == 1 then return buffers[1] end
  local mixed = {}
  for index = 1, count do
    mixed[2 * index - 1], mixed[2 * index] = buffers[1][index], buffers[2][index]
  end
  return mixed
end

-- Ardour's own window for something that takes a while: `told(fraction)` is true once the user cancelled. Nothing for short reads, and
-- where Ardour runs without a window.
local function open_progress(samples)
  if not LuaDialog or samples < QUICK * Session:nominal_sample_rate() then return function() end, function() end end
  local window = LuaDialog.ProgressWindow("Reading", true) -- a longer title is cut
  return function(fraction) return window:progress(fraction, string.format("%d %% of the audio", math.floor(100 * fraction))) end,
    function() window:done() end
end

-- Read [first, last) block by block: `read(channel, at, count)` gives a list of samples. Nil and "cancelled" when the user had enough.
local function write(path, channels, first, last, read)
  local file, why = wav.open(path, Session:nominal_sample_rate(), channels, last - first)
  if not file then return nil, why end
  local told, close = open_progress(last - first)
  local stopped
  for at = first, last - 1, BLOCK do
    if ((at - first) // BLOCK) % REPORT == 0 and told((at - first) / (last - first)) then
      stopped = true
      break
    end
    local count = math.min(BLOCK, last - at)
    local buffers = {}
    for channel = 0, channels - 1 do buffers[channel + 1] = read(channel, at, count) end
    file.write(interleave(buffers, count), count * channels)
  end
  file.close()
  close()
  if not stopped then return true end
  os.remove(path)
  return nil, "read_cancelled"
end

--- The track's own audio (regions with their gains and fades, before plug-ins) as a float WAV.
function audio.write_track(track, path, first, last)
  local playlist = track:playlist():to_audioplaylist()
  local memory = ARDOUR.DSP.DspShm(3 * BLOCK)
  return write(path, channels_of(track), first, last, function(channel, at, count)
    -- The buffers are bare pointers: only `memory`, held by this function, keeps them alive.
    playlist:read(memory:to_float(0), memory:to_float(BLOCK), memory:to_float(2 * BLOCK), Temporal.timepos_t(at),
      Temporal.timecnt_t(count), channel)
    return memory:to_float(0):get_table(count)
  end)
end

-- A track's sound after its plug-ins and fader, as something readable; nil for a silent one.
local function bounced(track, first, last, name)
  local region = track:bounce_range(first, last, ARDOUR.InterThreadInfo(), track:main_outs(), false, name)
  if region:isnil() then return nil end
  return region:to_audioregion()
end

local function audible(track)
  if track:to_audio_track():isnil() or track:muted() then return false end
  return not Session:soloing() or track:soloed()
end

--- What is heard: the sum of all audible tracks but `without` (ids), after plug-ins and faders, before buses, as a float WAV.
function audio.write_mix(path, first, last, without, name)
  local parts = {}
  for _, route in ipairs(lists.of(Session:get_tracks())) do
    local track = route:to_track()
    local id = track:to_stateful():id():to_s()
    if not without[id] and audible(track) then
      parts[#parts + 1] = bounced(track, first, last, name .. "-" .. id)
    end
  end
  if #parts == 0 then return nil, "nothing_there" end
  local memory = ARDOUR.DSP.DspShm(BLOCK)
  return write(path, 2, first, last, function(channel, at, count)
    local sum
    for _, part in ipairs(parts) do
      part:to_readable():read(memory:to_float(0), at - first, count, math.min(channel, part:n_channels() - 1))
      local values = memory:to_float(0):get_table(count)
      if sum then
        for index = 1, count do sum[index] = sum[index] + values[index] end
      else
        sum = values
      end
    end
    return sum
  end)
end

local function known_regions()
  local ids = {}
  for id, _ in ARDOUR.RegionFactory.regions():iter() do ids[id:to_s()] = true end
  return ids
end

-- The region of a whole file that was imported under that name before, or nil.
local function imported(path)
  local stem = ARDOUR.LuaAPI.path_get_basename(path):match("^[^.]+")
  for _, region in ARDOUR.RegionFactory.regions():iter() do
    if region:whole_file() and region:source(0):name():match("^[^.%%]+") == stem then return region end
  end
  return nil
end

--- Bring a WAV into the session, on no track yet: its region, or nil where Ardour cannot read it. The file is copied into the
-- session, once, because Ardour asks a question when a name comes twice. Not part of the undo history.
function audio.import(path)
  local before = imported(path)
  if before then return before end
  local known = known_regions()
  local names = C.StringVector()
  names:push_back(path)
  Editor:do_import(names, Editing.ImportMergeFiles, Editing.ImportAsRegion, ARDOUR.SrcQuality.SrcBest,
    ARDOUR.MidiTrackNameSource.SMFTrackName, ARDOUR.MidiTempoMapDisposition.SMFTempoIgnore, Temporal.timepos_t(0),
    ARDOUR.PluginInfo(), ARDOUR.Track(), false)
  for id, region in ARDOUR.RegionFactory.regions():iter() do
    if not known[id:to_s()] then return region end
  end
  return nil
end

-- What an edit of tracks changes: their regions, because their layers move, then their playlists.
local function find_changing(list)
  local changing, playlists, known = {}, {}, {}
  for _, entry in ipairs(list) do
    local playlist = entry.track:playlist()
    local id = playlist:to_stateful():id():to_s()
    if not known[id] then
      known[id] = true
      playlists[#playlists + 1] = playlist
      for _, region in ipairs(lists.of(playlist:region_list())) do changing[#changing + 1] = region end
    end
  end
  table.move(playlists, 1, #playlists, #changing + 1, changing)
  return changing
end

-- Change the playlists of tracks as one undo step: `change(playlist, entry)` for each of `list`, which holds {track, ...}. An error
-- leaves no open step behind: as long as one is open, Undo does nothing (seen in 7.3).
local function edit(list, title, change)
  local changing = find_changing(list)
  Session:begin_reversible_command(title)
  for _, object in ipairs(changing) do object:to_stateful():clear_changes() end
  local ok, why = pcall(function()
    for _, entry in ipairs(list) do change(entry.track:playlist(), entry) end
  end)
  for _, object in ipairs(changing) do Session:add_stateful_diff_command(object:to_statefuldestructible()) end
  Session:commit_reversible_command(nil)
  if not ok then error(why, 0) end
end

--- Lay regions on tracks above what is there, the last one of a track on top, as one undo step. `list` holds
-- {track, region, position, name}.
function audio.lay(list, title)
  edit(list, title, function(playlist, entry)
    local region = ARDOUR.RegionFactory.clone_region(entry.region, true, false)
    region:set_name(entry.name)
    region:to_audioregion():set_fade_in_active(false) -- a patch's own ends are its crossfade; a part has none
    region:to_audioregion():set_fade_out_active(false)
    playlist:add_region(region, Temporal.timepos_t(entry.position), 1, false)
    region:raise_to_top()
  end)
end

--- Take regions from tracks, as one undo step; their files stay. `list` holds {track, region}.
function audio.remove(list, title)
  edit(list, title, function(playlist, entry) playlist:remove_region(entry.region) end)
end

--- A new audio track.
function audio.new_track(name, channels)
  local made = Session:new_audio_track(channels, 2, nil, 1, name, ARDOUR.PresentationInfo.max_order, ARDOUR.TrackMode.Normal, true)
  return lists.of(made)[1]:to_track()
end

--- Put a track into the group of that name, as Ardour has no folders. A new group is switched off, so that its tracks are muted and
-- moved one by one. Not part of the undo history.
function audio.add_to_group(name, track)
  for _, group in ipairs(lists.of(Session:route_groups())) do
    if group:name() == name then return group:add(track) end
  end
  local group = Session:new_route_group(name)
  group:set_active(false, nil)
  group:add(track)
end

return audio
