-- One action from the key press to the submitted jobs. Results come later, by the hook (placing.lua).

local import, data = ...
local json, exchange, files, choices = import("json"), import("exchange"), import("files"), import("choices")
local requests, tempo, placement, forms = import("requests"), import("tempo"), import("placement"), import("forms")
local host, audio, form, daemon = import("host"), import("audio"), import("form"), import("daemon")
local operations, jobs_view, choosing = import("operations"), import("jobs_view"), import("choosing")
local audition = import("audition")

local action = {}

local CONTEXT_SECONDS = 10
local CURSOR_SECONDS = 30

-- What the host knows before any audio is touched. `place` stands for the selection where a take says where.
local function find_situation(wanted, place)
  local rate, selection = Session:nominal_sample_rate(), place or host.selection()
  local situation = { rate = rate, saved = true, start = selection.first, ["end"] = selection.last, midi_only = selection.midi_only }
  if wanted.needs == "position" and not situation.start then
    situation.start, situation["end"] = host.cursor(), host.cursor()
  end
  return situation, selection.tracks
end

-- What the tempo map asks for. A cursor has no segments to split into: one job, with the tempo of what will come after it.
local function plan_tempo(situation, choice, duration)
  local first, last = situation.start, situation["end"]
  if last <= first then
    last = first + placement.samples((duration or 0) > 0 and duration or CURSOR_SECONDS, situation.rate)
    choice = "average"
  end
  return tempo.plan(host.segments(first, last), first / situation.rate, last / situation.rate, choice)
end

-- The tempo map around what is sent, or around what will come after the cursor: the beats beside a region count too.
local function map_around(situation)
  local first, last = situation.start, math.max(situation["end"], situation.start + CURSOR_SECONDS * situation.rate)
  return host.segments(math.max(0, first - CONTEXT_SECONDS * situation.rate), last + CONTEXT_SECONDS * situation.rate)
end

-- What the form of an action begins with: what will be sent, and of what.
local function summary(wanted, situation, tracks)
  local names = {}
  for index, track in ipairs(tracks) do names[index] = track:name() end
  local first, last = host.bars(situation.start, situation["end"])
  return requests.summary(wanted, {
    tracks = names, first_bar = first, last_bar = last, seconds = (situation["end"] - situation.start) / situation.rate,
    wishes = plan_tempo(situation, "average"),
  })
end

