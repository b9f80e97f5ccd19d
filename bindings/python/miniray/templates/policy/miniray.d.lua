---@meta
-- Types of a miniray policy, for editors with the Lua language server.  Made by scripts/lua_types.py.
-- Times are ns since the run began; a field that is not known is nil.

---@class Task
---@field id integer
---@field state "waiting"|"ready"|"travelling"|"running"|"stopped"|"over"
---@field seq integer
---@field entry integer|nil nil: it was not ready yet
---@field fn string
---@field user string
---@field priority integer
---@field attempt integer
---@field kind "task"|"actor"|"group"
---@field rank number|nil nil: it was not ready yet
---@field submitted_at integer|nil nil: not submitted yet
---@field ready_at integer|nil nil: it waits for an argument
---@field started_at integer|nil nil: it has not started
---@field deadline integer|nil nil: the user gave none
---@field limit integer|nil nil: the user gave none
---@field estimate integer|nil nil: no estimate yet
---@field n_learned integer
---@field ran integer
---@field remaining integer|nil nil: no estimate yet
---@field bytes integer|nil nil: it was not ready yet
---@field from Slot|nil nil: the driver submitted it
---@field on Slot|Node|nil nil: it has no place yet
---@field needs table<string, number>
---@field labels table<string, string|number|nil>
---@field preds Edge[]
---@field succs Edge[]
---@field n_preds integer
---@field n_succs integer

---@class Slot
---@field id integer
---@field node Node
---@field task Task|nil nil: the slot is idle
---@field idle boolean
---@field load integer
---@field class integer
---@field busy_until integer|nil nil: nothing is known about what it runs

---@class Node
---@field id integer
---@field workers integer
---@field total table<string, number>
---@field free table<string, number>

---@class Edge
---@field task Task|nil nil: it is over
---@field bytes integer
---@field node Node|nil nil: nothing is sealed yet

---@class Policy
---@field rank? fun(t: Task): number?
---@field place? fun(t: Task): Slot|Node|nil
---@field plan? fun(t: Task): Slot|Node|nil
---@field pick? fun(w: Slot): Task|false|nil
---@field slice? fun(t: Task, w: Slot): number?
---@field preempt? fun(t: Task): Task?
---@field submitted? fun(t: Task)
---@field ready? fun(t: Task)
---@field started? fun(t: Task, w: Slot)
---@field stopped? fun(t: Task, w: Slot, ran: integer)
---@field done? fun(t: Task, w: Slot, ran: integer, outcome: string)
---@field dropped? fun(t: Task, why: string)
---@field woken? fun(now: integer)
---@field save? fun(): any
---@field restore? fun(saved: any)

---ns since the run began; stands still during an instant
---@return integer
function now() end

---those that wait in a queue, by rank
---@param queue? Slot|Node
---@return fun(): Task
function ready(queue) end

---what runs; of a task: whom it may stop
---@param of? Task|Slot|Node
---@return fun(): Task
function running(of) end

---the slots; of a task: where it may ever run
---@param of? Task|Node
---@return Slot[]
function workers(of) end

---the nodes; of a task: where it may ever run
---@param of? Task
---@return Node[]
function nodes(of) end

---the first of a queue that can start on w
---@param queue Slot|Node|nil
---@param w Slot
---@return Task?
function first(queue, w) end

---the last of a queue that can start on w
---@param queue Slot|Node|nil
---@param w Slot
---@return Task?
function last(queue, w) end

---whether pick(w) may answer t now
---@param t Task
---@param w Slot
---@return boolean
function can(t, w) end

---ns of t on w; math.huge: never there
---@param t Task
---@param w Slot
---@return number
function cost(t, w) end

---ns of a copy
---@param bytes number
---@param from? Node|Slot
---@param to? Node|Slot
---@return number
function copy(bytes, from, to) end

---bytes of its arguments that are not there
---@param t Task
---@param n Node|Slot
---@return integer
function missing(t, n) end

---asks for woken(now) at a time; the earliest wish counts
---@param at number
function wake(at) end

---rank is asked again after this hook, of t or of all
---@param t? Task
function rerank(t) end

---the one with the smallest f, and that; the first wins
---@generic T
---@param xs T[]|fun(): T
---@param f? fun(x: T): number|false|nil
---@return T?
---@return number?
function least(xs, f) end

---the one with the largest f, and that; the first wins
---@generic T
---@param xs T[]|fun(): T
---@param f? fun(x: T): number|false|nil
---@return T?
---@return number?
function most(xs, f) end

---the sum of f
---@generic T
---@param xs T[]|fun(): T
---@param f? fun(x: T): number|false|nil
---@return number
function sum(xs, f) end

---a microsecond, a millisecond, a second, in ns
us, ms, s = 1000, 1000000, 1000000000

---the other keys of [sched.sched-lua]: numbers, durations in ns, booleans, text
---@type table<string, any>
conf = {}

-- Of Lua's own library:
---@alias Library "assert"|"error"|"ipairs"|"math.abs"|"math.acos"|"math.asin"|"math.atan"|"math.ceil"|"math.cos"|"math.deg"|"math.exp"|"math.floor"|"math.fmod"|"math.huge"|"math.log"|"math.max"|"math.maxinteger"|"math.min"|"math.mininteger"|"math.modf"|"math.pi"|"math.rad"|"math.random"|"math.sin"|"math.sqrt"|"math.tan"|"math.tointeger"|"math.type"|"math.ult"|"pairs"|"pcall"|"print"|"select"|"string.byte"|"string.char"|"string.format"|"string.len"|"string.lower"|"string.rep"|"string.reverse"|"string.sub"|"string.upper"|"table.concat"|"table.insert"|"table.pack"|"table.remove"|"table.sort"|"table.unpack"|"tonumber"|"tostring"|"type"
-- next is not available: use pairs, or keep a count
-- os is not available: there is no clock but now()
-- io is not available: a policy can not reach files; print goes to the log
-- debug is not available: it is not available to a policy
-- require is not available: a policy is one file
-- load is not available: a policy can not make code
-- dofile is not available: a policy is one file
-- coroutine is not available: a budget can not hold it; use a table
-- setmetatable is not available: a budget can not hold metamethods; use functions
-- getmetatable is not available: a budget can not hold metamethods; use functions
-- xpcall is not available: its handler would run after a kill; use pcall
-- collectgarbage is not available: memory is looked after
-- rawget is not available: there are no metatables: t[k]
-- utf8 is not available: it is not available to a policy
