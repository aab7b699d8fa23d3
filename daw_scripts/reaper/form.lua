-- The form of an action: a window of ReaImGui when it is installed, REAPER's own input box otherwise.

local import = ...
local forms = import("forms")

local form = {}

local MOST_FIELDS = 16 -- of GetUserInputs

local function caption(row)
  local text = row.label
  if row.choices and #row.choices <= 12 then
    local shown = {}
    for index, choice in ipairs(row.choices) do shown[index] = forms.shown_in(row, choice) end
    text = text .. " [" .. table.concat(shown, " / ") .. "]"
  end
  return (text:gsub("[,=|]", " "))
end

local function split(text, count)
  local parts = {}
  for part in (text .. "|"):gmatch("([^|]*)|") do parts[#parts + 1] = part end
  for index = #parts + 1, count do parts[index] = "" end
  return parts
end

-- REAPER's box has no line of text, and cuts a long title: what a form tells stands in a last field, which is only read.
local function notes_last(all)
  local rows, notes = {}, {}
  for _, row in ipairs(all) do table.insert(row.kind == "note" and notes or rows, row) end
  return table.move(notes, 1, #notes, #rows + 1, rows)
end

-- What a field of the box shows at first.
local function shown(row)
  local text = row.kind == "note" and row.label or forms.show(row)
  if row.kind == "choice" and text ~= "" then text = forms.shown_in(row, text) end
  return (text:gsub("[|\r\n]", "/"))
end

local function ask_box(title, all, tell)
  local captions, texts, rows = {}, {}, notes_last(all)
  for index = 1, math.min(#rows, MOST_FIELDS) do
    captions[index] = rows[index].kind == "note" and "(what will happen)" or caption(rows[index])
    texts[index] = shown(rows[index])
  end
  local list = table.concat(captions, ",") .. ",extrawidth=400,separator=|"
  while true do
    local ok, answer = reaper.GetUserInputs(title, #captions, list, table.concat(texts, "|"))
    if not ok then return nil end
    texts = split(answer, #captions)
    local values, wrong = forms.values(rows, texts)
    if values then return values end
    tell(wrong)
  end
end

-- A list to choose from. Not ImGui's own combo box, whose entries are parted by zero bytes: those reach extensions only from
-- REAPER 6.44 on.
local function choose(imgui, context, row, text)
  if imgui.BeginCombo(context, row.label, forms.shown_in(row, text)) then
    for _, offer in ipairs(forms.offers(row)) do
      if imgui.Selectable(context, offer[2], offer[1] == text) then text = offer[1] end
    end
    imgui.EndCombo(context)
  end
  return text
end

-- A list of choices with one more, unless it is there.
local function added(text, choice)
  for part in (text .. ","):gmatch("([^,]*),") do
    if part:match("^%s*(.-)%s*$") == choice then return text end
  end
  return text == "" and choice or text .. ", " .. choice
end

-- A field that takes several choices, and below it a list that adds one.
local function several(imgui, context, row, text)
  local _, now = imgui.InputText(context, row.label, text)
  if imgui.BeginCombo(context, "Add to: " .. row.label, "") then
    for _, choice in ipairs(row.choices) do
      local shown = forms.shown_in(row, choice)
      if choice ~= "" and imgui.Selectable(context, shown, false) then now = added(now, shown) end
    end
    imgui.EndCombo(context)
  end
  return now
end

-- One widget; the row's text afterwards.
local function widget(imgui, context, row, text)
  if row.kind == "note" then
    imgui.TextWrapped(context, row.label)
    return ""
  end
  if row.kind == "choice" then return choose(imgui, context, row, text) end
  if row.kind == "choices" then return several(imgui, context, row, text) end
  if row.kind == "switch" then
    local _, now = imgui.Checkbox(context, row.label, text == "yes")
    return now and "yes" or "no"
  end
  local _, now = imgui.InputText(context, row.label, text)
  return now
end

-- The number of a key, which is a value or a function that gives it, by the release of ReaImGui.
local function key_number(imgui, name)
  local known, key = pcall(function() return imgui[name] end)
  if not known then return nil end
  return type(key) == "function" and key() or key
end

-- Whether Enter was pressed, the big one or that of the keypad. Where a release names neither, only the button confirms.
local function is_confirmed(imgui, context)
  for _, name in ipairs({ "Key_Enter", "Key_KeypadEnter" }) do
    local key = key_number(imgui, name)
    if key and imgui.IsKeyPressed(context, key, false) then return true end
  end
  return false
end

local function ask_window(imgui, title, rows, done)
  local context = imgui.CreateContext(title)
  local texts, wrong = {}, nil
  for index, row in ipairs(rows) do texts[index] = forms.show(row) end
  local function frame()
    local visible, open = imgui.Begin(context, title, true)
    local finished
    if visible then
      for index, row in ipairs(rows) do
        texts[index] = widget(imgui, context, row, texts[index])
        if (row.summary or "") ~= "" and imgui.IsItemHovered(context) then imgui.SetTooltip(context, row.summary) end
      end
      if wrong then imgui.Text(context, wrong) end
      if imgui.Button(context, "OK") or is_confirmed(imgui, context) then
        finished, wrong = forms.values(rows, texts)
      end
      imgui.SameLine(context)
      if imgui.Button(context, "Cancel") then open = false end
      imgui.End(context)
    end
    if finished or not open then return done(finished) end
    reaper.defer(frame)
  end
  frame()
end

--- Ask the user and go on with `done(values)`; values is nil when the user cancelled.
function form.ask(title, rows, tell, done)
  if reaper.APIExists("ImGui_GetBuiltinPath") then
    local path = package.path
    package.path = reaper.ImGui_GetBuiltinPath() .. "/?.lua"
    local ok, imgui = pcall(function() return require("imgui")("0.9") end)
    package.path = path
    if ok then return ask_window(imgui, title, rows, done) end
  end
  done(ask_box(title, rows, tell))
end

return form
