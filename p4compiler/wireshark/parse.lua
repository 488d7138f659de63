-- A program's parser at work on a frame. What it extracts is kept in order; its states are functions, see below.

local MOST_STATES = 4096
local accept, any = false, {}
local Parse = {}
Parse.__index = Parse

-- A parse of `bytes`, a string; `given`: what is known of fields that do not come from the packet.
local function new_parse(program, bytes, given)
  local parse = { program = program, bytes = bytes, at = 0, size = 8 * #bytes }
  parse.values, parse.valid, parse.next, parse.extracted, parse.entered = {}, {}, {}, {}, {}
  for name, value in pairs(given) do parse.values[name] = of(value) end
  parse.values["standard_metadata.packet_length"] = of(#bytes)
  return setmetatable(parse, Parse)
end

-- From a state on, until the parser accepts or fails. Errors of the program itself are not caught.
function Parse:run(state)
  for _ = 1, MOST_STATES do
    if not state then return end
    self.entered[state] = self.entered[state] or self.at
    local ok, result = pcall(self.program.states[state], self)
    if not ok then
      if type(result) ~= "table" or not result.parser_error then error(result, 0) end
      self.error = result.parser_error
      return
    end
    state = result
  end
  self.error = "ParserTimeout"
end

function Parse:fail(name) error({ parser_error = name }) end

function Parse:verify(holds, name)
  if not holds then self:fail(name) end
end

function Parse:bits(at, width)
  if at + width > self.size then self:fail("PacketTooShort") end
  local first, last = math.floor(at / 8), math.floor((at + width + 7) / 8)
  local digits = self.bytes:sub(first + 1, last):gsub(".", function(one) return string.format("%02x", one:byte()) end)
  return band(shift(from_digits(digits, false), at + width - 8 * last), ones(width))
end

function Parse:lookahead(offset, width) return self:bits(self.at + offset, width) end

function Parse:advance(amount)
  local bits = plain(amount)
  if self.at + bits > self.size then self:fail("PacketTooShort") end
  self.at = self.at + bits
end

-- `length`: the bits of the field of variable length, if there is one.
function Parse:extract(name, length)
  local header = self.program.headers[name]
  local variable = length and plain(length) or 0
  if variable > header.most then self:fail("HeaderTooShort") end
  if self.at + header.bits + variable > self.size then self:fail("PacketTooShort") end
  self:set_valid(name, true)
  local found = { name = name, at = self.at, bits = header.bits + variable }
  for number, field in ipairs(header.fields) do
    local width = field.width or variable
    local value = self:bits(self.at, width)
    if field.signed then value = two_comp_mod(value, of(width)) end
    found[number] = { at = self.at, width = width, value = value }
    self.values[name .. "." .. field.name] = value
    self.at = self.at + width
  end
  self.extracted[#self.extracted + 1] = found
end

-- The place of a stack that is filled next; `member`: of a stack of unions.
function Parse:extract_next(stack, member, length)
  local place = self.next[stack] or 0
  local name = self.program.stacks[stack][place + 1]
  if not name then self:fail("StackOutOfBounds") end
  self.next[stack] = place + 1
  self:extract(member and name .. "." .. member or name, length)
end

function Parse:last(stack)
  local place = self.next[stack] or 0
  if place == 0 then self:fail("StackOutOfBounds") end
  return self.program.stacks[stack][place]
end

function Parse:element(stack, place)
  local name = self.program.stacks[stack][plain(place) + 1]
  if not name then self:fail("StackOutOfBounds") end
  return name
end

function Parse:last_index(stack) return sub(of(self.next[stack] or 0), n"0x1") end
function Parse:filled(stack) return of(self.next[stack] or 0) end

function Parse:is_valid(name) return self.valid[name] and n"0x1" or n"0x0" end

-- One header of a union is valid at a time.
function Parse:set_valid(name, valid)
  if valid then
    for _, other in ipairs(self.program.headers[name].others) do self.valid[other] = nil end
  end
  self.valid[name] = valid or nil
end

function Parse:get(name) return self.values[name] or n"0x0" end
function Parse:set(name, value) self.values[name] = value end

function Parse:copy(to, from)
  for _, field in ipairs(self.program.headers[to].fields) do
    self:set(to .. "." .. field.name, self:get(from .. "." .. field.name))
  end
  self:set_valid(to, self.valid[from])
end

-- What comes next hangs on something that is not in the packet.
function Parse:unknown(what) self:fail("unknown here: " .. what) end

local function matches(key, wanted)
  if wanted == any then return true end
  if wanted.mask then return eq(band(key, wanted.mask), wanted.value) end
  return eq(key, wanted)
end

local function masked(value, mask) return { value = n(value), mask = n(mask) } end

-- A select: the state of the first case all of whose values match.
function Parse:select(keys, cases)
  for _, case in ipairs(cases) do
    local all = true
    for number, key in ipairs(keys) do all = all and matches(key, case[number + 1]) end
    if all then return case[1] end
  end
  return accept
end