local function fill_in(wanted, operation, situation, tracks, store)
  local last = choices.of(store, wanted.operation)
  if #wanted.ask == 0 and not wanted.whole_form then return last end
  local rows = forms.rows(operation.fields, wanted.ask, last, wanted.each)
  rows[#rows + 1] = forms.listen_row(last)
  if not plan_tempo(situation, "refuse") then rows[#rows + 1] = forms.tempo_row(last) end
  local pages = forms.pages(operation.fields, rows, last)
  table.insert(rows, 1, forms.note_row(summary(wanted, situation, tracks)))
  local filled
  local function show(title, shown, done) done(form.ask(title, shown, host.tell)) end
  forms.dialogue(show, "ACE-Step: " .. wanted.title, rows, pages, last, function(values) filled = values end)
  if filled then choices.keep(store, wanted.operation, filled) end
  return filled
end

-- The window of audio that is sent: region and context, inside what the track holds.
local function find_window(wanted, situation, track)
  local first, last = situation.start, situation["end"]
  if wanted.audio ~= "target" then
    return placement.window(first, last, CONTEXT_SECONDS * situation.rate)
  end
  local begin, finish = audio.extent(track)
  if not begin or finish < first or begin > last then return nil end
  if not wanted.outside and (finish == first or begin == last) then return nil end
  local window = placement.window(first, last, CONTEXT_SECONDS * situation.rate, finish)
  if wanted.outside then
    window.from, window.to = math.max(window.from, begin), math.min(window.to, finish)
    window.start, window["end"] = first - window.from, last - window.from
  end
  return window
end

local function render(wanted, situation, track, id)
  local window = find_window(wanted, situation, track)
  if not window then return nil, { code = "nothing_there" } end
  local path = host.folder() .. "/context/" .. id .. ".wav"
  local done, why
  if wanted.audio == "target" then
    local missing = audio.missing(track, window.from, window.to)
    if missing then return nil, { code = "offline_media", path = missing } end
    done, why = audio.write_track(track, path, window.from, window.to)
  else
    local without = {}
    if wanted.audio == "others" and track then without[track:to_stateful():id():to_s()] = true end
    done, why = audio.write_mix(path, window.from, window.to, without, id)
  end
  if not done then return nil, { code = why } end
  return { path = path, rate = situation.rate, start = window.start, ["end"] = window["end"], origin = window.from }
end

local function submit(wanted, situation, wishes, values, fields, track)
  local id = exchange.name(host.NAME, host.clock())
  situation.track = track and track:to_stateful():id():to_s() or nil
  situation.track_name = track and track:name() or nil
  situation.source = nil
  if wanted.audio ~= "none" then
    local source, refused = render(wanted, situation, track, id)
    if not source then return host.say(refused) end
    situation.source = source
  end
  for index, job in ipairs(requests.jobs(wanted, situation, wishes, values, fields)) do
    local name = string.format("%s-%d", id, index)
    local pending = requests.pending(name, wanted, situation, job)
    pending.context = situation.source and situation.source.path or nil
    pending.group, pending.values, pending.listen_first = id, values, situation.listen_first
    if not daemon.submit(pending, job.operation, job.params) then return end
  end
end

-- Let the user choose one of the operations that have no action of their own.
local function choose_operation(wanted)
  local described = daemon.describe_all()
  local names = operations.others(described, data.actions)
  if #names == 0 then return host.say({ code = "no_operation", operation = wanted.title }) end
  local row = { name = "operation", label = "Operation", kind = "choice", choices = names, value = names[1], element = "str",
                titles = operations.titles(described) }
  local values = form.ask("ACE-Step: " .. wanted.title, { row }, host.tell)
  for _, found in ipairs(described) do
    if values and found.name == values.operation then return operations.adapt(wanted, found) end
  end
end

local run_submit

local function run_other(wanted, place)
  local own = daemon.ready() and choose_operation(wanted)
  if own then run_submit(own, place) end
end

function run_submit(wanted, place)
  local situation, tracks = find_situation(wanted, place)
  local refused = requests.refusal(wanted, situation)
  if refused then return host.say(refused) end
  if wanted.audio ~= "none" and #tracks == 0 then return host.say({ code = "nothing_there" }) end
  local blocked = host.prepare(files)
  if blocked then return host.say({ code = "readonly_media_folder", path = blocked }) end
  if not daemon.ready() then return end
  local operation = daemon.describe(wanted.operation)
  if not operation then return host.say({ code = "no_operation", operation = wanted.operation }) end
  local values = fill_in(wanted, operation, situation, tracks, host.folder() .. "/choices.json")
  if not values then return end
  local wishes, changes = plan_tempo(situation, values.tempo_changes or "average", values.duration)
  if not wishes then return host.say({ code = changes }) end
  situation.listen_first = values.listen_first
  situation.first_bar, situation.last_bar = host.bars(situation.start, situation["end"])
  situation.segments = map_around(situation)
  values.tempo_changes, values.listen_first = nil, nil
  if wanted.each ~= "" and not (values[wanted.each] and #values[wanted.each] > 0) then return host.say({ code = "no_tracks" }) end
  if wanted.audio == "target" then
    for _, track in ipairs(tracks) do submit(wanted, situation, wishes, values, operation.fields, track) end
  else
    submit(wanted, situation, wishes, values, operation.fields, tracks[1])
  end
end

-- The actions of this host as a list, because Ardour's menu has room for a few only.
local function run_chosen()
  local titles, by_title = json.list(), {}
  for _, offered in ipairs(data.actions) do
    if offered.name ~= "more" and operations.offered(offered, host.NAME) then
      titles[#titles + 1] = offered.title
      by_title[offered.title] = offered.name
    end
  end
  local row = { name = "action", label = "Action", kind = "choice", choices = titles, value = titles[1], element = "str" }
  local values = form.ask("ACE-Step: actions", { row }, host.tell)
  if values then action.run(by_title[values.action]) end
end

local CONTROLS = {
  more = run_chosen,
  queue = function() jobs_view.show() end,
  cancel = function() jobs_view.cancel_newest() end,
  vary = choosing.reroll,
  keep = choosing.keep,
  restore = function() choosing.restore(action.run) end,
  ["listen-page"] = audition.listen,
  ["place-waiting"] = audition.place,
  operation = function(place) run_other(requests.action(data.actions, "operation"), place) end,
}

--- Run the action of a name, on the selection or on a `place` {first, last, tracks}.
function action.run(name, place)
  if CONTROLS[name] then return CONTROLS[name](place) end
  run_submit(requests.action(data.actions, name), place)
end

return action
