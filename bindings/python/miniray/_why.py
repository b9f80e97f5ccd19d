"""Why a task went where it went, and when, in words: what `miniray why` and util.state.why() say."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

_SHOWN = 5


def _time(ns: float) -> str:
    """ns as people say it: 12 µs, 3.4 ms, 5.25 s."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if abs(ns) >= size:
            return f"{ns / size:.4g} {unit}"
    return f"{ns:g} ns"


def _at(ns: int) -> str:
    return f"{ns / 1e9:.6f} s"


def _task(of: Dict[str, Any]) -> str:
    return f"{of['name'] or 'a task'} ({of['task'].lstrip('0') or '0'})"


def _amount(of: Dict[str, float]) -> str:
    name, amount = next(iter(of.items()))
    return f"{amount / 2**20:.4g} MiB of memory" if name == "memory" else f"{amount:g} {name}"


_BOUND = {
    "node": "it was asked for on this node", "labels": "its labels ask for such a node",
    "group": "its placement group has its room there", "spread": "SPREAD: the next node in turn",
}
# What kept a task from starting when it became ready: `passed` of that decision.
_LACKED = {
    "node": "a node where it may run", "choice": "the policy to choose it", "group": "room in its placement group",
    "travel": "its inputs, which travelled to its node", "process": "a worker process, which was being started",
}


def _lacked(ready: Dict[str, Any]) -> str:
    passed = ready["passed"]
    if passed in _LACKED:
        return _LACKED[passed]
    (name, wanted), had = next(iter(ready["wanted"].items())), next(iter(ready["had"].values()))
    if passed == "room":
        where = f"node {ready['slot']['node']}" if "slot" in ready else "there"
        return f"{_amount(ready['wanted'])}: {where} had {_amount(ready['had'])} free"
    return f"the quota of user {name}: {had:g} of {wanted:g} CPUs were used" if passed == "quota" else f"the limit of {name}: {had:g} of {wanted:g} ran"


def _place(answer: Any) -> str:
    if not answer:
        return "nowhere in particular"
    return f"node {answer['node']}" + (f", slot {answer['slot']}" if "slot" in answer else "")


def _last(decisions: List[Dict[str, Any]], *what: str, before: Optional[int] = None) -> Optional[Dict[str, Any]]:
    return next((d for d in reversed(decisions) if d["what"] in what and (before is None or d["at"] <= before)), None)


