"""Writes the certificate authorities a Java runtime trusts, in Java's own "JKS" format.

Debian makes this file in a script after the install, which is not run here. Without it Bazel
could download nothing over TLS.
"""

import base64
import hashlib
import re
import struct
from collections.abc import Iterable
from pathlib import Path

_MACHINE = Path("/etc/ssl/certs/ca-certificates.crt")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_PASSWORD = "changeit"  # Java's usual one: the certificates are public


def _utf(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def encode(certificates: Iterable[bytes]) -> bytes:
    """A JKS key store of these DER certificates, each a trusted one."""
    entries = [
        struct.pack(">I", 2)
        + _utf(f"ca{number}")
        + struct.pack(">Q", 0)
        + _utf("X.509")
        + struct.pack(">I", len(der))
        + der
        for number, der in enumerate(certificates)
    ]
    body = struct.pack(">III", 0xFEEDFEED, 2, len(entries)) + b"".join(entries)
    salt = _PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite"
    return body + hashlib.sha1(salt + body).digest()


def write(tree: Path, store: Path) -> None:
    """Writes `store` from the machine's authorities if it has any, else the package's in `tree`."""
    files = (
        [_MACHINE]
        if _MACHINE.exists()
        else sorted((tree / "usr/share/ca-certificates").rglob("*.crt"))
    )
    texts = [file.read_text(errors="replace") for file in files]
    ders = dict.fromkeys(base64.b64decode(m) for text in texts for m in _PEM.findall(text))
    store.unlink(missing_ok=True)
    store.write_bytes(encode(ders))
