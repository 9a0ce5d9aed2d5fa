"""Many runs from one description: which, where, and what became of each."""
