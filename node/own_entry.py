"""What the genesis file says of this node itself: where it listens, and with which keys."""

from __future__ import annotations

import base64

from ledger.genesis import Genesis
from node.failures import ConfigurationError, KeyFileError
from node.keys import NodeKeys
from primitives.identifiers import key_to_text


def own_address(genesis: Genesis, keys: NodeKeys) -> str:
    """Return where the genesis file says that this node listens.

    Raises:
        ConfigurationError: it does not.
    """
    for validator in genesis.validators:
        if validator.node_id == keys.node_id:
            return validator.address
    raise ConfigurationError(
        f"genesis.json names no validator {keys.node_id}, which is the node of these keys; a node that joins later "
        "needs p2p.listen in node.toml"
    )


def check_own_entry(genesis: Genesis, keys: NodeKeys) -> None:
    """Refuse to begin the ledger with keys that the genesis contradicts; later the ledger says who has which.

    Raises:
        KeyFileError: the genesis names other keys than the directory holds.
    """
    for validator in genesis.validators:
        if validator.node_id != keys.node_id:
            continue
        if validator.signing_key != key_to_text(keys.signing_key.public_key):
            raise KeyFileError(f"keys/signing.key is not the key that the genesis file names for {keys.node_id}")
        if base64.b64decode(validator.tls_certificate) != keys.tls_certificate_der:
            raise KeyFileError(f"keys/tls.crt is not the certificate that the genesis file names for {keys.node_id}")
