"""License terms as policies of the Open Digital Rights Language (W3C ODRL 2.2, JSON-LD), and back.

`to_odrl` loses nothing under our profile. `from_odrl` takes plain ODRL as far as it maps and refuses the rest by place
and reason. See docs/spec/odrl.md.
"""

from guildmark.odrl.exporting import asset_iri, party_iri, to_odrl
from guildmark.odrl.importing import from_odrl, read_odrl

__all__ = ["asset_iri", "from_odrl", "party_iri", "read_odrl", "to_odrl"]
