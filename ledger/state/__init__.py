"""The state: flat records, the tree that commits to them, proofs."""
