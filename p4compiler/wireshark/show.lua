-- What a parse has found, in Wireshark's tree; and where the dissector hangs.
--
-- What is appended to a dissector (p4compiler's --wireshark-with) stands behind this, sees all that is local here, and
-- adds to the table `program`:
--   more_fields[filter] = ProtoField                fields of its own
--   headers[NAME].fields[N].names                   names of a field's values
--   after[N] = function(parse, rest, pinfo, tree)   called with what was parsed, see parse:get("HEADER.FIELD"), the
--                                                   range that is left, or nil, and the tree; returns what it leaves
--   init[N] = function()                            called before a capture is read

local whole_frame = Field.new("frame")
local fields, experts = {}, {}

local function value_names(names)
  return names and next(names) and names or nil
end

-- A field of a type that can show so many bits.
local function new_field(filter, field)
  local width, names = field.width, value_names(field.names)
  if field.shown == "ether" or field.shown == "ipv4" then return ProtoField[field.shown](filter, field.name) end
  if not width then return ProtoField.bytes(filter, field.name) end
  if width > 64 then return ProtoField[width % 8 == 0 and "bytes" or "string"](filter, field.name) end
  local size = width <= 8 and "8" or width <= 16 and "16" or width <= 24 and "24" or width <= 32 and "32" or "64"
  return ProtoField[(field.signed and "int" or "uint") .. size](filter, field.name, base.DEC, names)
end

-- A field for each filter's name: the elements of a stack share them.
local function make_fields(program)
  for _, name in ipairs(program.order) do
    local header = program.headers[name]
    local filter = program.filter .. "." .. name:gsub("%[%d+%]", ""):gsub("[^%w_.]", "_")
    fields[filter] = fields[filter] or ProtoField.none(filter, name)
    header.shown = fields[filter]
    for _, field in ipairs(header.fields) do
      local own = filter .. "." .. field.name:gsub("[^%w_.]", "_")
      fields[own] = fields[own] or new_field(own, field)
      field.shown_as = fields[own]
    end
  end
end

local function as_shown(field, found)
  if field.width > 64 then return "0x" .. hex(found.value) end
  if field.width <= 32 then return plain(found.value) end
  local two = found.value.negative and add(found.value, shift(n"0x1", 64)) or found.value
  return (field.signed and Int64 or UInt64).fromhex(("%16s"):format(hex(two)):gsub(" ", "0"))
end

local function show_header(program, found, tvb, from, tree)
  local header = program.headers[found.name]
  local range = function(at, bits)
    local first = math.floor(at / 8)
    return tvb:range(first - from, math.ceil((at + bits) / 8) - first)
  end
  if found.bits == 0 then return end
  local item = tree:add(header.shown, range(found.at, found.bits))
  item:set_text(found.name .. (found.name == header.type and "" or " (" .. header.type .. ")"))
  for number, field in ipairs(header.fields) do
    local one = found[number]
    local aligned = one.at % 8 == 0 and one.width % 8 == 0
    if field.width ~= 0 then
      local place = range(one.at, one.width)
      local raw = not field.width or field.shown or (field.width > 64 and field.width % 8 == 0)
      if raw and aligned then item:add(field.shown_as, place)
      elseif field.width and not field.shown and not raw then item:add(field.shown_as, place, as_shown(field, one))
      else item:add(field.shown_as, place):append_text(" (does not begin with a byte)") end
    end
  end
end

-- All that was extracted from byte `from` of the frame on. Returns what is left, nil if nothing is.
local function show(program, parse, tvb, from, tree)
  for _, found in ipairs(parse.extracted) do
    if found.at >= 8 * from then show_header(program, found, tvb, from, tree) end
  end
  if parse.error then tree:add_proto_expert_info(experts.failed, "the parser ends: " .. parse.error) end
  local rest = math.ceil(parse.at / 8) - from
  return rest >= 0 and rest < tvb:len() and tvb:range(rest) or nil
end

-- As the switch would parse the whole frame that this is a part of, if it comes to this part; nil if it does not.
local function parse_from_start(program, tvb, given)
  local frame = whole_frame()
  local parse = new_parse(program, frame.range:raw(), given)
  parse:run(program.start)
  for _, hook in ipairs(program.hooks) do
    if parse.entered[hook.state] == 8 * tvb:offset() then return parse end
  end
  return nil
end

local function hook_of(program, pinfo)
  for _, hook in ipairs(program.hooks) do
    if hook.value == pinfo.match then return hook end
  end
  return program.hooks[1]
end

local function register(program)
  make_fields(program)
  local filter, title = program.filter, program.title
  local proto, frames = Proto(filter, title), Proto(filter .. "_frame", title .. " (frame)")
  local group, severity = expert.group, expert.severity
  experts.failed = ProtoExpert.new(filter .. ".error", "the parser ends", group.MALFORMED, severity.WARN)
  local elsewhere = "no switch would parse this"
  experts.elsewhere = ProtoExpert.new(filter .. ".elsewhere", elsewhere, group.PROTOCOL, severity.NOTE)
  for name, field in pairs(program.more_fields) do fields[name] = field end
  local list = {}
  for _, field in pairs(fields) do list[#list + 1] = field end
  proto.fields = list
  proto.experts = experts
  proto.prefs.ingress_port = Pref.uint("Port of the switch", 0, "By which port frames come in, if the parser asks")
  proto.prefs.frames = Pref.bool("Whole frames", #program.hooks == 0, "Show each frame as the program parses it, too")

  local whole_shown -- the number of the frame that is being dissected, if it is shown as a whole already
  local function given() return { ["standard_metadata.ingress_port"] = proto.prefs.ingress_port } end

  local function whole(tvb, tree)
    local parse = new_parse(program, tvb:raw(), given())
    parse:run(program.start)
    return parse, show(program, parse, tvb, 0, tree)
  end

  function proto.dissector(tvb, pinfo, tree)
    local top = tree:add(proto, tvb())
    pinfo.cols.protocol = program.title
    local parse, rest
    whole_shown = nil
    if tvb:offset() == 0 or #program.hooks == 0 then
      whole_shown = pinfo.number
      parse, rest = whole(tvb, top)
    else
      parse = parse_from_start(program, tvb, given())
      local from = tvb:offset()
      if not parse then
        top:add_proto_expert_info(experts.elsewhere)
        parse, from = new_parse(program, tvb:raw(), given()), 0
        parse:run(hook_of(program, pinfo).state)
      end
      rest = show(program, parse, tvb, from, top)
    end
    for _, after in ipairs(program.after) do rest = after(parse, rest, pinfo, top, tvb) end
    if rest then Dissector.get("data"):call(rest:tvb(), pinfo, tree) end
  end

  function proto.init()
    for _, begin in ipairs(program.init) do begin() end
  end

  function frames.dissector(tvb, pinfo, tree)
    if proto.prefs.frames and whole_shown ~= pinfo.number then whole(tvb, tree:add(frames, tvb())) end
  end

  DissectorTable.get("wtap_encap"):add(wtap.USER0, proto)
  for _, hook in ipairs(program.hooks) do DissectorTable.get(hook.table):add(hook.value, proto) end
  register_postdissector(frames)
end
