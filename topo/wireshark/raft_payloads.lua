-- What follows the header of raft.p4, as docs/wire.md has it, and which reply answers which request. Appended to the
-- dissector that p4compiler makes of raft.p4: `program` is its table, and `parse` what the parser has found.

local SEAL = 32
local FLAGS = {
  REJECT = 0x01, FANOUT = 0x02, GATHER = 0x04, NO_STEER = 0x08, MORE = 0x10, FRAGMENT = 0x20, GATHERED = 0x40, READ = 0x80,
}
local TYPES = {
  [1] = "PreVote", [2] = "PreVoteReply", [3] = "RequestVote", [4] = "RequestVoteReply", [5] = "AppendEntries",
  [6] = "AppendEntriesReply", [7] = "InstallSnapshot", [8] = "InstallSnapshotReply", [9] = "TimeoutNow",
  [10] = "Configuration", [11] = "CampaignHint", [12] = "FragmentStatus", [13] = "ReadIndex", [14] = "ReadIndexReply",
  [16] = "ClientRequest", [17] = "ClientReply", [18] = "ClientFragmentStatus",
}
local KINDS = { [0] = "no-op", [1] = "command", [2] = "configuration" }
local OPERATIONS = {
  [1] = "open a session", [2] = "append", [3] = "put", [4] = "get", [5] = "delete", [6] = "read the list",
  [7] = "get, of an age",
}
local OUTCOMES = {
  [0] = "OK", [1] = "not the leader", [2] = "busy", [3] = "lost leadership", [4] = "unknown session", [5] = "stale",
  [6] = "bad request", [7] = "session expired",
}
local CLIENTS, REQUEST, REPLY, FRAGMENT_STATUS, CLIENT_STATUS = 16, 16, 17, 12, 18
local REPLIES = { [2] = true, [4] = true, [6] = true, [8] = true }
local ALL = 255

for _, field in ipairs(program.headers["raft"].fields) do
  if field.name == "type" then field.names = TYPES end
end

-- -- fields ----------------------------------------------------------------------------------------------------------

local own = {}

local function define(name, kind, label, ...)
  own[name] = ProtoField[kind](program.filter .. "." .. name, label, ...)
  program.more_fields[program.filter .. "." .. name] = own[name]
end

local OTHER_NAMES = { -- of bits in messages of some types
  [5] = { NO_STEER = "LAZY", REJECT = "LEASE" }, [7] = { REJECT = "LEASE" },
}
define("flag.lazy", "bool", "LAZY")
define("flag.lease", "bool", "LEASE")
for name in pairs(FLAGS) do
  define("flag." .. name:lower(), "bool", name)
end
define("cluster", "uint64", "cluster", base.HEX)
define("round", "uint64", "round")
define("log_id", "uint64", "log_id", base.HEX)
define("entry", "none", "entry")
define("entry.index", "uint64", "index")
define("entry.term", "uint64", "term")
define("entry.kind", "uint8", "kind", base.DEC, KINDS)
define("entry.length", "uint32", "length")
define("entry.data", "bytes", "data")
define("member", "none", "member")
define("member.id", "uint8", "id")
define("member.votes", "uint8", "votes")
define("member.address", "ipv4", "address")
define("member.port", "uint16", "port")
define("record", "none", "acknowledgement of another member")
define("record.source", "uint8", "source")
define("record.zero", "uint8", "zero")
define("record.index", "uint64", "index")
define("record.round", "uint64", "round")
define("record.seal", "bytes", "boot, counter, mac")
define("count", "uint8", "count")
define("question", "none", "ReadIndex")
define("question.number", "uint64", "number", base.HEX)
define("question.held", "uint64", "held")
define("question.log", "uint64", "log", base.HEX)
define("answers.index", "uint64", "index of the answers")
define("answer", "none", "ReadIndexReply")
define("answer.member", "uint8", "member")
define("answer.number", "uint64", "number", base.HEX)
define("chunk", "bytes", "chunk of a snapshot")
define("message_id", "uint64", "message_id", base.HEX)
define("offset", "uint32", "offset")
define("total", "uint32", "total")
define("highest", "uint32", "highest")
define("fragment", "bytes", "fragment")
define("padding", "bytes", "padding of a probe of the path")
define("missing", "none", "missing")
define("missing.start", "uint32", "start")
define("missing.end", "uint32", "end")
define("part", "none", "part")
define("sequence", "uint64", "sequence")
define("length", "uint16", "length")
define("nonce", "uint64", "nonce", base.HEX)
define("operation", "uint8", "operation", base.DEC, OPERATIONS)
define("operands", "bytes", "operands")
define("key_length", "uint32", "key_length")
define("key", "bytes", "key")
define("value", "bytes", "value")
define("start", "uint64", "start")
define("limit", "uint32", "limit")
define("outcome", "uint8", "outcome", base.DEC, OUTCOMES)
define("leader", "uint8", "leader")
define("log_index", "uint64", "index")
define("log_term", "uint64", "term")
define("result", "bytes", "result")
define("text", "string", "text")
define("boot", "uint64", "boot")
define("counter", "uint64", "counter")
define("mac", "bytes", "mac")
define("extra", "bytes", "more than there should be")
define("response_to", "framenum", "The request is in frame", base.NONE, frametype.REQUEST)
define("response_in", "framenum", "The reply is in frame", base.NONE, frametype.RESPONSE)
define("response_time", "relative_time", "Time since the request")

