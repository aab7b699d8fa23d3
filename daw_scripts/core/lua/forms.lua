-- Forms made from the daemon's describe: rows to show, and texts back to typed values.

local import = ...
local json = import("json")

local forms = {}

local HOST_FIELDS = { source = true, upload = true, source_latent = true, start = true, ["end"] = true, length = true, returns = true,
                      span_start = true, span_end = true, folder = true, name = true, fingerprint = true, regions = true, stages = true,
                      tempo_map = true, bar_offset = true }
local PLACE_FIELDS = { start_seconds = true, end_seconds = true, rate = true } -- the host says the same in samples

--- The row that asks what to do where tempo or metre change inside a selection (see tempo.plan). `last` as for forms.rows.
function forms.tempo_row(last)
  return { name = "tempo_changes", label = "Tempo or metre changes inside", kind = "choice", value = last.tempo_changes or "average",
           element = "str", choices = { "average", "split", "refuse" } }
end

--- The row that asks whether results are heard before they are placed. `last` as for forms.rows.
function forms.listen_row(last)
  return { name = "listen_first", label = "Listen before placing", kind = "switch", value = last.listen_first == true }
end

--- What a list of choices shows for none of them.
forms.OPEN = "(leave open)"

local ORDER = { "vocals", "backing_vocals", "drums", "percussion", "bass", "guitar", "keyboard", "strings", "brass", "woodwinds",
                "synth", "fx" }

local GROUPS = { { "main", "Main" }, { "sound", "Saved sound" }, { "lyrics", "Lyrics" }, { "music", "Music" }, { "audio", "Sound" }, { "model", "Model" },
                 { "sampling", "Sampling" }, { "guidance", "Guidance" }, { "planner", "Planner" }, { "output", "Output" },
                 { "chain", "Chain" }, { "advanced", "Advanced" } }

local SOUND = "sound" -- any action takes a sound that the user has named
local SHORT = 12 -- rows of an operation's own form; the others are on the pages
local PAGE = 14 -- rows that fit on a small screen, and into REAPER's own box beside its two others

local function present(value)
  if value == json.null then return nil end
  return value
end

local function kind(field)
  if present(field.choices) and #field.choices > 0 then
    return field.type:find("^list") and "choices" or "choice"
  end
  if field.type == "int" then return "integer" end
  if field.type == "float" then return "number" end
  if field.type == "bool" then return "switch" end
  if field.type:find("^list") then return "list" end
  return "text"
end

local function label(field)
  if present(field.label) and field.label ~= "" then return field.label end
  local words = field.name:gsub("_", " ")
  words = words:sub(1, 1):upper() .. words:sub(2)
  local unit = present(field.unit)
  return unit and (words .. " (" .. unit .. ")") or words
end

