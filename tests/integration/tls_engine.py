#!/usr/bin/env python3
"""tls_engine.py SOCKET DIR - an engine behind TLS, as a dockerd with --tlsverify: what comes is carried to the unix socket.

Makes certificates below DIR first (openssl): ca.pem, other-ca.pem, and cert.pem, key.pem of a client. The port goes to DIR/port.
"""
import os
import select
import socket
import ssl
import subprocess
import sys
import threading

SOCKET, DIR = sys.argv[1:3]


def openssl(*words):
    subprocess.run(["openssl", *words], cwd=DIR, check=True, capture_output=True)


def certificates():
    for ca in ("ca", "other-ca"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={ca}",
                "-keyout", f"{ca}-key.pem", "-out", f"{ca}.pem")
    for name, extra in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
        with open(f"{DIR}/{name}.ext", "w") as f:
            f.write(extra)
        key, cert = (f"{name}-key.pem", f"{name}-cert.pem") if name == "server" else ("key.pem", "cert.pem")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", key,
                "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2",
                "-extfile", f"{name}.ext", "-out", cert)


def carry(client, engine):
    """In one thread: two on one TLS object are not safe."""
    reads = [client, engine]
    while True:
        ready = [client] if client in reads and client.pending() else select.select(reads, [], [])[0]
        if client in ready:
            data = client.recv(65536)
            if data:
                engine.sendall(data)
            else:
                engine.shutdown(socket.SHUT_WR)
                reads.remove(client)
        if engine in ready:
            data = engine.recv(65536)
            if not data:
                return
            client.sendall(data)


def serve(context, plain):
    engine = socket.socket(socket.AF_UNIX)
    try:
        client = context.wrap_socket(plain, server_side=True)
        engine.connect(SOCKET)
        carry(client, engine)
        client.close()
    except OSError:
        plain.close()
    engine.close()


def main():
    certificates()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{DIR}/server-cert.pem", f"{DIR}/server-key.pem")
    context.load_verify_locations(f"{DIR}/ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    with open(f"{DIR}/port.new", "w") as f:
        f.write(str(listener.getsockname()[1]))
    os.rename(f"{DIR}/port.new", f"{DIR}/port")
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=serve, args=(context, plain), daemon=True).start()


main()
