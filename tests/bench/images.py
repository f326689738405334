"""Images for the figures of d: made of this machine's own programs, libraries and documents, so that they compress as images do.

  six      6 layers, 580 MB, about 190 MB as gzip; in a registry on loopback
  archive  1 layer, 170 MB, a docker-archive
"""
import hashlib, json, os, shutil, socket, subprocess, time, urllib.request

# dense and sparse in files by turns, so that the layers are alike
SOURCES = ("/usr/lib/python3", "/usr/lib/x86_64-linux-gnu", "/usr/share/doc", "/usr/bin", "/usr/include", "/usr/lib/gcc", "/usr/share/perl",
           "/usr/lib", "/usr/share")


def files_of(sizes_mb):
    """One list of files for each size; no file is in two."""
    lists, taken, sizes = [[]], 0, list(sizes_mb)
    for source in SOURCES:
        for where, dirs, names in os.walk(source):
            dirs[:] = sorted(d for d in dirs if os.path.join(where, d) not in SOURCES)
            for name in sorted(names):
                path = os.path.join(where, name)
                size = os.lstat(path).st_size
                if size > 2 << 20 or os.path.islink(path):
                    continue
                if taken >= sizes[0] * 1e6:
                    sizes.pop(0)
                    if not sizes:
                        return lists
                    lists.append([])
                    taken = 0
                lists[-1].append(path)
                taken += size
    raise RuntimeError("this machine has too few files for the figures of d")


def digest_of(path):
    with open(path, "rb") as f:
        return "sha256:" + hashlib.file_digest(f, "sha256").hexdigest()


def make_layer(top, files):
    """Returns the paths of its tar and of the same compressed."""
    tar = f"{top}/layer.tar"
    subprocess.run(["tar", "-C", "/", "--sort=name", "-cf", tar, "--null", "-T", "-"], check=True, stderr=subprocess.DEVNULL,
                   input=b"".join(f[1:].encode() + b"\0" for f in files))
    packer = "pigz" if shutil.which("pigz") else "gzip"
    with open(tar + ".gz", "wb") as f:
        subprocess.run([packer, "-6", "-n", "-c", tar], check=True, stdout=f)
    return tar, tar + ".gz"


class Layout:
    """An OCI layout with one image, "docker-archive" beside it on demand."""

    def __init__(self, top, sizes_mb):
        self.dir, self.plain_mb, self.packed_mb, diff_ids, layers = top, 0, 0, [], []
        os.makedirs(f"{top}/blobs/sha256")
        for files in files_of(sizes_mb):
            tar, packed = make_layer(top, files)
            diff_ids.append(digest_of(tar))
            self.plain_mb += os.path.getsize(tar) / 1e6
            self.packed_mb += os.path.getsize(packed) / 1e6
            layers.append(self.keep(packed, "application/vnd.oci.image.layer.v1.tar+gzip"))
            os.unlink(tar)
        config = {"architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "arm"), "os": "linux", "config": {},
                  "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": self.write(config, "application/vnd.oci.image.config.v1+json"), "layers": layers}
        top_entry = self.write(manifest, manifest["mediaType"]) | {"annotations": {"org.opencontainers.image.ref.name": "i"}}
        self.save("index.json", {"schemaVersion": 2, "manifests": [top_entry]})
        self.save("oci-layout", {"imageLayoutVersion": "1.0.0"})

    def keep(self, path, media):
        found = {"mediaType": media, "digest": digest_of(path), "size": os.path.getsize(path)}
        os.rename(path, f"{self.dir}/blobs/sha256/{found['digest'][7:]}")
        return found

    def save(self, name, doc):
        with open(f"{self.dir}/{name}", "w") as f:
            json.dump(doc, f)

    def write(self, doc, media):
        self.save("doc", doc)
        return self.keep(f"{self.dir}/doc", media)

    def copy(self, *to):
        subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{self.dir}:i", *to], check=True)


class Registry:
    """docker-registry on a free port of loopback."""

    def __init__(self, top):
        os.makedirs(top)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % s.getsockname()[1]
        with open(f"{top}/registry.yml", "w") as f:
            f.write("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
                    f"storage: {{filesystem: {{rootdirectory: {top}/data}}, delete: {{enabled: true}}}}\nhttp: {{addr: \"{self.address}\"}}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", f"{top}/registry.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://{self.address}/v2/").close()
                return
            except OSError:
                time.sleep(0.05)
        self.close()
        raise RuntimeError("docker-registry does not answer")

    def close(self):
        self.process.terminate()
        self.process.wait()
