return { rank = function(t) return t.deadline end }
