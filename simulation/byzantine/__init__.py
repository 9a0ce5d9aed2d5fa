"""Byzantine members: what a validator that lies can do with its own key, as seeded behaviors that can be mixed.

A liar's node is correct and does not know; `liar.Liar` stands between it and the network. The same behaviors serve
whole nodes (`member`) and bare replicas (`simulation.mutants`). Nobody can sign for another member.
"""
