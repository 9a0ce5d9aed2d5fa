"""Is A different from B? Interleaved runs, a noise floor, and "no difference" unless the runs show one."""