class _Story:
    """One task's facts, and the sentences made of them."""

    def __init__(self, told: Dict[str, Any]):
        self.told, self.task = told, told["task"]
        self.policies = told["policies"]
        decisions = [d for d in told["decisions"] if d["of"]["task"] == self.task["task"]]
        ready = next((i for i in range(len(decisions) - 1, -1, -1) if decisions[i]["what"] == "ready"), None)
        self.ready = None if ready is None else decisions[ready]
        self.of_attempt = decisions[ready or 0:]
        self.plan = _last(decisions, "plan")
        self.start = _last(self.of_attempt, "start")
        self.rank = _last(self.of_attempt, "rank")
        self.since = self.ready["at"] if self.ready else self.task["ready_at"]  # of this wait
        self.stops = self.find_stops(told["decisions"])
        self.waits = [d["at"] - before["at"] for before, d in zip(
            [d for d in decisions if d["what"] == "ready"], [d for d in decisions if d["what"] == "start"])]
        self.lines: List[str] = []

    def find_stops(self, decisions: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
        """Each stop of this task, with whose wish it was (`by`), or the slice that was over."""
        out: List[Dict[str, Any]] = []
        by = slice_ = None
        for d in decisions:
            own = d["of"]["task"] == self.task["task"]
            if d["what"] == "preempt" and not own:
                by = d
            elif d["what"] == "slice":
                slice_ = d if d["rank"] is not None and d["rank"] >= 0 else None
            elif d["what"] == "stop":
                out.append({**d, "by": by, "slice": slice_})
            if d["what"] in ("start", "stop") and own:
                by = slice_ = None
        return out

    def policy(self, at: int) -> str:
        """Its name, as it was at work then."""
        names = [one["policy"] for one in self.policies if one["at"] <= at]
        return names[-1] if names else "a policy"

    def line(self, decision: Dict[str, Any]) -> str:
        policy = self.policy(decision["at"])
        return f"{policy}.lua:{decision['line']}" if decision["line"] else policy

    def say(self, head: str, text: str) -> None:
        self.lines.append(f"  {head:<10} {text}")

    def head(self) -> None:
        task = self.task
        state = task["phase"] if task["phase"] != "over" else task["state"]
        attempt = f", attempt {task['attempt']}" if task["attempt"] > 1 else ""
        self.lines.append(f"{task['name']} ({task['task'].lstrip('0')}){attempt}: {state}")
        self.say("submitted", f"at {_at(task['submitted_at'])}")

    def became_ready(self) -> None:
        task = self.task
        if task["ready_at"] < 0:
            self.say("waits for" if task["phase"] != "over" else "waited for", task.get("waits_for") or "its arguments")
            return
        waited = task["ready_at"] - task["submitted_at"]
        later = f", {_time(waited)} later, "
        if task["attempt"] > 1:
            cause = f"{later}for attempt {task['attempt']}"
        elif self.ready and self.ready["answer"]:
            cause = f"{later}when its last argument was there: task {self.ready['answer']['task'].lstrip('0')} had ended"
        elif waited > 100_000 and (not self.ready or self.ready.get("bound") == "args"):
            cause = f"{later}when its last argument was there"
        else:
            cause = ", at once" if waited <= 100_000 else f"{later}when it had been heard of"
        self.say("ready", f"at {_at(task['ready_at'])}{cause}")

    def order(self) -> None:
        if self.rank:
            rank = "unknown, so it comes last" if self.rank["rank"] is None else f"{self.rank['rank']:.10g}"
            self.say("rank", f"{rank}: the answer of {self.line(self.rank)}")
        place = _last(self.of_attempt, "place") or self.plan
        if place:
            verb = "planned for" if place["what"] == "plan" else "placed on"
            self.say("place", f"{verb} {_place(place['answer'])}: the answer of {self.line(place)}")

    def queue(self) -> None:
        task, told = self.task, self.told
        if task["ready_at"] < 0:
            return
        started = task["started_at"] if task["started_at"] >= self.since else None
        until = started if started is not None else told["now"] if task["phase"] != "over" else task["ended_at"]
        over = task["phase"] == "over"
        what = "and never started" if started is None and over else "so far" if started is None else "before it went on" if self.stops else "before it started"
        text = f"{_time(until - self.since)} {what}"
        if len(self.waits) > 1:
            text += f" ({_time(sum(self.waits) + (until - self.since if started is None else 0))} in all)"
        if self.ready and told["before"]:
            text += f"; {told['before']} that were ready before it started meanwhile"
        self.say("waited", text)
        if started is None and task.get("waits_for"):
            self.say("waits for", task["waits_for"])
        elif self.ready and self.ready.get("passed") and until > self.since:
            self.say("waited for", _lacked(self.ready))
        if "nobody" in told and started is None:
            told_nobody = told["nobody"]
            answer = "stop, nobody on any slot" if told_nobody["answer"] is False else "nobody"
            self.say("held", f"at {_at(told_nobody['at'])} {self.line(told_nobody)} chose {answer} for {_place(told_nobody.get('slot'))}")

    def why_overtaken(self, by: Dict[str, Any]) -> str:
        """Why `by`, which became ready later, started first."""
        own = self.rank["rank"] if self.rank else self.ready["entry"] if self.ready else None
        first = by["candidates"][0]["of"]["task"] if by["candidates"] else None
        if by["rank"] is not None and own is not None and by["rank"] < own:
            return f"its rank {by['rank']:.10g} is before {own:.10g}"
        if own is None and by["rank"] is not None:
            return f"its rank {by['rank']:.10g} is known, that of this task is not"
        mine = first == self.task["task"]
        who = "this task" if mine else "what stood first"
        passed = by.get("passed")
        if passed == "room":
            return f"{who} wanted {_amount(by['wanted'])} and node {by['slot']['node']} had {_amount(by['had'])}"
        if passed == "limit":
            return f"{who} had reached the limit of its function or its user's quota"
        if passed == "node":
            return f"{who} may not run on node {by['slot']['node']}"
        place = _last(self.of_attempt, "place") or self.plan
        if place and place["answer"]:
            return f"this task waited for {_place(place['answer'])}"
        return f"{self.policy(by['at'])} chose it" if passed == "choice" or passed is None else passed

    def overtaken(self) -> None:
        told = self.told
        for by in told["overtakers"][:_SHOWN]:
            self.say("overtaken", f"by {_task(by['of'])} at {_at(by['at'])}: {self.why_overtaken(by)}")
        if told["overtook"] > _SHOWN:
            self.say("", f"and by {told['overtook'] - _SHOWN} more")

    def stopped(self) -> None:
        """Whose slot it had to give up, and how often its own time was over."""
        slices = [stop for stop in self.stops if not stop["by"]]
        for stop in [stop for stop in self.stops if stop["by"]][-_SHOWN:]:
            by, rank = stop["by"], ""
            if by["rank"] is not None and self.rank and self.rank["rank"] is not None:
                rank = f", rank {by['rank']:.10g} against {self.rank['rank']:.10g}"
            self.say("stopped", f"at {_at(stop['at'])} after {_time(stop['ran'])}: {_task(by['of'])} took its slot{rank}: the answer of {self.line(by)}")
        if slices:
            last = slices[-1]
            slice_ = last["slice"]
            why = f"its slice of {_time(slice_['rank'])} was used up: the answer of {self.line(slice_)}" if slice_ else "why is forgotten"
            when = "" if len(slices) == 1 else f"{len(slices)} times, the last time "
            self.say("stopped", f"{when}at {_at(last['at'])} after {_time(last['ran'])}: {why}")

    def where(self) -> None:
        task, start = self.task, self.start
        if task["started_at"] < 0 or task["started_at"] < self.since:
            return
        pid = f", pid {task['pid']}" if task["pid"] else ""
        where = _place(start["slot"]) if start and "slot" in start else f"node {task['node']}, slot {task['slot']}"
        self.say("started", f"at {_at(task['started_at'])} on {where}{pid}")
        if not start:
            return
        picked = _last(self.of_attempt, "pick", before=start["at"])
        placed = _last(self.of_attempt, "place") or self.plan
        freed, taken = self.told.get("freed"), _last(self.of_attempt, "preempt", before=start["at"])
        if taken and taken["answer"] and freed and freed["of"]["task"] == taken["answer"]["task"]:
            why = f"it took the slot of {_task(taken['answer'])}: the answer of {self.line(taken)}"
        elif picked and picked.get("slot") == start.get("slot"):
            first = picked["candidates"]
            count = f" among {picked['ready']} that were ready" if picked["ready"] > 1 else ""
            order = "" if not first or first[0]["of"]["task"] == task["task"] else f"; first in order was {_task(first[0]['of'])}"
            why = f"{self.line(picked)} chose it for this slot{count}{order}"
        elif placed and placed["answer"]:
            why = f"{self.line(placed)} named {_place(placed['answer'])}"
        elif start.get("bound") in _BOUND:
            why = _BOUND[start["bound"]]
        elif freed and self.ready and freed["at"] >= self.ready["at"]:
            own = freed["of"]["task"] == task["task"]
            why = "nobody stood before it when it was stopped, so it went on" if own else \
                f"this slot was the first to be free: {_task(freed['of'])} had {'ended' if freed['what'] == 'end' else 'been stopped'} there"
            if not own and self.ready.get("passed") in ("quota", "limit"):
                why = "a slot was free when there was room in " + _lacked(self.ready).partition(":")[0]
        else:
            why = "the first slot that was idle"
        self.say("why there", why)

    def text(self) -> str:
        self.head()
        self.became_ready()
        self.order()
        self.queue()
        self.stopped()
        self.overtaken()
        self.where()
        if self.task["ended_at"] >= 0:
            error = self.task.get("error", {}).get("text", "").splitlines()
            self.say("ended", f"at {_at(self.task['ended_at'])}, {self.task['state']}" + (f": {error[0]}" if error else ""))
        if not self.told["explain"]:
            self.lines.append("Who overtook it and why is not recorded: set [sched] explain = true (MINIRAY_SCHED_EXPLAIN=1).")
        elif not self.ready and self.task["ready_at"] >= 0:
            self.lines.append(f"Decisions from before {_at(max(0, self.told['since']))} are forgotten, this task's among them.")
        return "\n".join(self.lines)


def words(told: Dict[str, Any]) -> str:
    """The table "why TASK" of the core as text, one fact a line."""
    return _Story(told).text()
