return { rank = function(t) return t.estimate end }
