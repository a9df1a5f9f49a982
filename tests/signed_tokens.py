"""Tokens of etcd that are signed: they end after a while however often they are used, and with any change of roles."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def signed_tokens(folder: Path, *, life: int) -> str:
    """An argument for etcd, whose keys stand in this folder from now on. :param life: of a token, in seconds."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / "token.key", folder / "token.pub"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return f"--auth-token=jwt,pub-key={public},priv-key={private},sign-method=ES256,ttl={life}s"