-- -- reading ---------------------------------------------------------------------------------------------------------

-- A payload that is read from its beginning; what is not there is not shown, and said.
local Reader = {}
Reader.__index = Reader

local function reader(range) return setmetatable({ range = range, at = 0, size = range:len() }, Reader) end

function Reader:left() return self.size - self.at end

function Reader:has(size)
  if size <= self:left() then return true end
  self.short = true
  return false
end

-- A field of so many bytes. Returns their range; nil if they are not all there.
function Reader:take(tree, name, size)
  if self.short or size == 0 or not self:has(size) then return nil end
  local place = self.range:range(self.at, size)
  self.at = self.at + size
  tree:add(own[name], place)
  return place
end

function Reader:number(tree, name, size)
  local place = self:take(tree, name, size)
  return place and place:uint()
end

-- -- payloads --------------------------------------------------------------------------------------------------------

-- Ranges rise and end below `highest`, so a seal behind them is none.
local function ranges(read, tree, highest)
  local before = 0
  while read:left() >= 8 do
    local from, to = read.range:range(read.at, 4):uint(), read.range:range(read.at + 4, 4):uint()
    if from < before or to <= from or to > highest then return end
    before = to
    local item = tree:add(own["missing"], read.range:range(read.at, 8))
    read:take(item, "missing.start", 4)
    read:take(item, "missing.end", 4)
  end
end

local function status(read, tree)
  read:take(tree, "message_id", 8)
  read:take(tree, "total", 4)
  ranges(read, tree, read:number(tree, "highest", 4) or 0)
end

-- Whether entries, one after the other, end just there.
local function entries_end_at(read, size)
  local at = read.at
  while at + 13 <= size do at = at + 13 + read.range:range(at + 9, 4):uint() end
  return at == size
end

local function entries(read, tree, index)
  local size = entries_end_at(read, read.size) and read.size or read.size - SEAL
  while read.at + 13 <= size do
    local length = read.range:range(read.at + 9, 4):uint()
    if read.at + 13 + length > size then return end
    index = add(index, n"0x1")
    local item = tree:add(own["entry"], read.range:range(read.at, 13 + length))
    item:set_text("entry " .. tostring(UInt64.fromhex(hex(index))))
    item:add(own["entry.index"], UInt64.fromhex(hex(index))):set_generated()
    read:take(item, "entry.term", 8)
    read:take(item, "entry.kind", 1)
    read:take(item, "entry.length", 4)
    read:take(item, "entry.data", length)
  end
end

local function configuration(read, tree)
  for _ = 1, read:number(tree, "count", 1) or 0 do
    if not read:has(8) then return end
    local item = tree:add(own["member"], read.range:range(read.at, 8))
    read:take(item, "member.id", 1)
    read:take(item, "member.votes", 1)
    read:take(item, "member.address", 4)
    read:take(item, "member.port", 2)
  end
end

local function request(read, tree)
  read:take(tree, "nonce", 8)
  local operation = read:number(tree, "operation", 1)
  if operation == 3 then
    read:take(tree, "key", read:number(tree, "key_length", 4) or 0)
    read:take(tree, "value", read:left())
  elseif operation == 4 or operation == 5 then read:take(tree, "key", read:left())
  elseif operation == 2 then read:take(tree, "value", read:left())
  elseif operation == 6 then
    read:take(tree, "start", 8)
    read:take(tree, "limit", 4)
  elseif read:left() > 0 then read:take(tree, "operands", read:left()) end
