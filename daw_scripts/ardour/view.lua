-- What the user has selected and sees, left as it was by work of ours. A new track takes the selection (Ardour does so itself), and
-- scripts can select regions but no tracks: tracks are reached as the keys "select the next or previous track" reach them.

local import = ...
local lists = import("lists")

local view = {}

-- Ticks to look after the scroll position: Ardour scrolls to a new track when it has time, on a busy machine seconds after the work.
local SETTLING, NEW_TRACK = 5, 50

local owed

local function id_of(object)
  return object:to_stateful():id():to_s()
end

local function ids(routes)
  local found, count = {}, 0
  for _, route in ipairs(lists.of(routes)) do found[id_of(route)], count = route, count + 1 end
  return found, count
end

-- The selected tracks by id, and their number. Master joins no group, so beside others it does not count.
local function selected()
  local found, count = ids(Editor:get_selection().tracks:routelist())
  for id, route in pairs(count > 1 and found or {}) do
    if route:is_master() then found[id], count = nil, count - 1 end
  end
  return found, count
end

local function within(some, all)
  for id in pairs(some) do
    if not all[id] then return false end
  end
  return true
end

-- Go through the tracks until `done(found, count)` holds for what is selected; whether it does.
local function walk(done)
  for _ = 0, #lists.of(Session:get_routes()) do
    if done(selected()) then return true end
    Editor:access_action("Editor", "select-prev-route") -- new tracks are the last ones
  end
  return done(selected())
end

-- Run `work` while a group shares its selection.
local function sharing(group, work)
  local select, active = group:is_select(), group:is_active()
  group:set_select(true)
  group:set_active(true, nil)
  work()
  group:set_select(select)
  group:set_active(active, nil)
end

-- The group that holds these tracks and no others; nil when they are in groups otherwise. Tracks without a group get one of ours, and
-- the second answer removes it. The user's groups are left alone: Ardour deletes a group that is empty for a moment.
local function group_of(wanted, number)
  local grouped = false
  for _, group in ipairs(lists.of(Session:route_groups())) do
    local members, count = ids(group:route_list())
    if count == number and within(members, wanted) then return group, function() end end
    for id in pairs(members) do grouped = grouped or wanted[id] ~= nil end
  end
  if grouped then return nil end
  local made = Session:new_route_group("acestep-bridge")
  for _, route in pairs(wanted) do made:add(route) end
  return made, function() Session:remove_route_group(made) end
end

local function select_tracks(wanted, number)
  if number == 0 then return Editor:access_action("Mixer", "select-none") end -- it leaves the time range
  local function all_selected(found, count) return count == number and within(wanted, found) end
  if all_selected(selected()) or number == 1 and walk(all_selected) then return end
  local group, remove = group_of(wanted, number)
  if group then
    sharing(group, function() walk(all_selected) end)
    remove()
  else
    walk(function(found) return next(found) ~= nil and within(found, wanted) end)
  end
end

-- Regions and tracks are never selected together.
local function select_regions(regions)
  local list = ArdourUI.SelectionList()
  for _, region in ipairs(regions) do
    local shown = Editor:regionview_from_region(region)
    if shown then list:push_back(shown) end
  end
  if not list:empty() then Editor:set_selection(list, ArdourUI.SelectionOp.Set) end
end

local function remember()
  local selection = Editor:get_selection()
  local before = { zoom = Editor:get_current_zoom(), left = Editor:leftmost_sample(), top = Editor:get_y_origin(),
                   routes = #lists.of(Session:get_routes()) }
  before.tracks, before.count = selected()
  before.regions = lists.of(selection.regions:regionlist())
  return before
end

-- Whether something had to be scrolled back.
local function scroll(before)
  local moved = Editor:leftmost_sample() ~= before.left or Editor:get_y_origin() ~= before.top
  if Editor:get_current_zoom() ~= before.zoom then Editor:reset_zoom(before.zoom) end
  if Editor:leftmost_sample() ~= before.left then Editor:reset_x_origin(before.left) end
  if Editor:get_y_origin() ~= before.top then Editor:reset_y_origin(before.top) end
  return moved
end

local function restore(before)
  if #before.regions > 0 then
    if #lists.of(Editor:get_selection().regions:regionlist()) ~= #before.regions then select_regions(before.regions) end
  else
    select_tracks(before.tracks, before.count)
  end
  scroll(before)
  local grown = #lists.of(Session:get_routes()) > before.routes
  owed = { zoom = before.zoom, left = before.left, top = before.top, ticks = grown and NEW_TRACK or SETTLING }
end

--- Scroll back where Ardour itself scrolled after the work: called ten times a second.
function view.settle()
  if not owed then return end
  local ok, moved = pcall(scroll, owed)
  if ok and moved then owed.ticks = math.min(owed.ticks, SETTLING) end -- what comes later is the user's own scrolling
  owed.ticks = owed.ticks - 1
  if owed.ticks == 0 then owed = nil end
end

--- Do some work; selection, zoom and what the window shows are afterwards as before, also after an error. Where Ardour runs without
-- a window there is nothing to keep.
function view.keep(work)
  if not Editor then return work() end
  local before = remember()
  local ok, why = pcall(work)
  pcall(restore, before) -- a later Ardour that lacks one of these calls should place all the same
  if not ok then error(why, 0) end
end

return view
