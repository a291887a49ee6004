-- Takes back unused hits and decides takes, of one request or of several: the sliding takes of one
-- group are charged all or none, reports and fixed windows always. It is the coalesced log of
-- src/algorithm/sliding.rs, on packed strings. Operations are executed in their order.
--
-- KEYS[i]: the counter of operation i.
-- ARGV[1]: the time in microseconds, or '' for the clock of this server.
-- ARGV[2]: eight random bytes, the id of the logs that begin here.
-- ARGV[2 + i]: operation i, packed; all numbers are little-endian. A byte says its kind:
--   0 an ask, 1 a report, 2 a fixed window, each a take with
--     a byte, 1 when it is the last take of its group;
--     a byte, what hits that do not fit do to the group: 1 they refuse it, 2 they refuse it if those
--       of no other 2 fit, 0 nothing;
--     a byte, 1 when all hits may be used later, not only when some are granted ahead of need;
--     limit: N (4 bytes), and burst: how much more one window may hold, with N on average (4 bytes);
--     window: W in microseconds; of a fixed window the seconds until its key expires (7 bytes);
--     hits: how many are needed (5 bytes);
--     least: the fewest that are of use, and largest: how many the wait is told for (5 bytes each);
--     extra: how many are wished for ahead of need (5 bytes);
--     life: how far ahead hits are booked that may be used later, in microseconds (4 bytes);
--   3 hits to be taken back: limit and burst (4 bytes each), how many (5 bytes), the window (7 bytes),
--     the date (7 bytes) and id (8 bytes) as which they were booked;
--   4 a reset: the window (7 bytes).
-- Answers a string of 33 bytes a take, in their order: a byte, 1 when all that was needed fitted, 0
-- when it did not, 2 when the group could not be decided; then the hits granted (5 bytes), remaining
-- (5 bytes), the microseconds until the same take would fit or, if it did, until nothing is counted
-- (7 bytes), and the date (7 bytes) and id (8 bytes) as which the hits were booked. Of a fixed window
-- the remaining is its count. Behind it, if a group could not be decided, why; and if logs lay ahead of
-- the clock and were shifted back, how many, with nothing before that if every group was decided.
--
-- A log is a byte that says its form, its id (8 bytes), its total (7 bytes), then in form 2 what is
-- used of the bucket for bursts (a double) and when that was (7 bytes), then 12 bytes an entry,
-- oldest first: the time of its newest hit in microseconds (7 bytes) and its count (5 bytes). All
-- numbers are little-endian.
local call, pack, unpack = redis.call, struct.pack, struct.unpack
local ceil, floor, max, min, sub = math.ceil, math.floor, math.max, math.min, string.sub

local REPORT, FIXED, GIVE_BACK, RESET = 1, 2, 3, 4
local MISFIT, FIT, UNDECIDED = 0, 1, 2
local ALONE, TOGETHER = 1, 2
local PLAIN, WITH_BUCKET = 1, 2
local HEADER, BUCKET, ENTRY, MAX_ENTRIES, MAX_HITS = 16, 15, 12, 130, 1099511627775
local SUB_BUCKETS, MAX_AHEAD, MAX_WAIT, MAX_USED = 64, 1000000, 315360000000000, 8589934592

local now = tonumber(ARGV[1])
if not now then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
end

local function entry(log, index)
  return unpack('<I7I5', log.packed, log.head + 1 + ENTRY * (index - 1))
end

local function packed_entry(last, count)
  return pack('<I7I5', last, count)
end

local function refuse(why)
  error('cannot unpack a log ' .. why, 0)
end

-- A log whose total can be that of the entries that still count.
local function added_up(log)
  if log.total < log.tail or (log.first > log.n and log.total > 0) then
    refuse('whose total is not that of its entries')
  end
  return log
end