end

local function reply(read, tree)
  read:take(tree, "nonce", 8)
  local outcome = read:number(tree, "outcome", 1)
  read:take(tree, "leader", 1)
  read:take(tree, "log_index", 8)
  read:take(tree, "log_term", 8)
  if not read.short and read:left() > 0 then read:take(tree, outcome == 0 and "result" or "text", read:left()) end
end

-- One request or reply; with MORE several, each with its own sequence. `each` is called with each sequence.
local function client(read, tree, what, more, first, each)
  local body = what == REQUEST and request or reply
  if not more then
    each(first)
    body(read, tree)
    return
  end
  while read:left() > 0 and not read.short do
    if not read:has(10) then return end
    local length = read.range:range(read.at + 8, 2):uint()
    local item = tree:add(own["part"], read.range:range(read.at, math.min(10 + length, read:left())))
    local sequence = read:take(item, "sequence", 8)
    read:take(item, "length", 2)
    if not read:has(length) then return end
    item:set_text("sequence " .. tostring(sequence:uint64()))
    each(from_digits(sequence:bytes():tohex():lower(), false))
    body(reader(read.range:range(read.at, length)), item)
    read.at = read.at + length
  end
end

-- What the leader's switch has put in front of an acknowledgement's payload: those of other members. Lengths tell
-- whether they are sealed.
local function records(read, tree)
  local sealed = (read:left() - 16) % 18 == 0 and 0 or SEAL
  while read:left() >= 16 + 18 + 2 * sealed and not read.short do
    local item = tree:add(own["record"], read.range:range(read.at, 18 + sealed))
    read:take(item, "record.source", 1)
    read:take(item, "record.zero", 1)
    read:take(item, "record.index", 8)
    read:take(item, "record.round", 8)
    if sealed > 0 then read:take(item, "record.seal", sealed) end
  end
end

-- ReadIndexReplies that ride on an AppendEntries.
local function answered(read, tree)
  read:take(tree, "answers.index", 8)
  for _ = 1, read:number(tree, "count", 1) or 0 do
    if not read:has(9) then return end
    local item = tree:add(own["answer"], read.range:range(read.at, 9))
    read:take(item, "answer.member", 1)
    read:take(item, "answer.number", 8)
  end
end

-- The ReadIndex that rides on an AppendEntriesReply, behind the log's id if there is one.
local function asks(read, tree)
  local size = read:left()
  if size == 32 or size == 32 + SEAL then read:take(tree, "log_id", 8) end
  if not read:has(24) then return end
  local item = tree:add(own["question"], read.range:range(read.at, 24))
  read:take(item, "question.number", 8)
  read:take(item, "question.held", 8)
  read:take(item, "question.log", 8)
end

-- What members say to each other. Returns the round.
local function peer(read, tree, what, more, values)
  read:take(tree, "cluster", 8)
  local round = read:take(tree, "round", 8)
  if what == 5 and more then answered(read, tree)
  elseif what == 6 and more then asks(read, tree)
  elseif what == 5 then entries(read, tree, values.index)
  elseif what == 7 then read:take(tree, "chunk", read:left())
  elseif what == 10 then configuration(read, tree)
  elseif what == FRAGMENT_STATUS then status(read, tree)
  elseif REPLIES[what] and (read:left() == 8 or read:left() == 8 + SEAL) then read:take(tree, "log_id", 8) end
  return round and hex(from_digits(round:bytes():tohex():lower(), false))
end

local function seal(read, tree)
  if read:left() ~= SEAL then return end
  read:take(tree, "boot", 8)
  read:take(tree, "counter", 8)
  read:take(tree, "mac", 16)
end

-- -- requests and replies -----------------------------------------------------------------------------------------------

-- By key, the frame that asked last; by frame, when it was, the reply's frame, the request's frame, and whether it was
-- looked at before (pinfo.visited is true of frames that tshark -2 has only counted).
local asked, asked_at, answers, questions, seen = {}, {}, {}, {}, {}

