-- One action from the key press to the submitted jobs. Results come later, by the hook (placing.lua).

local import, data = ...
local json, exchange, files, choices = import("json"), import("exchange"), import("files"), import("choices")
local requests, forms = import("requests"), import("forms")
local host, asking, form, daemon = import("host"), import("asking"), import("form"), import("daemon")
local operations, jobs_view, choosing = import("operations"), import("jobs_view"), import("choosing")
local audition, pieces = import("audition"), import("pieces")

local action = {}

-- The form of an action for one model: the operation's own fields, then what only concerns this host. `refused`: why it cannot be.
local function form_of(wanted, operation, refused, situation, last)
  local fields = asking.has_length(situation) and forms.without(operation.fields, "duration") or operation.fields
  local rows = forms.rows(fields, wanted.ask, last, wanted.each)
  rows[#rows + 1] = forms.listen_row(last)
  if asking.tempo_changes(situation) then rows[#rows + 1] = forms.tempo_row(last) end
  local pages = forms.pages(fields, rows, last)
  table.insert(rows, 1, forms.note_row(asking.summary(wanted, situation)))
  if refused then table.insert(rows, 2, forms.note_row(refused)) end
  return rows, pages
end

-- The values of an action's form, and the fields of the model that they are for.
local function fill_in(wanted, operation, refused, situation, store)
  local last = choices.of(store, wanted.operation)
  if #wanted.ask == 0 and not wanted.whole_form then return last, operation.fields end
  local filled
  local function show(title, shown, done) done(form.ask(title, shown, host.tell)) end
  local function remake(values, next)
    local other, why = daemon.describe(wanted.operation, forms.model_of(values))
    operation = other or operation
    next(form_of(wanted, operation, why, situation, values))
  end
  local rows, pages = form_of(wanted, operation, refused, situation, last)
  forms.dialogue(show, "ACE-Step: " .. wanted.title, rows, pages, last, function(values) filled = values end, remake)
  if filled then choices.keep(store, wanted.operation, filled) end
  return filled, operation.fields
end

-- Read all audio first, so that a refusal leaves nothing behind; then hand in the jobs of this key press.
local function submit(wanted, situation, values, fields)
  local id = exchange.name(host.NAME, host.clock())
  local parts, refused = asking.parts(wanted, situation, values, id)
  if not parts then return host.say(refused) end
  local listen_first, count = values.listen_first, 0
  values.tempo_changes, values.listen_first = nil, nil
  for _, part in ipairs(parts) do
    for _, job in ipairs(requests.jobs(wanted, part, part.passages, values, fields)) do
      count = count + 1
      local pending = requests.pending(string.format("%s-%d", id, count), wanted, part, job)
      pending.context = part.source and part.source.path or nil
      pending.group, pending.press, pending.values, pending.listen_first = id, id, values, listen_first
      if not daemon.submit(pending, job.operation, job.params) then return end
    end
  end
end

-- Let the user choose one of the operations that have no action of their own.
local function choose_operation(wanted)
  local described = daemon.describe_all()
  local names = operations.others(described, data.actions)
  if #names == 0 then return host.say({ code = "no_operation", operation = wanted.title }) end
  local row = { name = "operation", label = "Operation", kind = "choice", choices = names, value = names[1], element = "str",
                titles = operations.titles(described) }
  local note = forms.note_row("Presets and the operations of plug-ins. The next form says what will be sent.")
  local values = form.ask("ACE-Step: " .. wanted.title, { note, row }, host.tell)
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
  local situation = asking.situation(wanted, place)
  local refused = asking.refusal(wanted, situation)
  if refused then return host.say(refused) end
  local blocked = host.prepare(files)
  if blocked then return host.say({ code = "readonly_media_folder", path = blocked }) end
  if not daemon.ready() then return end
  local store = host.folder() .. "/choices.json"
  local operation, unable = daemon.describe(wanted.operation, forms.model_of(choices.of(store, wanted.operation)))
  if not operation then return host.say({ code = "no_operation", operation = wanted.operation }) end
  local values, fields = fill_in(wanted, operation, unable, situation, store)
  if not values then return end
  if wanted.each ~= "" and not (values[wanted.each] and #values[wanted.each] > 0) then return host.say({ code = "no_tracks" }) end
  submit(wanted, situation, values, fields)
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
  local values = form.ask("ACE-Step: actions", { forms.note_row("All actions of acestep-bridge."), row }, host.tell)
  if values then action.run(by_title[values.action]) end
end

local CONTROLS = {
  more = run_chosen,
  queue = function() jobs_view.show() end,
  cancel = function() jobs_view.cancel_newest() end,
  vary = choosing.reroll,
  dataset = pieces.make,
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
