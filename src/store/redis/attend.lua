-- Makes known that a replica is there, or no more, and answers how many are.
--
-- KEYS[1]: a sorted set of the replicas by the milliseconds at which they were last heard of.
-- ARGV[1]: the name of the replica. ARGV[2]: 1 when it is there, 0 when it goes.
local KEPT, TTL = 5000, 10000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] == '1' then
  redis.call('ZADD', KEYS[1], now, ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - KEPT)
-- What is of later was heard of before the clock stepped back.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
redis.call('PEXPIRE', KEYS[1], TTL)
return redis.call('ZCARD', KEYS[1])