program.init[#program.init + 1] = function() asked, asked_at, answers, questions, seen = {}, {}, {}, {}, {} end

local function ask(key, pinfo)
  if seen[pinfo.number] then return end
  asked[key], asked_at[pinfo.number] = pinfo.number, pinfo.abs_ts
end

local function answer(keys, pinfo)
  if seen[pinfo.number] then return end
  for _, key in ipairs(keys) do
    local frame = asked[key]
    if frame then
      questions[pinfo.number] = questions[pinfo.number] or frame
      answers[frame] = answers[frame] or pinfo.number
      return
    end
  end
end

local function show_match(tree, pinfo)
  local question, answered = questions[pinfo.number], answers[pinfo.number]
  if question then
    tree:add(own["response_to"], question):set_generated()
    local seconds = math.max(0, pinfo.abs_ts - asked_at[question])
    local whole = math.floor(seconds)
    tree:add(own["response_time"], NSTime.new(whole, math.floor((seconds - whole) * 1e9 + 0.5))):set_generated()
  end
  if answered then tree:add(own["response_in"], answered):set_generated() end
end

-- -- all of it ---------------------------------------------------------------------------------------------------------

program.after[#program.after + 1] = function(parse, rest, pinfo, tree)
  if not parse.valid["raft"] then return rest end
  local values = {}
  for _, field in ipairs(program.headers["raft"].fields) do values[field.name] = parse:get("raft." .. field.name) end
  local what, flags = plain(values.type), plain(values.flags)
  local source, target = plain(values.source), plain(values.target)
  for name, mask in pairs(FLAGS) do
    name = (OTHER_NAMES[what] or {})[name] or name
    if bit.band(flags, mask) ~= 0 then tree:add(own["flag." .. name:lower()], true):set_generated() end
  end
  pinfo.cols.protocol = "Raft"
  local function text(value) return tostring(UInt64.fromhex(hex(value))) end
  local reject = bit.band(flags, FLAGS.REJECT) ~= 0 and not (OTHER_NAMES[what] or {}).REJECT and " REJECT" or ""
  local more, fragment = bit.band(flags, FLAGS.MORE) ~= 0, bit.band(flags, FLAGS.FRAGMENT) ~= 0
  local probe = fragment and (what == FRAGMENT_STATUS or what == CLIENT_STATUS)
  local told = (TYPES[what] or "type " .. what) .. reject .. (probe and " (probe)" or fragment and " (fragment)" or "")
  local function fields(...)
    local parts = {}
    for _, name in ipairs({ ... }) do parts[#parts + 1] = name .. " " .. text(values[name]) end
    return table.concat(parts, " ")
  end
  if what >= CLIENTS then
    local session = " session " .. hex(values.log_term) .. " sequence " .. text(values.index)
    pinfo.cols.info = told .. " " .. fields("group") .. session
  else
    local ends = " " .. source .. "->" .. target .. " "
    pinfo.cols.info = told .. ends .. fields("group", "term", "index", "log_term", "commit")
  end
  if parse.valid["ack"] then -- the program has parsed the whole of it
    local round = hex(parse:get("ack.round"))
    answer({ table.concat({ "peer", what - 1, hex(values.group), target, source, round }, " "),
             table.concat({ "peer", what - 1, hex(values.group), target, ALL, round }, " ") }, pinfo)
    seen[pinfo.number] = true
    show_match(tree, pinfo)
  end
  if not rest then return nil end

  local read = reader(rest)
  if bit.band(flags, FLAGS.GATHERED) ~= 0 then records(read, tree) end
  if fragment then
    read:take(tree, "message_id", 8)
    read:take(tree, "offset", 4)
    read:take(tree, "total", 4)
    read:take(tree, probe and "padding" or "fragment", read:left())
  elseif what == REQUEST or what == REPLY then
    local function key(sequence)
      return table.concat({ "client", hex(values.group), hex(values.log_term), hex(sequence) }, " ")
    end
    client(read, tree, what, more, values.index, function(sequence)
      if what == REQUEST then ask(key(sequence), pinfo) else answer({ key(sequence) }, pinfo) end
    end)
  elseif what == CLIENT_STATUS then
    status(read, tree)
  else
    local round = peer(read, tree, what, more, values)
    local function key(kind, from, to)
      return table.concat({ "peer", kind, hex(values.group), from, to, round }, " ")
    end
    if round and REPLIES[what] then
      answer({ key(what - 1, target, source), key(what - 1, target, ALL) }, pinfo)
    elseif round and REPLIES[what + 1] then ask(key(what, source, target), pinfo) end
    seal(read, tree)
  end
  seen[pinfo.number] = true
  show_match(tree, pinfo)
  if read.short then tree:add_proto_expert_info(experts.failed, "the payload is too short") end
  if read:left() > 0 then tree:add(own["extra"], rest:range(read.at)) end
  return nil
end
