-- Graham's list: by order of submission, whenever each became ready.
-- Good: any list is within 2 - 1/m of the best makespan on m equal slots.  Bad: it can get slower with more slots or less
-- work; these are the anomalies that the paper is about.
-- Source: Graham, Bounds for certain multiprocessing anomalies (1966).
return { rank = function(t) return t.seq end }
