-- First fit: whatever fits starts.  The machine is full, and a job as wide as the machine waits for ever.
return {
  pick = function(w)
    return first(nil, w)
  end,
}
