"""Snapshots: the state at one certified height, in pieces that a newcomer checks one by one against that height's
header."""
