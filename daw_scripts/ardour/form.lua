-- A form in Ardour's own dialog, made from the core's rows.

local import = ...
local forms = import("forms")

local form = {}

local function listed(values, item)
  if type(values) ~= "table" then return values == item end
  for _, value in ipairs(values) do
    if value == item then return true end
  end
  return false
end

local function widgets(row)
  if row.kind == "switch" then
    return { { type = "checkbox", key = row.name, title = row.label, default = row.value == true } }
  end
  if row.kind == "note" then return { { type = "heading", title = row.label, align = "left", colspan = 2 } } end
  if row.kind == "choice" then
    local values, chosen = {}, forms.shown_in(row, row.value)
    for _, offer in ipairs(forms.offers(row)) do values[offer[2]] = offer[1] end
    return { { type = "dropdown", key = row.name, title = row.label, values = values, default = chosen } }
  end
  if row.kind == "choices" then
    local boxes = { { type = "heading", title = row.label, align = "left" } }
    for _, choice in ipairs(row.choices) do
      boxes[#boxes + 1] = { type = "checkbox", key = row.name .. ":" .. choice, title = forms.shown(choice),
                            default = listed(row.value, choice) }
    end
    return boxes
  end
  return { { type = "entry", key = row.name, title = row.label, default = forms.show(row) } }
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
    local fields = {}
    for _, row in ipairs(rows) do
      for _, widget in ipairs(widgets(row)) do fields[#fields + 1] = widget end
    end
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
