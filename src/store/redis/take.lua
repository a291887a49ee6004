-- Decides the takes of one request together: sliding ones are charged all or none, reports and
-- fixed windows always. It is the coalesced log of src/algorithm/sliding.rs, on packed strings.
--
-- KEYS[i]: the counter of take i.
-- ARGV[1]: the time in microseconds, or '' for the clock of this server.
-- ARGV[2]: eight random bytes, the id of the logs that begin here.
-- ARGV[3 + 6 * (i - 1) ...], for take i:
--   kind: 'a' an ask, 'r' a report, 'f' a fixed window;
--   limit: N;
--   burst: how much more one window may hold, with N on average;
--   window: W in microseconds; of a fixed window the seconds until its key expires;
--   hits: how many;
--   veto: what hits that do not fit do to the request: '1' they refuse it, '2' they refuse it if
--   those of no other '2' fit, '0' nothing.
-- Answers three numbers a take: fits (0 or 1), remaining, and the microseconds until the same take
-- would fit or, if it did, until nothing is counted. Of a fixed window: its count, 0, 0.
--
-- A log is a byte that says its form, its id (8 bytes), its total (7 bytes), then in form 2 what is
-- used of the bucket for bursts (a double) and when that was (7 bytes), then 12 bytes an entry,
-- oldest first: the time of its newest hit in microseconds (7 bytes) and its count (5 bytes). All
-- numbers are little-endian.
local PLAIN, WITH_BUCKET = 1, 2
local HEADER, BUCKET, ENTRY, MAX_ENTRIES, MAX_HITS = 16, 15, 12, 130, 1099511627775
local SUB_BUCKETS, MAX_AHEAD, MAX_WAIT = 64, 1000000, 315360000000000

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local function entry(log, index)
  return struct.unpack('<I7I5', log.packed, log.head + 1 + ENTRY * (index - 1))
end

local function pack(last, count)
  return struct.pack('<I7I5', last, count)
end