-- The log under a key as it stands there, if there is one.
local function read(key)
  local packed = call('GET', key)
  if not packed then
    return nil
  end
  local form, id, total = unpack('<I1c8I7', packed)
  local log = {
    form = form, id = id, total = total, packed = packed, head = HEADER, first = 1, n = 0, newest = 0,
    tail = 0,
  }
  if form == WITH_BUCKET then
    log.head = HEADER + BUCKET
  end
  log.n = (#packed - log.head) / ENTRY
  if form ~= PLAIN and form ~= WITH_BUCKET or log.n < 1 or log.n % 1 ~= 0 then
    refuse('of another version')
  end
  log.newest, log.tail = entry(log, log.n)
  return added_up(log)
end

-- What is used of the bucket of a log, and when that was.
local function bucket(log)
  local used, at = unpack('<dI7', log.packed, HEADER + 1)
  if not (used >= 0 and used <= MAX_USED) then
    refuse('whose bucket holds no number of hits')
  end
  return used, at
end

-- The log under a key: entries from `first` to `n` count, the earlier ones have left the window.
local function settled(key, take)
  local log = read(key)
  if not log then
    return {
      id = ARGV[2], total = 0, packed = '', head = 0, first = 1, n = 0,
      used = take.burst > 0 and 0 or nil,
    }
  end
  local ahead = max(log.newest - (now + MAX_AHEAD), 0)
  if take.burst > 0 then
    log.used = 0
    if log.form == WITH_BUCKET then
      local used, at = bucket(log)
      log.used = max(used - max(now - (at - ahead), 0) * take.limit / take.window, 0)
    end
  end
  if ahead > 0 then
    local entries = {}
    for index = 1, log.n do
      local last, count = entry(log, index)
      entries[index] = packed_entry(max(last - ahead, 0), count)
    end
    log.id = ARGV[2]
    log.packed = sub(log.packed, 1, log.head) .. table.concat(entries)
    log.newest = log.newest - ahead
    log.is_shifted = true
  end
  while log.first <= log.n do
    local last, count = entry(log, log.first)
    if last + take.window > now then
      if last > log.newest then
        refuse('whose entries have no order')
      end
      break
    end
    log.total = log.total - count
    log.first = log.first + 1
  end
  if log.first > log.n then
    log.newest, log.tail = nil, 0
  end
  return added_up(log)
end

-- Joins the two neighbours of one sub-bucket that are the smallest together.
local function merge(log, width)
  local smallest, best
  local last, count = entry(log, log.first)
  for index = log.first, log.n - 1 do
    local next_last, next_count = entry(log, index + 1)
    if floor(last / width) == floor(next_last / width)
      and (not smallest or count + next_count < smallest) then
      smallest, best = count + next_count, index
    end
    last, count = next_last, next_count
  end
  if best then
    local joined = min(smallest, MAX_HITS)
    local at = log.head + ENTRY * (best - 1)
    log.packed = sub(log.packed, 1, at)
      .. packed_entry(entry(log, best + 1), joined)
      .. sub(log.packed, at + 2 * ENTRY + 1)
    log.total = log.total - (smallest - joined)
    log.n = log.n - 1
    log.newest, log.tail = entry(log, log.n)
  end
end

-- In how many microseconds so many hits will be left in the bucket.
local function refilled(log, take, hits)
  local missing = max(log.used + hits - take.most, 0)
  return min(ceil(missing * take.window / max(take.limit, 1)), MAX_WAIT)
end

-- Puts a log under its key until nothing in it counts any more.
local function write(key, log, take)
  local empty = log.newest + take.window
  local head = pack('<I1c8I7', PLAIN, log.id, log.total)
  if log.used then
    head = pack('<I1c8I7dI7', WITH_BUCKET, log.id, log.total, log.used, now)
    empty = max(empty, now + refilled(log, take, take.most))
  end
  log.packed = head .. sub(log.packed, log.head + 1 + ENTRY * (log.first - 1), log.head + ENTRY * log.n)
  log.n = log.n - log.first + 1
  log.head = #head
  log.first = 1
  -- One more, as the clock that expires keys may be a little behind.
  call('SET', key, log.packed, 'PX', ceil((empty - now) / 1000) + 1)
end

-- Books hits in a log: `granted` of them, `ahead` of now.
local function book(key, log, take)
  local last = max(now + take.ahead, log.newest or now)
  local width = ceil(take.window / SUB_BUCKETS)
  local share = ceil(take.most / SUB_BUCKETS)
  local count = take.granted
  local kept = log.n
  if log.newest and floor(log.newest / width) == floor(last / width)
    and log.tail + count <= share then
    count = log.tail + count
    kept = log.n - 1
  elseif log.n - log.first + 1 >= MAX_ENTRIES then
    merge(log, width)
    kept = log.n
  end
  log.total = log.total + take.granted
  if log.used then
    log.used = min(log.used + take.granted, take.most)
  end
  log.packed = sub(log.packed, 1, log.head + ENTRY * kept) .. packed_entry(last, count)
  log.n = kept + 1
  log.newest, log.tail = last, count
  write(key, log, take)
end

local function remaining(log, take)
  local hits = take.most - log.total
  if log.used then
    hits = min(hits, floor(max(take.most - log.used, 0)))
  end
  return max(hits, 0)
end

-- How many hits to book, and how far ahead.
local function grant(log, take)
  take.granted, take.ahead = take.hits, 0
  if take.kind == REPORT then
    return
  end
  local left, keeps = remaining(log, take), take.keeps == 1
  if left < take.hits then
    take.granted = left
  elseif not log.used then
    local share = ceil(take.most / SUB_BUCKETS)
    local extra = min(take.extra, floor((left - take.hits) / 2), share)
    take.granted = take.hits + extra
    keeps = keeps or extra > 0
  end
  if keeps then
    take.ahead = take.life
  end
end

local function wait(log, take)
  local needed = take.hits
  if take.kind ~= REPORT then
    needed = max(take.largest, 1)
  end
  local room = take.most - needed
  if room < 0 then
    return take.window
  end
  local counted, until_free = log.total, 0
  for index = log.first, log.n do
    if counted <= room then
      break
    end
    local last, count = entry(log, index)
    counted = counted - count
    until_free = min(max(last + take.window - now, 0), take.window)
  end
  if log.used then
    until_free = max(until_free, refilled(log, take, needed))
  end
  return until_free
end

-- Looks at the counter of a take; a fixed window is charged with that.
local function look(take)
  if take.kind == FIXED then
    take.after = call('INCRBY', take.key, string.format('%.0f', take.hits))
    call('EXPIRE', take.key, string.format('%.0f', take.window))
    take.fits = take.after <= take.limit
    take.is_of_use = take.fits
    return
  end
  take.log = settled(take.key, take)
  local left = remaining(take.log, take)
  if take.kind == REPORT then
    take.fits = take.hits <= left
    take.is_of_use = take.fits
  else
    take.fits = max(take.hits, 1) <= left
    take.is_of_use = max(take.least, 1) <= left
  end
end

local n_shifted = 0

-- Books the hits of a take if it is charged, and tells what is to be answered.
local function charge(take, admitted)
  if take.kind == FIXED then
    local count = min(take.after, MAX_HITS)
    return pack('<BI5I5I7I7c8', take.fits and FIT or MISFIT, 0, count, 0, 0, ARGV[2])
  end
  local log = take.log
  take.granted = 0
  if take.kind == REPORT or (admitted and take.is_of_use) then
    grant(log, take)
  end
  if take.granted > 0 then
    book(take.key, log, take)
  elseif log.is_shifted and log.newest then
    write(take.key, log, take)
  end
  if log.is_shifted then
    n_shifted = n_shifted + 1
  end
  local reset = 0
  if not take.fits then
    reset = wait(log, take)
  else
    if log.newest then
      reset = max(log.newest + take.window - now, 0)
    end
    if log.used then
      reset = max(reset, refilled(log, take, take.most))
    end
  end
  return pack(
    '<BI5I5I7I7c8',
    take.fits and FIT or MISFIT, take.granted, remaining(log, take), reset, log.newest or now, log.id
  )
end

-- What is to be answered for the takes of a group.
local function decide(group)
  local admitted, any_together_fits = true, nil
  for _, take in ipairs(group) do
    look(take)
    if take.veto == ALONE and not take.is_of_use then
      admitted = false
    elseif take.veto == TOGETHER then
      any_together_fits = any_together_fits or take.is_of_use
    end
  end
  admitted = admitted and any_together_fits ~= false
  local answers = {}
  for index, take in ipairs(group) do
    answers[index] = charge(take, admitted)
  end
  return table.concat(answers)
end

-- Takes back hits that nobody used: they are in the first entries of their date or later, as long as
-- none of that date was dropped. An entry may have been dropped at the newest one's time at the
-- latest. No entry goes, and so the key expires when it would have. A bucket for bursts takes back
-- what cannot have flowed back since.
local function give_back(key, operation)
  local _, limit, burst, booked, window, date, id = unpack('<BI4I4I5I7I7c8', operation)
  local log = read(key)
  if not log or log.id ~= id or date + window <= max(log.newest, now) then
    return
  end
  local index = log.n
  while index > 0 and entry(log, index) >= date do
    index = index - 1
  end
  local before, after, hits = log.head + ENTRY * index, {}, booked
  for later = index + 1, log.n do
    local last, count = entry(log, later)
    local taken = min(hits, count)
    hits = hits - taken
    log.total = log.total - taken
    after[#after + 1] = packed_entry(last, count - taken)
    log.tail = count - taken
  end
  added_up(log)
  local packed_bucket = sub(log.packed, HEADER + 1, log.head)
  if burst > 0 and log.form == WITH_BUCKET then
    local used, at = bucket(log)
    local taken = booked - hits
    local kept = min(max(now - date, 0) * limit / window, taken)
    used = max(used - max(now - at, 0) * limit / window, 0)
    packed_bucket = pack('<dI7', max(used - (taken - kept), 0), now)
  end
  log.packed = pack('<I1c8I7', log.form, log.id, log.total) .. packed_bucket
    .. sub(log.packed, log.head + 1, before) .. table.concat(after)
  call('SET', key, log.packed, 'KEEPTTL')
end

-- Forgets what was counted, but for hits that may still be used.
local function reset(key, operation)
  local _, window = unpack('<BI7', operation)
  local log = read(key)
  if not log then
    return
  end
  log.id = ARGV[2]
  while log.first <= log.n do
    local last, count = entry(log, log.first)
    if last > now then
      added_up(log)
      write(key, log, { window = window })
      return
    end
    log.total = log.total - count
    log.first = log.first + 1
  end
  call('DEL', key)
end

-- Whether an error is about one key only: something else is stored there.
local function is_of_one_key(message)
  for _, sign in ipairs({ 'WRONGTYPE', 'not an integer', 'overflow', 'unpack' }) do
    if string.find(message, sign, 1, true) then
      return true
    end
  end
  return false
end

-- Runs something that touches few keys. If that cannot be, the operations on other keys go on.
local undecided
local function attempt(action, ...)
  local done, result = pcall(action, ...)
  if done then
    return result
  end
  local message = type(result) == 'table' and result.err or tostring(result)
  if not is_of_one_key(message) then
    error(result, 0)
  end
  undecided = undecided or message
  return nil
end

local group, answer = {}, {}
for index, key in ipairs(KEYS) do
  local operation = ARGV[2 + index]
  local kind = string.byte(operation)
  if kind == GIVE_BACK then
    attempt(give_back, key, operation)
  elseif kind == RESET then
    attempt(reset, key, operation)
  else
    local is_last, veto, keeps, limit, burst, window, hits, least, largest, extra, life =
      unpack('<BBBI4I4I7I5I5I5I5I4', operation, 2)
    -- With a place for all that is noted later: a table that grows is made anew.
    group[#group + 1] = {
      key = key, kind = kind, veto = veto, keeps = keeps, limit = limit, burst = burst, window = window,
      hits = hits, least = least, largest = largest, extra = extra, life = life, most = limit + burst,
      log = false, fits = false, is_of_use = false, granted = 0, ahead = 0, after = 0,
    }
    if is_last == 1 then
      local nothing = pack('<BI5I5I7I7c8', UNDECIDED, 0, 0, 0, 0, ARGV[2])
      answer[#answer + 1] = attempt(decide, group) or string.rep(nothing, #group)
      group = {}
    end
  end
end
if n_shifted > 0 then
  return { table.concat(answer), undecided or '', n_shifted }
end
return { table.concat(answer), undecided }