-- Choices in the order in which musicians think of them, where they are instruments.
local function ordered(choices)
  if not choices then return nil end
  local rank, sorted = {}, json.list()
  for place, name in ipairs(ORDER) do rank[name] = place end
  for _, choice in ipairs(choices) do
    if not rank[choice] then return choices end
    sorted[#sorted + 1] = choice
  end
  table.sort(sorted, function(a, b) return rank[a] < rank[b] end)
  return sorted
end

-- Whether a remembered value is one that the field takes: it may have been chosen for another model.
local function fits(field, value)
  if type(value) == "number" then
    local min, max = present(field.min), present(field.max)
    return not (min and value < min or max and value > max)
  end
  local choices = present(field.choices)
  if not choices or #choices == 0 or type(value) ~= "string" then return true end
  for _, choice in ipairs(choices) do
    if choice == value then return true end
  end
  return false
end

--- The model whose form is shown, as `describe` takes it: the one that was chosen, else that of jobs which name none.
function forms.model_of(values)
  local model = values.model
  return type(model) == "string" and model ~= "" and model or "default"
end

-- What there is to say of a field: what it is, and what serves well in it.
local function said(field)
  local summary, hint = present(field.summary) or "", present(field.hint) or ""
  return summary ~= "" and hint ~= "" and summary .. " " .. hint or summary .. hint
end

-- A row for a field. Where the operation decides when nothing is chosen, the row may stay empty.
local function row_of(field, last, many)
  local value, standard = last[field.name], present(field.default)
  if value == nil or not fits(field, value) then value = standard end
  local made = {
    name = field.name, label = label(field), kind = field.name == many and "choices" or kind(field), value = value,
    summary = said(field), choices = ordered(present(field.choices)), titles = present(field.titles), min = present(field.min), max = present(field.max),
    element = (field.type:match("^list%[(%w+)%]") or field.type),
  }
  if made.kind == "choice" and not field.required and (standard == nil or standard == "") then made.optional = true end
  if field.name == "seed" and value == -1 then made.value = nil end
  return made
end

--- A choice as it is shown: no underscores, and words for none (`open`).
function forms.shown(choice, open)
  if choice == nil or choice == "" then return open or forms.OPEN end
  return (tostring(choice):gsub("_", " "))
end

--- What a row of choices shows for a text: words for none, the title of what has one.
function forms.shown_in(row, text)
  return row.titles and row.titles[text] or forms.shown(text, row.open)
end

--- What a list of choices offers, in order: {value, shown}; an optional row begins with none of them.
function forms.offers(row)
  local found = {}
  if row.optional then found[1] = { "", row.open or forms.OPEN } end
  for _, choice in ipairs(row.choices) do
    if choice ~= "" then found[#found + 1] = { tostring(choice), forms.shown_in(row, choice) } end
  end
  return found
end

local function names_any(choices)
  for _, choice in ipairs(choices or {}) do
    if choice ~= "" then return true end
  end
  return false
end

-- Maps and lists of lists are for programs; named sounds are chosen from, where there are any.
local function can_be_set(field)
  if field.name == SOUND and not names_any(present(field.choices)) then return false end
  return not HOST_FIELDS[field.name] and not PLACE_FIELDS[field.name] and not field.type:find("map", 1, true)
    and not field.type:find("list%[list")
end

--- The fields but one, which has nothing to say here.
function forms.without(fields, name)
  local others = {}
  for _, field in ipairs(fields) do
    if field.name ~= name then others[#others + 1] = field end
  end
  return others
end

--- The rows of a form: the fields named in `ask` that the operation has, each once, and named sounds where the user has any; without
-- `ask` its main and music fields.
-- `last` holds the values of the previous run. A field named in `many` takes several choices.
function forms.rows(fields, ask, last, many)
  local rows, by_name = {}, {}
  local function add(field) rows[#rows + 1] = row_of(field, last, many) end
  for _, field in ipairs(fields) do by_name[field.name] = field end
  if #ask > 0 then
    for _, name in ipairs(ask) do
      if by_name[name] then add(by_name[name]) end
    end
    local sound = by_name[SOUND]
    if sound and can_be_set(sound) then add(sound) end
    return rows
  end
  for _, field in ipairs(fields) do
    local group = field.group or "main" -- the daemon leaves defaults out
    if (group == "main" or group == "music") and #rows < SHORT and can_be_set(field) then add(field) end
  end
  return rows
end

--- Every other field that a user may set, by group: pages of {title, rows}. `shown` are the rows of the short form.
function forms.pages(fields, shown, last)
  local taken, pages = {}, {}
  for _, row in ipairs(shown) do taken[row.name] = true end
  for _, group in ipairs(GROUPS) do
    local page
    for _, field in ipairs(fields) do
      if (field.group or "main") == group[1] and not taken[field.name] and can_be_set(field) then
        if not page or #page.rows == PAGE then
          page = { title = page and group[2] .. " 2" or group[2], rows = {}, standards = {} }
          pages[#pages + 1] = page
        end
        page.rows[#page.rows + 1] = row_of(field, last)
        page.standards[field.name] = present(field.default)
      end
    end
  end
  return pages
end

--- The row that opens one of the pages; what is set there already stands in its label.
function forms.more_row(pages, last)
  local titles, set = json.list(), {}
  for index, page in ipairs(pages) do
    titles[index] = page.title
    for _, row in ipairs(page.rows) do
      if last[row.name] ~= nil then set[#set + 1] = row.label end
    end
  end
  local text = #set == 0 and "More" or "More (set: " .. table.concat(set, ", ") .. ")"
  return { name = "more", label = text, kind = "choice", choices = titles, element = "str", optional = true,
           open = "(nothing more)" }
end

-- What was entered on a page: what differs from the operation's own values is remembered in `set`.
local function take_over(page, values, set)
  for _, row in ipairs(page.rows) do
    local value, standard = values[row.name], page.standards[row.name]
    row.value = value
    if json.encode(value == nil and json.null or value) == json.encode(standard == nil and json.null or standard) then value = nil end
    set[row.name] = value
  end
end

--- The short form with its further pages. `show(title, rows, done)` shows one form and calls done(values), with nil when it was
-- cancelled; so does the whole. Where another model is chosen on a page, `remake(values, next)` makes its rows and pages and calls
-- next(rows, pages) with them.
function forms.dialogue(show, title, rows, pages, last, done, remake)
  local set, by_title
  local function begin(values)
    set, by_title = {}, {}
    for _, page in ipairs(pages) do
      by_title[page.title] = page
      for _, row in ipairs(page.rows) do
        if row.value == values[row.name] then set[row.name] = row.value end -- else it is none of the field's
      end
    end
  end
  local function with_short(values)
    local all = {}
    for name, value in pairs(set) do all[name] = value end
    for _, row in ipairs(rows) do all[row.name] = values[row.name] end
    return all
  end
  local function short()
    local shown = { table.unpack(rows) }
    if #pages > 0 then shown[#shown + 1] = forms.more_row(pages, set) end
    show(title, shown, function(values)
      if not values then return done(nil) end
      local page = by_title[values.more or ""]
      values.more = nil
      if not page then
        for name, value in pairs(set) do values[name] = value end
        return done(values)
      end
      for _, row in ipairs(rows) do row.value = values[row.name] end
      show(title .. ": " .. page.title, page.rows, function(more)
        local model = forms.model_of(set)
        if more then take_over(page, more, set) end
        if not remake or forms.model_of(set) == model then return short() end
        local all = with_short(values)
        remake(all, function(others, other_pages)
          rows, pages = others, other_pages
          begin(all)
          short()
        end)
      end)
    end)
  end
  begin(last)
  short()
end

--- A line of a form that only tells.
function forms.note_row(text)
  return { name = "note", label = text, kind = "note" }
end

local function trim(text)
  return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

local function plain(text)
  return (tostring(text):lower():gsub("_", " "))
end

-- The choice that a text means, by its own name or as it is shown.
local function one_of(text, row)
  for _, choice in ipairs(row.choices) do
    if plain(choice) == plain(text) or plain(forms.shown_in(row, choice)) == plain(text) then return choice end
  end
  return nil
end

-- The choices that a text names: split at commas, and at spaces where a part is not a choice as a whole.
local function split_choices(text, row)
  local parts = {}
  for part in (text .. ","):gmatch("([^,]*),") do
    part = trim(part)
    if part ~= "" and one_of(part, row) == nil then part = part:gsub("%s+", ",") end
    parts[#parts + 1] = part
  end
  return table.concat(parts, ",")
end

-- What to do about something that is not a choice (or, without choices, no number).
local function unknown(text, row)
  local shown = {}
  for index, choice in ipairs(row.choices or {}) do shown[index] = forms.shown_in(row, choice) end
  return "'" .. text .. "' cannot be used here; enter " .. (row.choices and table.concat(shown, ", ") or "numbers")
end

local function parse_number(row, text)
  local value = tonumber((text:gsub(",", ".")))
  if not value or value ~= value or value == math.huge or value == -math.huge then return nil, "enter a number" end
  if row.kind == "integer" then
    if value ~= math.floor(value) then return nil, "enter a whole number" end
    value = math.floor(value)
  else
    value = value + 0.0
  end
  if row.min and value < row.min then return nil, "enter " .. string.format("%g", row.min) .. " or more" end
  if row.max and value > row.max then return nil, "enter " .. string.format("%g", row.max) .. " or less" end
  return value
end

local function parse_list(row, text)
  local values = json.list()
  if row.choices then text = split_choices(text, row) end
  for part in (text .. ","):gmatch("([^,]*),") do
    part = trim(part)
    if part ~= "" then
      local value = part
      if row.choices then value = one_of(part, row) end
      if row.element == "int" or row.element == "float" then value = tonumber(part) end
      if value == nil then return nil, unknown(part, row) end
      values[#values + 1] = value
    end
  end
  return values
end

local YES = { yes = true, ["true"] = true, on = true, ["1"] = true, y = true }
local NO = { no = true, ["false"] = true, off = true, ["0"] = true, n = true }

--- The value of what the user typed into a row; nil for an empty text; nil and what is wrong otherwise.
function forms.parse(row, text)
  text = trim(text)
  if text == "" or text == forms.OPEN or text == row.open then return nil end
  if row.kind == "integer" or row.kind == "number" then return parse_number(row, text) end
  if row.kind == "choices" or row.kind == "list" then return parse_list(row, text) end
  if row.kind == "switch" then
    if YES[text:lower()] then return true end
    if NO[text:lower()] then return false end
    return nil, "enter yes or no"
  end
  if row.kind == "choice" then
    local value = one_of(text, row)
    if value == nil then return nil, unknown(text, row) end
    return value
  end
  return text
end

--- The text of a value, for a form of plain text fields.
function forms.show(row)
  local value = row.value
  if value == nil then return "" end
  if type(value) == "table" then
    local parts = {}
    for index, item in ipairs(value) do parts[index] = tostring(item) end
    return table.concat(parts, ", ")
  end
  if type(value) == "boolean" then return value and "yes" or "no" end
  if type(value) == "number" then return string.format("%.10g", value) end
  return value
end

-- What a row is called in a sentence: its label without what to do.
local function called(row)
  return (row.label:gsub(": leave empty.*$", ""))
end

--- All rows at once: values by name, or nil and a sentence that names the row.
function forms.values(rows, texts)
  local values = {}
  for index, row in ipairs(rows) do
    local value, wrong
    if row.kind ~= "note" then value, wrong = forms.parse(row, texts[index] or "") end
    if wrong then return nil, called(row) .. ": " .. wrong .. "." end
    values[row.name] = value
  end
  return values
end

return forms