-- The log under a key: entries from `first` to `n` count, the earlier ones have left the window.
local function settled(key, take)
  local packed = redis.call('GET', key)
  if not packed then
    return {
      id = ARGV[2], total = 0, packed = '', head = 0, first = 1, n = 0,
      used = take.burst > 0 and 0 or nil,
    }
  end
  local form, id, total = struct.unpack('<I1c8I7', packed)
  local log = { id = id, total = total, packed = packed, head = HEADER, first = 1 }
  if form == WITH_BUCKET then
    log.head = HEADER + BUCKET
  end
  log.n = (#packed - log.head) / ENTRY
  log.newest, log.tail = entry(log, log.n)
  local ahead = math.max(log.newest - (now + MAX_AHEAD), 0)
  if take.burst > 0 then
    log.used = 0
    if form == WITH_BUCKET then
      local used, at = struct.unpack('<dI7', packed, HEADER + 1)
      log.used = math.max(used - math.max(now - (at - ahead), 0) * take.limit / take.window, 0)
    end
  end
  if ahead > 0 then
    local entries = {}
    for index = 1, log.n do
      local last, count = entry(log, index)
      entries[index] = pack(math.max(last - ahead, 0), count)
    end
    log.id = ARGV[2]
    log.packed = string.sub(packed, 1, log.head) .. table.concat(entries)
    log.newest = log.newest - ahead
    log.is_shifted = true
  end
  while log.first <= log.n do
    local last, count = entry(log, log.first)
    if last + take.window > now then
      break
    end
    log.total = log.total - count
    log.first = log.first + 1
  end
  if log.first > log.n then
    log.newest = nil
  end
  return log
end

-- Joins the two neighbours of one sub-bucket that are the smallest together.
local function merge(log, width)
  local smallest, best
  local last, count = entry(log, log.first)
  for index = log.first, log.n - 1 do
    local next_last, next_count = entry(log, index + 1)
    if math.floor(last / width) == math.floor(next_last / width)
      and (not smallest or count + next_count < smallest) then
      smallest, best = count + next_count, index
    end
    last, count = next_last, next_count
  end
  if best then
    local joined = math.min(smallest, MAX_HITS)
    local at = log.head + ENTRY * (best - 1)
    log.packed = string.sub(log.packed, 1, at)
      .. pack(entry(log, best + 1), joined)
      .. string.sub(log.packed, at + 2 * ENTRY + 1)
    log.total = log.total - (smallest - joined)
    log.n = log.n - 1
    log.newest, log.tail = entry(log, log.n)
  end
end

-- In how many microseconds so many hits will be left in the bucket.
local function refilled(log, take, hits)
  local missing = math.max(log.used + hits - take.most, 0)
  return math.min(math.ceil(missing * take.window / math.max(take.limit, 1)), MAX_WAIT)
end

-- Puts a log under its key until nothing in it counts any more.
local function write(key, log, take)
  local empty = log.newest + take.window
  local head = struct.pack('<I1c8I7', PLAIN, log.id, log.total)
  if log.used then
    head = struct.pack('<I1c8I7dI7', WITH_BUCKET, log.id, log.total, log.used, now)
    empty = math.max(empty, now + refilled(log, take, take.most))
  end
  log.packed = head .. string.sub(log.packed, log.head + 1 + ENTRY * (log.first - 1), log.head + ENTRY * log.n)
  log.n = log.n - log.first + 1
  log.head = #head
  log.first = 1
  -- One more, as the clock that expires keys may be a little behind.
  redis.call('SET', key, log.packed, 'PX', math.ceil((empty - now) / 1000) + 1)
end

local function book(key, log, take)
  local last = math.max(now, log.newest or now)
  local width = math.ceil(take.window / SUB_BUCKETS)
  local share = math.ceil(take.most / SUB_BUCKETS)
  local count = take.hits
  local kept = log.n
  if log.newest and math.floor(log.newest / width) == math.floor(last / width)
    and log.tail + count <= share then
    count = log.tail + count
    kept = log.n - 1
  elseif log.n - log.first + 1 >= MAX_ENTRIES then
    merge(log, width)
    kept = log.n
  end
  log.total = log.total + take.hits
  if log.used then
    log.used = math.min(log.used + take.hits, take.most)
  end
  log.packed = string.sub(log.packed, 1, log.head + ENTRY * kept) .. pack(last, count)
  log.n = kept + 1
  log.newest, log.tail = last, count
  write(key, log, take)
end

local function remaining(log, take)
  local hits = take.most - log.total
  if log.used then
    hits = math.min(hits, math.floor(math.max(take.most - log.used, 0)))
  end
  return math.max(hits, 0)
end

local function wait(log, take)
  local room = take.most - take.needed
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
    until_free = math.min(math.max(last + take.window - now, 0), take.window)
  end
  if log.used then
    until_free = math.max(until_free, refilled(log, take, take.needed))
  end
  return until_free
end

local takes, admitted, any_together_fits = {}, true, nil
for index, key in ipairs(KEYS) do
  local at = 3 + 6 * (index - 1)
  local take = {
    kind = ARGV[at],
    limit = tonumber(ARGV[at + 1]),
    burst = tonumber(ARGV[at + 2]),
    window = tonumber(ARGV[at + 3]),
    hits = tonumber(ARGV[at + 4]),
  }
  take.most = take.limit + take.burst
  take.needed = take.hits
  if take.kind == 'a' and take.hits == 0 then
    take.needed = 1
  end
  if take.kind == 'f' then
    take.after = redis.call('INCRBY', key, ARGV[at + 4])
    redis.call('EXPIRE', key, ARGV[at + 3])
    take.fits = take.after <= take.limit
  else
    take.log = settled(key, take)
    take.fits = take.needed <= remaining(take.log, take)
  end
  local veto = ARGV[at + 5]
  if veto == '1' and not take.fits then
    admitted = false
  elseif veto == '2' then
    any_together_fits = any_together_fits or take.fits
  end
  takes[index] = take
end

admitted = admitted and any_together_fits ~= false

local answer = {}
for index, take in ipairs(takes) do
  local log, fits, left, reset = take.log, 0, 0, 0
  if take.kind == 'f' then
    fits = take.after
  else
    local charged = take.kind == 'r' or (admitted and take.fits)
    if charged and take.hits > 0 then
      book(KEYS[index], log, take)
    elseif log.is_shifted and log.newest then
      write(KEYS[index], log, take)
    end
    left = remaining(log, take)
    if not take.fits then
      reset = wait(log, take)
    else
      fits = 1
      if log.newest then
        reset = math.max(log.newest + take.window - now, 0)
      end
      if log.used then
        reset = math.max(reset, refilled(log, take, take.most))
      end
    end
  end
  answer[3 * index - 2] = fits
  answer[3 * index - 1] = left
  answer[3 * index] = reset
end
return answer
