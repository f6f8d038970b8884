"""Signatures of statements: Ed25519 (RFC 8032) over the bytes of a file, 64 bytes beside it.

Any tool can verify them: `openssl pkeyutl -verify -pubin -inkey KEY.pub -rawin -in chain.json -sigfile chain.sig`.
The same file and key give the same signature.
"""

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from salesops.problems import BadInput

KEY = "SALESOPS_SIGNING_KEY"  # the path of the file with the private key
LARGEST = 10_000  # bytes of a file with a key
NEW = "`salesops signing-key FILE` makes a pair of keys"


def generate(path: Path) -> Path:
    """Write a new private key, which its owner alone may read, and the public one beside it, `<path>.pub`.

    Returns
    -------
    Path
        Of the public key.

    Raises
    ------
    BadInput
        If one of the files exists already, or cannot be written.
    """
    public_file = path.with_name(f"{path.name}.pub") if path.name else path
    taken = [one for one in (path, public_file) if os.path.lexists(one)]
    if taken:
        raise BadInput("no key was made", [f"{one} exists already; name a file that does not" for one in taken])
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    written = []
    try:
        for target, content, mode in ((path, private, 0o600), (public_file, public, 0o644)):
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            written.append(target)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
    except OSError as error:
        for target in written:
            target.unlink(missing_ok=True)
        raise BadInput("no key was made", [f"{path} cannot be written: {error.strerror}"]) from None
    return public_file


def from_environment() -> Ed25519PrivateKey | None:
    """The private key that `$SALESOPS_SIGNING_KEY` names; None where it names none.

    Raises
    ------
    BadInput
        If the file cannot be used, or others than its owner may read it.
    """
    named = os.environ.get(KEY)
    if not named:
        return None
    what, path = f"the signing key {named} (${KEY}) cannot be used", Path(named)
    content = _read(path, what)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise BadInput(what, [f"others than its owner may read or write it: chmod 600 {path}"])
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except TypeError:
        raise BadInput(what, ["it is locked by a password; write one without, which only its owner can read"]) from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadInput(what, [f"expected a private key as PEM; {NEW}"]) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(what, [f"expected an Ed25519 key; {NEW}"])
    return key


def public(path: Path) -> Ed25519PublicKey:
    """The public key of a file.

    Raises
    ------
    BadInput
        If it holds none.
    """
    what = f"the key {path} cannot be used"
    content = _read(path, what)
    if b"PRIVATE KEY" in content:
        raise BadInput(what, ["it is a private key, which only who signs may have; name the public one (.pub)"])
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise BadInput(what, [f"expected a public key as PEM; {NEW}"]) from None
    if not isinstance(key, Ed25519PublicKey):
        raise BadInput(what, [f"expected an Ed25519 key; {NEW}"])
    return key


def verifies(key: Ed25519PublicKey, content: bytes, signature: bytes) -> bool:
    """Whether the signature is that of the content by the holder of the key."""
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def fingerprint(key: Ed25519PublicKey) -> str:
    """The SHA-256 of the key's 32 bytes, to compare by eye with the one that its holder published."""
    return f"SHA256:{hashlib.sha256(key.public_bytes_raw()).hexdigest()}"


def _read(path: Path, what: str) -> bytes:
    try:
        if not path.is_file():
            raise BadInput(what, ["it is no file" if path.exists() else "there is no such file"])
        with path.open("rb") as stream:
            return stream.read(LARGEST)
    except OSError as error:
        raise BadInput(what, [error.strerror or str(error)]) from None
    except ValueError as error:  # a NUL in the path
        if isinstance(error, BadInput):
            raise
        raise BadInput(what, [str(error)]) from None
