-- Whole numbers of any size, for a program's parser may compute with them: limbs of 24 bits, lowest first, and a sign.
-- Lua's own numbers are exact up to 53 bits only.

local LIMB = 16777216
local shift, n

-- Leading zeros off; zero is not negative.
local function number(limbs, negative)
  while limbs[#limbs] == 0 do limbs[#limbs] = nil end
  limbs.negative = negative and #limbs > 0 or false
  return limbs
end

local function hex(value)
  if #value == 0 then return "0" end
  local parts = { string.format("%x", value[#value]) }
  for at = #value - 1, 1, -1 do parts[#parts + 1] = string.format("%06x", value[at]) end
  return (value.negative and "-" or "") .. table.concat(parts)
end

local function from_digits(digits, negative)
  local limbs = {}
  for at = #digits, 1, -6 do limbs[#limbs + 1] = tonumber(digits:sub(math.max(1, at - 5), at), 16) end
  return number(limbs, negative)
end

local literals = {}

-- A literal: "0x1f", "-0x1f". What it returns is never changed.
function n(text)
  if not literals[text] then
    local sign, digits = text:match("^(%-?)0x(%x+)$")
    literals[text] = from_digits(digits, sign == "-")
  end
  return literals[text]
end

local function of(value)
  return from_digits(string.format("%x", value), false)
end

-- As a number of Lua's own; only for what is known to have at most 48 bits.
local function plain(value)
  local result = 0
  for at = #value, 1, -1 do result = result * LIMB + value[at] end
  return value.negative and -result or result
end

local function compare_sizes(a, b)
  if #a ~= #b then return #a < #b and -1 or 1 end
  for at = #a, 1, -1 do
    if a[at] ~= b[at] then return a[at] < b[at] and -1 or 1 end
  end
  return 0
end

local function compare(a, b)
  if a.negative ~= b.negative then return a.negative and -1 or 1 end
  return a.negative and compare_sizes(b, a) or compare_sizes(a, b)
end

local function add_sizes(a, b, sign)
  local limbs, carry = {}, 0
  for at = 1, math.max(#a, #b) do
    local sum = (a[at] or 0) + sign * (b[at] or 0) + carry
    carry = math.floor(sum / LIMB)
    limbs[at] = sum - carry * LIMB
  end
  if carry > 0 then limbs[#limbs + 1] = carry end
  return limbs
end

local function negated(a)
  local limbs = {}
  for at = 1, #a do limbs[at] = a[at] end
  return number(limbs, not a.negative)
end

local function add(a, b)
  if a.negative == b.negative then return number(add_sizes(a, b, 1), a.negative) end
  if compare_sizes(a, b) >= 0 then return number(add_sizes(a, b, -1), a.negative) end
  return number(add_sizes(b, a, -1), b.negative)
end

local function sub(a, b) return add(a, negated(b)) end

local function mul(a, b)
  local limbs = {}
  for at = 1, #a + #b do limbs[at] = 0 end
  for i = 1, #a do
    local carry = 0
    for j = 1, #b do
      local sum = limbs[i + j - 1] + a[i] * b[j] + carry
      carry = math.floor(sum / LIMB)
      limbs[i + j - 1] = sum - carry * LIMB
    end
    limbs[i + #b] = carry
  end
  return number(limbs, a.negative ~= b.negative)
end

-- Two's complement with so many limbs.
local function complement(a, count)
  local limbs, carry = {}, 1
  for at = 1, count do
    local limb = a[at] or 0
    if a.negative then
      limb = LIMB - 1 - limb + carry
      carry = limb == LIMB and 1 or 0
      limb = limb % LIMB
    end
    limbs[at] = limb
  end
  return limbs
end

local function bitwise(operation)
  return function(a, b)
    local count = math.max(#a, #b) + 1
    local left, right, limbs = complement(a, count), complement(b, count), {}
    for at = 1, count do limbs[at] = operation(left[at], right[at]) end
    if limbs[count] < LIMB / 2 then return number(limbs, false) end
    limbs.negative = true
    return number(complement(limbs, count), true)
  end
end

local band, bor, bxor = bitwise(bit.band), bitwise(bit.bor), bitwise(bit.bxor)
local function bnot(a) return sub(negated(a), n"0x1") end

-- By so many bits: to the left if that is positive, else to the right, rounded down.
function shift(a, bits)
  if bits < 0 and a.negative then return bnot(shift(bnot(a), bits)) end
  local whole, part, limbs = math.floor(math.abs(bits) / 24), 2 ^ (math.abs(bits) % 24), {}
  if bits < 0 then
    for at = whole + 1, #a do
      limbs[at - whole] = math.floor(a[at] / part) + (a[at + 1] or 0) % part * (LIMB / part)
    end
    return number(limbs, false)
  end
  local carry = 0
  for at = 1, whole do limbs[at] = 0 end
  for at = 1, #a do
    local sum = a[at] * part + carry
    carry = math.floor(sum / LIMB)
    limbs[at + whole] = sum - carry * LIMB
  end
  limbs[#a + whole + 1] = carry
  return number(limbs, a.negative)
end

local function shl(a, b) return shift(a, plain(b)) end
local function shr(a, b) return shift(a, -plain(b)) end
local function ones(width) return sub(shift(n"0x1", width), n"0x1") end

local function two_comp_mod(a, width)
  local cut = band(a, ones(plain(width)))
  if compare(cut, shift(n"0x1", plain(width) - 1)) < 0 then return cut end
  return sub(cut, shift(n"0x1", plain(width)))
end

local function clamped(a, low, high)
  if compare(a, low) < 0 then return low end
  return compare(a, high) > 0 and high or a
end

local function usat_cast(a, width) return clamped(a, n"0x0", ones(plain(width))) end
local function sat_cast(a, width)
  local high = ones(plain(width) - 1)
  return clamped(a, bnot(high), high)
end

local function eq(a, b)
  if type(a) == "boolean" or type(b) == "boolean" then return a == b end
  return compare(a, b) == 0
end
local function lt(a, b) return compare(a, b) < 0 end
local function le(a, b) return compare(a, b) <= 0 end
local function d2b(a) return #a > 0 end
local function b2d(a) return a and n"0x1" or n"0x0" end
local function choose(condition, yes, no)
  if condition then return yes end
  return no
end
local function as_number(a)
  if type(a) == "boolean" then return b2d(a) end
  return a
end
