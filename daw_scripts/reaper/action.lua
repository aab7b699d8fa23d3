-- One action from the key press to the submitted jobs; results come later, by the resident loop.

local import, data = ...
local exchange, files, choices, requests = import("exchange"), import("files"), import("choices"), import("requests")
local tempo, placement, forms = import("tempo"), import("placement"), import("forms")
local operations, queue = import("operations"), import("queue")
local host, sources, form, daemon = import("host"), import("sources"), import("form"), import("daemon")
local resident, choosing = import("resident"), import("choosing")

local action = {}

local CURSOR_SECONDS = 30
local AROUND_SECONDS = 10 -- the model hears so much beside a region, and its beats count too

local function find_situation(wanted)
  local project, path = host.project()
  local rate, selection = host.rate(project), host.selection(project, wanted.needs == "selection")
  local situation = { rate = rate, saved = path ~= "", midi_only = host.midi_only(selection.items), project = project, path = path,
                      selection = selection }
  if wanted.needs == "position" and not selection.first then
    selection.first = reaper.GetCursorPositionEx(project)
    selection.last = selection.first
  end
  if selection.first then
    situation.start = placement.samples(selection.first, rate)
    situation["end"] = placement.samples(selection.last, rate)
  end
  return situation
end

-- A place without length has one tempo, whatever the map does behind it: the average of what will be filled.
local function plan_tempo(situation, choice, seconds)
  local first, last = situation.selection.first, situation.selection.last
  if last <= first then
    last, choice = first + (seconds and seconds > 0 and seconds or CURSOR_SECONDS), "average"
  end
  return tempo.plan(host.segments(situation.project, first, last), first, last, choice)
end

