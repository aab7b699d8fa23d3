-- A form in Ardour's own dialog, made from the core's rows.

local import = ...
local forms = import("forms")

local form = {}

local COLUMNS = 4 -- a label and what belongs to it; several boxes stand beside each other
local WIDTH = 80 -- characters of a form's first line, so that title and texts are not cut

local BLANK = utf8.char(0xA0) -- a blank that is not cut off at the end of a line

local function listed(values, item)
  if type(values) ~= "table" then return values == item end
  for _, value in ipairs(values) do
    if value == item then return true end
  end
  return false
end

-- A line over the whole width that only tells.
local function line(text, width)
  text = text .. BLANK:rep((width or 0) - (utf8.len(text) or 0))
  return { type = "heading", title = text, align = "left", colspan = COLUMNS }
end

-- A last line of blanks: without something in each column, what is filled in gets no more room than its label.
local function spread(fields)
  for column = 1, COLUMNS - 1 do
    fields[#fields + 1] = { type = "heading", title = BLANK:rep(WIDTH // COLUMNS), col = column, colspan = 1 }
  end
end

local function boxes(row)
  local made = { line(row.label) }
  for index, choice in ipairs(row.choices) do
    made[#made + 1] = { type = "checkbox", key = row.name .. ":" .. choice, title = forms.shown(choice), col = 1 + (index - 1) % (COLUMNS - 1),
                        colspan = 1, default = listed(row.value, choice) }
  end
  return made
end

local function widgets(row)
  if row.kind == "note" then return { line(row.label, WIDTH) } end
  if row.kind == "choices" then return boxes(row) end
  local made = { type = "entry", key = row.name, title = row.label, colspan = COLUMNS }
  if row.kind == "switch" then
    made.type, made.default, made.col, made.colspan = "checkbox", row.value == true, 1, COLUMNS - 1
  elseif row.kind == "choice" then
    made.type, made.values, made.default = "dropdown", {}, forms.shown_in(row, row.value)
    for _, offer in ipairs(forms.offers(row)) do made.values[offer[2]] = offer[1] end
  else
    made.default = forms.show(row)
  end
  return { made }
end

local function text_of(row, answer)
  if row.kind == "note" then return "" end
  if row.kind == "switch" then return answer[row.name] and "yes" or "no" end
  if row.kind == "choices" then
    local picked = {}
    for _, choice in ipairs(row.choices) do
      if answer[row.name .. ":" .. choice] then picked[#picked + 1] = choice end
    end
    return table.concat(picked, ",")
  end
  return tostring(answer[row.name] or "")
end

-- What was entered, to be shown again.
local function kept(row, text)
  if row.kind == "switch" then return text == "yes" end
  if row.kind ~= "choices" then return text end
  local picked = {}
  for part in text:gmatch("[^,]+") do picked[#picked + 1] = part end
  return picked
end

--- Ask the user; the values by name, or nil when cancelled. Wrong values are named and the form comes back.
function form.ask(title, rows, tell)
  while true do
    local fields = rows[1].kind == "note" and {} or { line("", WIDTH) }
    for _, row in ipairs(rows) do
      for _, widget in ipairs(widgets(row)) do fields[#fields + 1] = widget end
    end
    spread(fields)
    local answer = LuaDialog.Dialog(title, fields):run()
    if not answer then return nil end
    local texts = {}
    for index, row in ipairs(rows) do texts[index] = text_of(row, answer) end
    local values, wrong = forms.values(rows, texts)
    if values then return values end
    for index, row in ipairs(rows) do row.value = kept(row, texts[index]) end
    tell(wrong)
  end
end

return form
