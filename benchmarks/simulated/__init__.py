"""The same workloads in virtual time, with processing costs from a real run.

Whole production nodes run; what is simulated is time: processors, disks and links. A result of this room says
`kind = "simulated"` and names its calibration, and is never compared with a real one but to state the error.
"""
