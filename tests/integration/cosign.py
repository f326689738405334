#!/usr/bin/env python3
"""cosign.py HOST:PORT REPOSITORY DIGEST KEY.pem [OPTION...] - pushes a signature of an image as cosign does with a key.

  --reference NAME  the repository that is signed for (default HOST:PORT/REPOSITORY)
  --claim DIGEST    the image that is signed (default DIGEST)
  --type TEXT       the payload's type
  --tamper          the payload is changed after it was signed
  --add             beside the signatures that are there
Keys by openssl: EC, RSA, Ed25519.
"""
import argparse, base64, hashlib, json, subprocess, tempfile, urllib.error, urllib.request

p = argparse.ArgumentParser()
for name in ("host", "repository", "digest", "key"):
    p.add_argument(name)
p.add_argument("--reference")
p.add_argument("--claim")
p.add_argument("--type", default="cosign container image signature")
p.add_argument("--tamper", action="store_true")
p.add_argument("--add", action="store_true")
o = p.parse_args()
base = f"http://{o.host}/v2/{o.repository}"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.dev.cosign.simplesigning.v1+json"


def send(method, url, data=None, kind="application/octet-stream"):
    q = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind, "Accept": MANIFEST})
    return urllib.request.urlopen(q)


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def push_blob(data):
    where = send("POST", f"{base}/blobs/uploads/").headers["Location"]
    send("PUT", where + ("&" if "?" in where else "?") + "digest=" + sha256(data), data)
    return {"digest": sha256(data), "size": len(data)}


def sign(data):
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        kind = subprocess.run(["openssl", "pkey", "-in", o.key, "-noout", "-text"], check=True, capture_output=True, text=True).stdout
        if "ED25519" in kind.upper():
            command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", o.key, "-in", f.name]
        else:
            command = ["openssl", "dgst", "-sha256", "-sign", o.key, f.name]
        return subprocess.run(command, check=True, capture_output=True).stdout


payload = {"critical": {"identity": {"docker-reference": o.reference or f"{o.host}/{o.repository}"},
                        "image": {"docker-manifest-digest": o.claim or o.digest}, "type": o.type}, "optional": None}
text = json.dumps(payload, separators=(",", ":")).encode()
signature = base64.b64encode(sign(text)).decode()
if o.tamper:
    text = text.replace(b'"optional":null', b'"optional":{"x":"y"}')
tag = o.digest.replace(":", "-") + ".sig"
layers = []
if o.add:
    layers = json.load(send("GET", f"{base}/manifests/{tag}"))["layers"]
layers.append(dict(push_blob(text), mediaType=LAYER, annotations={"dev.cosignproject.cosign/signature": signature}))
config = json.dumps({"architecture": "", "config": {}, "os": "", "rootfs": {"type": "layers", "diff_ids": [l["digest"] for l in layers]}})
manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
            "config": dict(push_blob(config.encode()), mediaType="application/vnd.oci.image.config.v1+json"), "layers": layers}
send("PUT", f"{base}/manifests/{tag}", json.dumps(manifest).encode(), MANIFEST)