-- The form of an action: the operation's own fields, then what only concerns this host.
local function rows_for(wanted, situation, fields, last)
  local rows = forms.rows(fields, wanted.ask, last, wanted.each)
  rows[#rows + 1] = forms.listen_row(last)
  if not plan_tempo(situation, "refuse") then rows[#rows + 1] = forms.tempo_row(last) end
  return rows
end

-- The parts to send: one per item for an action on a target, one for everything heard.
local function find_parts(wanted, situation, name)
  local wish = { project = situation.project, rate = situation.rate, folder = host.media_folder(situation.project), name = name,
                 first = situation.selection.first, last = situation.selection.last, outside = wanted.outside }
  if wanted.audio == "none" then return { {} } end
  if wanted.audio == "target" then
    local parts = {}
    for index, item in ipairs(situation.selection.items) do
      wish.name = name .. "-item" .. index
      if host.holds_audio(item) then
        local source, refused = sources.of_item(wish, item)
        if not source then return nil, refused end
        local track = reaper.GetMediaItem_Track(item)
        parts[#parts + 1] = { source = source, item = host.item_id(item), track = host.track_id(track),
                              track_name = host.track_name(track) }
      end
    end
    if #parts == 0 then return nil, { code = "nothing_there" } end
    return parts
  end
  local source, refused = sources.of_mix(wish, wanted.audio == "others" and situation.selection.tracks or {})
  if not source then return nil, refused end
  local track = situation.selection.tracks[1]
  return { { source = source, track = track and host.track_id(track), track_name = track and host.track_name(track) } }
end

-- A part's own situation: its region is what the selection and the item share.
local function narrow(situation, part)
  local own = { rate = situation.rate, start = situation.start, ["end"] = situation["end"], source = part.source, item = part.item,
                track = part.track, track_name = part.track_name }
  local source = part.source
  if source then
    source.origin = placement.samples(source.zero, situation.rate)
    if part.item then
      own.start = source.origin + placement.convert(source.start, source.rate, situation.rate)
      own["end"] = source.origin + placement.convert(source["end"], source.rate, situation.rate)
    end
  end
  local first, last = own.start / own.rate, own["end"] / own.rate
  own.first_bar, own.last_bar = host.bars(situation.project, first, last)
  own.segments = host.segments(situation.project, math.max(0, first - AROUND_SECONDS), math.max(last, first + CURSOR_SECONDS) + AROUND_SECONDS)
  return own
end

local function submit(wanted, situation, values, fields)
  local wishes, changes = plan_tempo(situation, values.tempo_changes or "average", values.duration)
  if not wishes then return host.say({ code = changes }) end
  local listen_first = values.listen_first
  values.tempo_changes, values.listen_first = nil, nil
  local id = exchange.name(host.NAME, host.clock())
  local parts, refused = find_parts(wanted, situation, "acestep-" .. id)
  if not parts then return host.say(refused) end
  local journal = exchange.journal(host.beside(situation.project, situation.path, "pending"))
  local count = 0
  for _, part in ipairs(parts) do
    local own = narrow(situation, part)
    for _, job in ipairs(requests.jobs(wanted, own, wishes, values, fields)) do
      count = count + 1
      local name = string.format("%s-%d", id, count)
      local pending = requests.pending(name, wanted, own, job)
      pending.group = id
      pending.values, pending.listen_first = values, listen_first
      if part.source then
        pending.take, pending.offset, pending.playrate = part.source.take, part.source.offset, part.source.playrate
        pending.rendered = part.source.rendered -- the file stays: a re-roll needs it
      end
      journal.add(pending)
      exchange.send(data.spool, name, "job.submit", { operation = job.operation, params = job.params })
    end
  end
end

-- What the form of an action begins with: what will be sent, and of what.
local function summary(wanted, situation)
  local names, selection = {}, situation.selection
  for index, track in ipairs(selection.tracks) do names[index] = host.track_name(track) end
  local first, last = host.bars(situation.project, selection.first, selection.last)
  return requests.summary(wanted, { tracks = names, first_bar = first, last_bar = last, seconds = selection.last - selection.first,
                                    wishes = plan_tempo(situation, "average") })
end

local function ask_values(wanted, situation, fields, done)
  local store = host.beside(situation.project, situation.path, "choices")
  local last = choices.of(store, wanted.operation)
  if #wanted.ask == 0 and not wanted.whole_form then return done(last) end
  local rows = rows_for(wanted, situation, fields, last)
  local pages = forms.pages(fields, rows, last)
  table.insert(rows, 1, forms.note_row(summary(wanted, situation)))
  local function show(title, shown, answered) form.ask(title, shown, host.tell, answered) end
  forms.dialogue(show, "ACE-Step: " .. wanted.title, rows, pages, last, function(values)
    if not values then return end
    choices.keep(store, wanted.operation, values)
    if wanted.each ~= "" and not (values[wanted.each] and #values[wanted.each] > 0) then return host.say({ code = "no_tracks" }) end
    done(values)
  end)
end

local function with_operation(wanted, situation, done)
  daemon.ask("describe", { operation = wanted.operation }, function(answer)
    local list = type(answer) == "table" and (answer.operations or answer) or {}
    for _, found in ipairs(list) do
      if found.name == wanted.operation then return done(found) end
    end
    host.say({ code = "no_operation", operation = wanted.operation })
  end)
end

-- Let the user choose one of the operations that have no action of their own.
local function choose_operation(wanted, done)
  daemon.ask("describe", {}, function(answer)
    local described = type(answer) == "table" and answer.operations or {}
    local names = operations.others(described, data.actions)
    if #names == 0 then return host.say({ code = "no_operation", operation = wanted.title }) end
    local row = { name = "operation", label = "Operation", kind = "choice", choices = names, value = names[1], element = "str",
                  titles = operations.titles(described) }
    form.ask("ACE-Step: " .. wanted.title, { row }, host.tell, function(values)
      for _, found in ipairs(described) do
        if values and found.name == values.operation then done(operations.adapt(wanted, found), found) end
      end
    end)
  end)
end

local function go_on(wanted, situation, operation)
  ask_values(wanted, situation, operation.fields, function(values) submit(wanted, situation, values, operation.fields) end)
end

local function refusal(wanted, situation)
  if wanted.needs ~= "recipe" and situation.selection.several then return { code = "several_areas" } end
  return requests.refusal(wanted, situation)
end

local function run_submit(wanted)
  local situation = find_situation(wanted)
  local item, memory
  if wanted.needs == "recipe" then item, memory = choosing.selected(situation.project) end
  situation.recipe = memory
  local refused = refusal(wanted, situation)
  if refused then return host.say(refused) end
  if not files.writable(host.media_folder(situation.project)) then
    return host.say({ code = "readonly_media_folder", path = host.media_folder(situation.project) })
  end
  local again = memory and choosing.again(item, memory)
  daemon.ready(function()
    if again then return choosing.reroll(situation.project, situation.path, again) end
    if wanted.name ~= "operation" then
      return with_operation(wanted, situation, function(operation) go_on(wanted, situation, operation) end)
    end
    choose_operation(wanted, function(own, operation)
      local known = find_situation(own)
      local wrong = refusal(own, known)
      if wrong then return host.say(wrong) end
      go_on(own, known, operation)
    end)
  end)
end

local function waiting()
  local project, path = host.project()
  return exchange.journal(host.beside(project, path, "pending")).read()
end

local function cancel(pending)
  daemon.ask("job.cancel", { id = pending.id }, function() end)
end

-- Every waiting or running job and what there is to know of the last one; then which job to cancel.
local function show_jobs()
  local jobs = waiting()
  local lines = queue.lines(jobs, function(id) return exchange.look(data.spool, id) end)
  lines[#lines + 1] = host.last_note()
  if #lines == 0 then return host.say({ code = "no_jobs" }) end
  host.tell(table.concat(lines, "\n"))
  if #jobs == 0 then return end
  form.ask("ACE-Step: jobs", { queue.row(#jobs) }, host.tell, function(values)
    local chosen = queue.chosen(jobs, values)
    if chosen then cancel(chosen) end
  end)
end

local WHILE_RECORDING = { queue = true, cancel = true }

local CONTROLS = {
  queue = show_jobs,
  cancel = function()
    local jobs = waiting()
    if #jobs == 0 then return host.say({ code = "no_jobs" }) end
    cancel(jobs[#jobs])
  end,
  keep = choosing.keep,
  restore = function() choosing.restore(action.run) end,
  listen = choosing.listen,
  ["place-heard"] = choosing.place,
}

--- Run the action of a name; "resident" only waits for results.
function action.run(name)
  if not CONTROLS[name] then resident.stay() end
  if name == "resident" then return end
  if not WHILE_RECORDING[name] and host.is_recording(host.project()) then return host.say({ code = "recording" }) end
  if CONTROLS[name] then return CONTROLS[name]() end
  run_submit(requests.action(data.actions, name))
end

return action
