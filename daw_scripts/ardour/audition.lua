-- Listening before placing: results that wait beside the session until one of them is chosen. They are heard on the daemon's page.

local import, data = ...
local json, exchange, files, requests = import("json"), import("exchange"), import("files"), import("requests")
local recipes, host, daemon, form = import("recipes"), import("host"), import("daemon"), import("form")
local landing, progress, forms = import("landing"), import("progress"), import("forms")

local audition = {}

local NONE = "none: drop them all" -- stands below the numbers, because Ardour sorts what can be chosen
local LONGEST_CAPTION = 40

local known, markers

local function path()
  return host.folder() .. "/held.json"
end

local function journal()
  return exchange.journal(path())
end

-- What the page calls a job, and what was picked for it.
local function heading(memory)
  local pending, caption = memory.pending, recipes.caption(memory)
  local name = pending.operation .. (pending.pick and " " .. pending.pick or "")
  if caption == "" then return name end
  caption = caption:gsub("%s+", " ")
  local cut = utf8.offset(caption, LONGEST_CAPTION + 1)
  if cut and cut <= #caption then caption = caption:sub(1, cut - 1) .. "..." end
  return name .. ": " .. caption
end

-- The variants of the jobs that were not chosen from yet, the newest job first: {entry, variant, text}.
local function variants(entries)
  local found = {}
  for index = #entries, 1, -1 do
    local entry, last = entries[index], nil
    for _, place in ipairs(entry.chosen and {} or entry.list) do
      if place.variant ~= last then
        local text = string.format("%s, variant %d", heading(entry.memory), place.variant + 1)
        found[#found + 1] = { entry = entry, variant = place.variant, text = text }
      end
      last = place.variant
    end
  end
  return found
end

-- What there is to place of one variant of a job.
local function of_variant(entry, variant)
  local list = {}
  for _, place in ipairs(entry.list) do
    if place.variant == variant then list[#list + 1] = place end
  end
  return list
end

--- Keep what was fetched of a job until it is chosen from; what went wrong, or nil.
function audition.hold(memory, list)
  local _, why = journal().add({ id = memory.pending.id, memory = memory, list = list })
  return why
end

--- Place what was fetched of the jobs of a key press, each {memory, list, fetched}; what cannot be placed waits with all that was
-- fetched. What went wrong, a sentence each.
function audition.land(jobs)
  landing.land(jobs)
  local problems = {}
  for _, one in ipairs(jobs) do
    if one.wrong then
      local retry = requests.action(data.actions, "place-waiting").title
      local lost = audition.hold(one.memory, one.fetched)
      local still = lost or requests.sentence(data.messages, { code = "still_waits", action = retry })
      problems[#problems + 1] = one.memory.pending.title .. ": " .. one.wrong .. " " .. still
    end
  end
  return problems
end

--- How many variants wait.
function audition.count()
  return #variants(journal().read())
end

-- Place what was chosen; the markers of the others.
local function look(entries)
  local found, count = {}, #variants(entries)
  local hint = progress.waiting(count, requests.action(data.actions, "listen-page").title)
  for _, entry in ipairs(entries) do
    if not entry.chosen then
      found[#found + 1] = progress.marker(entry.memory.pending, hint)
    elseif journal().remove(entry.id) then -- first, so that a failure is never repeated forever
      local chosen = { memory = entry.memory, list = of_variant(entry, entry.chosen), fetched = entry.list }
      local problems = audition.land({ chosen })
      if problems[1] then host.tell(problems[1]) else landing.clear(entry.list) end
    end
  end
  return found
end

--- Place what was chosen, and tell where results wait, for the timeline. Called ten times a second: a file that is as before is not
-- looked into again. Only the hook places, because two imports at once would meet in Ardour.
function audition.tick()
  local text = files.read(path())
  if not markers or text ~= known then markers, known = look(journal().read()), text end
  return markers
end

--- Open the page on which they can be heard.
function audition.listen()
  if audition.count() == 0 then return host.say({ code = "nothing_held" }) end
  if not daemon.ready() then return end
  local status = daemon.call("status", {})
  if status and not status.doors.http then return host.say({ code = "page_off" }) end
  host.start(data.listener)
end

-- One of the variants by a form, nothing for none of them; nil when cancelled.
local function choose(title, found)
  local texts, by_text = json.list(), {}
  for index, variant in ipairs(found) do
    texts[index] = string.format("%0" .. #tostring(#found) .. "d  %s", index, variant.text)
    by_text[texts[index]] = variant
  end
  texts[#texts + 1] = NONE
  local row = { name = "variant", label = "Place", kind = "choice", choices = texts, value = texts[1], element = "str" }
  local note = forms.note_row("Newest first. The other variants of the same job are dropped.")
  local values = form.ask("ACE-Step: " .. title, { note, row }, host.tell)
  return values and (by_text[values.variant] or {})
end

-- Write down what was decided about a job: the variant to place, or nil to forget it.
local function decide(entry, variant)
  if not journal().remove(entry.id) then return host.say({ code = "readonly_media_folder", path = host.folder() }) end
  entry.chosen = variant
  if variant then journal().add(entry) else landing.clear(entry.list) end
end

-- The path of a file of a variant that is not there, or nil.
local function missing(chosen)
  for _, place in ipairs(of_variant(chosen.entry, chosen.variant)) do
    if not files.exists(landing.path(place)) then return landing.path(place) end
  end
  return nil
end

--- Let the user choose a variant to be placed; the others of its job wait no longer. With none of them, nothing waits any longer.
function audition.place()
  local entries = journal().read()
  local found = variants(entries)
  if #found == 0 then return host.say({ code = "nothing_held" }) end
  local chosen = choose(requests.action(data.actions, "place-waiting").title, found)
  if not chosen then return end
  if chosen.entry then
    local gone = missing(chosen)
    if gone then return host.say({ code = "result_gone", path = gone }) end
    return decide(chosen.entry, chosen.variant)
  end
  for _, entry in ipairs(entries) do
    if not entry.chosen then decide(entry) end
  end
end

return audition
