"""Caller identity behind Envoy, in each of its modes of forwarding client certificates."""

import subprocess

import grpc
import pytest

import program
from envoy_proxy import envoy, free_port
from service import Service

FLAGS = ["--emulate", "--trust-forwarded-identity", "--log-sample", "1"]
REAL = "spiffe://example.org/real"
VICTIM = "spiffe://example.org/victim"

# The x-forwarded-client-cert header of the client: none, a well-formed element, and an element with an
# unclosed quotation mark that would include the element that Envoy appends.
NOTHING, WELL_FORMED, OPEN_QUOTE = None, f"Hash=1;URI={VICTIM}", f'URI={VICTIM};Subject="'

# The caller identity for each of these headers. In the modes that only forward, the client controls it:
# such a proxy must not be trusted.
MODES = {
    "SANITIZE": (None, None, None),
    "FORWARD_ONLY": (None, VICTIM, None),
    "APPEND_FORWARD": (REAL, REAL, None),
    "SANITIZE_SET": (REAL, REAL, REAL),
    "ALWAYS_FORWARD_ONLY": (None, VICTIM, None),
}


@pytest.mark.parametrize("mode", MODES)
def test_the_caller_is_the_identity_that_envoy_forwards(mode, certificates, tmp_path):
    port = free_port()
    listen = ["--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0"]
    manager = {
        "forward_client_cert_details": mode,
        "set_current_client_cert_details": {"subject": True, "uri": True, "dns": True},
    }
    with (
        program.running("serve", *FLAGS, *listen) as log,
        envoy(
            tmp_path, [port], manager=manager, transport=certificates.transport()
        ) as proxy,
    ):
        log.wait_for("listening")
        proxy.wait_until_healthy([port])
        address = f"localhost:{proxy.port}"
        with grpc.secure_channel(address, certificates.credentials()) as channel:
            service = Service(address, channel)
            for sent, expected in zip((NOTHING, WELL_FORMED, OPEN_QUOTE), MODES[mode]):
                metadata = [("x-forwarded-client-cert", sent)] if sent else []
                service.call("GetGroupInfo", group_id="aaa", metadata=metadata)

                caller = log.wait_for("call")["caller"]
                assert caller == (f"forwarded:{expected}" if expected else "address:127.0.0.1")


class Certificates:
    """A certificate authority, and the certificates of Envoy and of a client, as files in a folder."""

    def __init__(self, folder):
        self._folder = folder
        self._openssl("req", "-x509", *self._key("ca"), "-out", "ca.pem", "-subj", "/CN=authority")
        self._issue("server", "/CN=localhost", "DNS:localhost")
        # The subject has a quotation mark, which Envoy escapes.
        self._issue("client", '/CN=re"al', f"URI:{REAL},DNS:real.example.org")

    def transport(self):
        """Returns the TLS settings of Envoy, which require a client certificate."""
        kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
        return {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": kind,
                "require_client_certificate": True,
                "common_tls_context": {
                    "alpn_protocols": ["h2"],
                    "tls_certificates": [
                        {
                            "certificate_chain": self._file("server.pem"),
                            "private_key": self._file("server.key"),
                        }
                    ],
                    "validation_context": {"trusted_ca": self._file("ca.pem")},
                },
            },
        }

    def credentials(self):
        """Returns the TLS credentials of the client."""
        files = ["ca.pem", "client.key", "client.pem"]
        return grpc.ssl_channel_credentials(*[(self._folder / name).read_bytes() for name in files])

    def _issue(self, name, subject, names):
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        self._openssl("req", *self._key(name), "-out", request, "-subj", subject)
        authority = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
        issued = ["-in", request, "-out", f"{name}.pem", "-extfile", extensions]
        self._openssl("x509", "-req", *authority, *issued)

    def _key(self, name):
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        return [*curve, "-nodes", "-keyout", f"{name}.key"]

    def _file(self, name):
        return {"filename": str(self._folder / name)}

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))
