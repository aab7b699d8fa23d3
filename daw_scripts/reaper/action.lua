-- One action from the key press to the submitted jobs; results come later, by the resident loop.

local import, data = ...
local exchange, files, choices, requests = import("exchange"), import("files"), import("choices"), import("requests")
local forms, groups, operations, queue = import("forms"), import("groups"), import("operations"), import("queue")
local host, asking, form, daemon = import("host"), import("asking"), import("form"), import("daemon")
local resident, choosing, pieces = import("resident"), import("choosing"), import("pieces")

local action = {}

-- The form of an action: the operation's own fields, then what only concerns this host.
local function rows_for(wanted, situation, fields, last)
  local rows = forms.rows(fields, wanted.ask, last, wanted.each)
  rows[#rows + 1] = forms.listen_row(last)
  if asking.tempo_changes(situation) then rows[#rows + 1] = forms.tempo_row(last) end
  return rows
end

-- What has to be kept of a job until its result comes. `id` is the key press.
local function pending_of(id, name, wanted, part, job)
  local pending = requests.pending(name, wanted, part, job)
  pending.group, pending.press, pending.places = id, id, part.places
  if part.source then
    pending.take, pending.offset, pending.playrate = part.source.take, part.source.offset, part.source.playrate
    pending.rendered = part.source.rendered -- the file stays: a re-roll needs it
  end
  return pending
end

local function submit(wanted, situation, values, fields)
  local id = exchange.name(host.NAME, host.clock())
  local parts, refused = asking.parts(wanted, situation, values, fields, "acestep-" .. id)
  if not parts then return host.say(refused) end
  local listen_first = values.listen_first
  values.tempo_changes, values.listen_first = nil, nil
  local journal = exchange.journal(host.beside(situation.project, situation.path, "pending"))
  local count = 0
  for _, part in ipairs(parts) do
    for _, job in ipairs(requests.jobs(wanted, part, part.passages, values, fields)) do
      count = count + 1
      local pending = pending_of(id, string.format("%s-%d", id, count), wanted, part, job)
      pending.values, pending.listen_first = values, listen_first
      journal.add(pending)
      exchange.send(data.spool, pending.id, "job.submit", { operation = job.operation, params = job.params })
    end
  end
end

local function last_of(wanted, situation)
  local store = host.beside(situation.project, situation.path, "choices")
  return choices.of(store, wanted.operation), store
end

-- The operation as a model has it; where that model cannot do it, or is not here, what any has, and the daemon's sentence.
local function with_operation(wanted, model, done)
  daemon.ask("describe", { operation = wanted.operation, model = model }, function(answer, failure)
    if model and type(failure) == "table" then
      return with_operation(wanted, nil, function(found) done(found, failure.message) end)
    end
    local list = type(answer) == "table" and (answer.operations or answer) or {}
    for _, found in ipairs(list) do
      if found.name == wanted.operation then return done(found) end
    end
    host.say({ code = "no_operation", operation = wanted.operation })
  end)
end

-- Rows and pages of an action's form for one model. `refused`: why that cannot do it.
local function form_of(wanted, situation, fields, refused, last)
  local rows = rows_for(wanted, situation, fields, last)
  local pages = forms.pages(fields, rows, last)
  table.insert(rows, 1, forms.note_row(asking.summary(wanted, situation)))
  if refused then table.insert(rows, 2, forms.note_row(refused)) end
  return rows, pages
end

-- `done(values, fields)`: what was filled in, and the fields of the model that it is for.
local function ask_values(wanted, situation, fields, refused, done)
  local last, store = last_of(wanted, situation)
  if #wanted.ask == 0 and not wanted.whole_form then return done(last, fields) end
  local function show(title, shown, answered) form.ask(title, shown, host.tell, answered) end
  local function remake(values, next)
    with_operation(wanted, forms.model_of(values), function(operation, why)
      fields = operation.fields
      next(form_of(wanted, situation, fields, why, values))
    end)
  end
  local rows, pages = form_of(wanted, situation, fields, refused, last)
  forms.dialogue(show, "ACE-Step: " .. wanted.title, rows, pages, last, function(values)
    if not values then return end
    choices.keep(store, wanted.operation, values)
    if wanted.each ~= "" and not (values[wanted.each] and #values[wanted.each] > 0) then return host.say({ code = "no_tracks" }) end
    done(values, fields)
  end, remake)
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
        if values and found.name == values.operation then done(operations.adapt(wanted, found)) end
      end
    end)
  end)
end

local function go_on(wanted, situation)
  with_operation(wanted, forms.model_of(last_of(wanted, situation)), function(operation, refused)
    ask_values(wanted, situation, operation.fields, refused, function(values, fields) submit(wanted, situation, values, fields) end)
  end)
end

local function run_submit(wanted)
  local situation = asking.situation(wanted)
  local found = wanted.needs == "recipe" and choosing.selected_all(situation.project) or {}
  local refused = asking.refusal(wanted, situation, found[1] and found[1].memory)
  if refused then return host.say(refused) end
  if not files.writable(host.media_folder(situation.project)) then
    return host.say({ code = "readonly_media_folder", path = host.media_folder(situation.project) })
  end
  local jobs = choosing.again(found)
  daemon.ready(function()
    if #jobs > 0 then return choosing.reroll(situation.project, situation.path, jobs) end
    if wanted.name ~= "operation" then
      return go_on(wanted, situation)
    end
    choose_operation(wanted, function(own)
      local known = asking.situation(own)
      local wrong = asking.refusal(own, known)
      if wrong then return host.say(wrong) end
      go_on(own, known)
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

-- All that the newest key press asked for. What of it is ready already is placed.
local function cancel_newest()
  local presses = groups.presses(waiting())
  if #presses == 0 then return host.say({ code = "no_jobs" }) end
  for _, pending in ipairs(presses[#presses]) do cancel(pending) end
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
  cancel = cancel_newest,
  keep = choosing.keep,
  restore = function() choosing.restore(action.run) end,
  listen = choosing.listen,
  dataset = function() pieces.make(daemon.ready) end,
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
