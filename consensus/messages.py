"""The protocol's messages: frozen values, one class each, with a signed canonical form."""
