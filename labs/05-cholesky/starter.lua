-- A GPU runs gemm thirty times as fast as a CPU, potrf only three times.  This policy does not know.
-- w.class is "cpu" or "gpu"; cost(t, w) what t takes there; w.busy_until when w is free.
return {
  rank = function(t)
    return t.seq
  end,
}
