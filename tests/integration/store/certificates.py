"""An authority of a test's own, and what it issues."""

from __future__ import annotations

import subprocess
from pathlib import Path

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """:ivar certificate: whom to believe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate = folder / "ca.pem"
        self._openssl("req", "-x509", *_NEW_KEY, "-subj", "/CN=ca", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem")

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate with this CN, good for both sides on 127.0.0.1, and its key."""
        cert, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        if not cert.exists():
            extensions = self._folder / "extensions"
            extensions.write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
            request = f"{name}.csr"
            self._openssl("req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", key.name, "-out", request)
            issuer = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", extensions.name)
            self._openssl("x509", "-req", "-in", request, "-out", cert.name, *issuer)
        return cert, key

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True, timeout=60)
