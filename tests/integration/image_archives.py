#!/usr/bin/env python3
"""image_archives.py COMMAND ... - archives and listings for image.sh, written byte by byte so that they can be wrong.

  layers DIR          layer tars that attack, DIR/NAME.tar
  save OUT LAYER...   a `docker save` archive of one image; options before OUT:
                        --tag NAME        --order last|first|links|legacy     --gzip|--zstd (the layers)
                        --bad-diff-id     --short (one layer fewer than the configuration says)
                        --no-config
  layout OUT LAYER...  the same as an OCI layout with an index of platforms; also --bad-blob, and
                        --attest (provenance as buildx adds it)  --docker (buildx's type=docker, with manifest.json too)
  list [--ns] DIR     every file of a tree with all that a layer can say about it, sorted; times in seconds or nanoseconds
  corrupt FILE OFFSET  flips a byte
"""
import gzip, hashlib, io, json, os, stat, subprocess, sys, tarfile


def digest(data):
    return hashlib.sha256(data).hexdigest()


def entry(name, kind=tarfile.REGTYPE, data=b"", link="", mode=0o644, major=0, minor=0, pax=None, uid=0, gid=0):
    t = tarfile.TarInfo(name)
    t.type, t.linkname, t.mode, t.size = kind, link, mode, len(data)
    t.devmajor, t.devminor, t.uid, t.gid, t.mtime = major, minor, uid, gid, 1500000000
    t.pax_headers = pax or {}
    return t, data


def tar_of(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for info, data in entries:
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


DIR, SYM, HARD, CHR, FIFO = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE


def attacks(outside):
    evil = b"evil\n"
    return {
        # names that climb
        "dotdot": [entry("../escaped", data=evil)],
        "dotdot-deep": [entry("a/b/../../../escaped", data=evil)],
        "absolute": [entry(outside + "/absolute", data=evil)],
        # links, then a write through them
        "symlink-write": [entry("l", SYM, link=outside), entry("l/escaped", data=evil)],
        "symlink-relative": [entry("l", SYM, link="../../../../../../../../../.." + outside), entry("l/escaped", data=evil)],
        "symlink-chain": [entry("a", SYM, link="b"), entry("b", SYM, link="/"), entry("a" + outside + "/escaped", data=evil)],
        "symlink-file": [entry("f", SYM, link=outside + "/secret"), entry("f", data=evil)],
        "symlink-chmod": [entry("d", SYM, link=outside), entry("d", DIR, mode=0o777)],
        "dir-to-symlink": [entry("d", DIR), entry("d/x", data=b"1"), entry("d", SYM, link=outside), entry("d/escaped", data=evil)],
        "parent-replaced": [entry("d/e/f", data=b"1"), entry("d", SYM, link=outside), entry("d/e/escaped", data=evil)],
        # hard links
        "hardlink-outside": [entry("h", HARD, link=outside + "/secret")],
        "hardlink-dotdot": [entry("h", HARD, link="../../../../../../.." + outside + "/secret")],
        "hardlink-via-symlink": [entry("l", SYM, link=outside), entry("h", HARD, link="l/secret"), entry("h", data=evil)],
        "hardlink-to-symlink": [entry("l", SYM, link=outside + "/secret"), entry("h", HARD, link="l"), entry("h", data=evil)],
        "hardlink-dir": [entry("d", DIR), entry("h", HARD, link="d")],
        "hardlink-missing": [entry("h", HARD, link="nothing")],
        "hardlink-chain": [entry("a", SYM, link=outside), entry("b", HARD, link="a"), entry("c", HARD, link="b"), entry("c/escaped", data=evil),
                           entry("d", HARD, link="c/secret"), entry("d", data=evil)],
        "hardlink-self": [entry("h", data=b"1"), entry("h", HARD, link="h")],
        # whiteouts
        "whiteout-dotdot": [entry(".wh...")],
        "whiteout-dot": [entry(".wh..")],
        "whiteout-empty": [entry(".wh.")],
        "whiteout-through-symlink": [entry("l", SYM, link=outside), entry("l/.wh.secret")],
        "opaque-through-symlink": [entry("l", SYM, link=outside), entry("l/.wh..wh..opq")],
        "whiteout-parent-link": [entry("d", SYM, link="/"), entry("d" + outside + "/.wh.secret")],
        # what overlayfs would believe
        "xattr-redirect": [entry("d", DIR, pax={"SCHILY.xattr.trusted.overlay.redirect": outside})],
        "xattr-opaque": [entry("d", DIR, pax={"SCHILY.xattr.trusted.overlay.opaque": "y",
                                              "SCHILY.xattr.user.overlay.opaque": "y"})],
        "fake-whiteout": [entry("w", CHR, major=0, minor=0), entry("w/x", data=evil)],
        # owners that chown(2) takes for "as it is", which is root, or cuts
        "owner-unchanged": [entry("f", uid=0xffffffff, mode=0o4755)],
        "owner-group-unchanged": [entry("d", DIR, gid=0xffffffff)],
        "owner-wraps": [entry("f", uid=1 << 32, mode=0o4755)],
        "owner-negative": [entry("l", SYM, link="x", uid=-1, pax={"uid": "-1"})],
        # types
        "device-write": [entry("n", CHR, major=1, minor=1), entry("n", data=evil), entry("m", CHR, major=1, minor=1), entry("h", HARD, link="m"),
                         entry("h", data=evil), entry("p", FIFO), entry("p", data=evil)],
        "dev-symlink": [entry("dev", SYM, link=outside)],
        "root-symlink": [entry(".", SYM, link=outside), entry("escaped", data=evil)],
        "root-file": [entry("./", tarfile.REGTYPE, data=evil)],
        "through-file": [entry("f", data=b"1"), entry("f/escaped", data=evil)],
        "name-too-long": [entry("x" * 300, data=evil)],
        "nul-name": [entry("a", pax={"path": "a\0b"})],
    }


def make_layers(args):
    where, outside = args
    for name, entries in attacks(outside).items():
        with open(os.path.join(where, name + ".tar"), "wb") as f:
            f.write(tar_of(*entries))


def compress(data, how):
    if how == "gzip":
        return gzip.compress(data, 1, mtime=0)
    if how == "zstd":
        return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def config_of(diff_ids, label=""):
    return json.dumps({
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "arm"), "os": "linux",
        "config": {"Cmd": ["/bin/sh"], "Labels": {"made-for": label or "image.sh"}},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + d for d in diff_ids]},
        "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "image.sh"} for _ in diff_ids],
        "created": "2020-01-01T00:00:00Z"}).encode()


def options(args):
    o = {"tag": [], "order": "last", "compress": "", "flags": set()}
    while args and args[0].startswith("--"):
        word = args.pop(0)[2:]
        if word == "tag":
            o["tag"].append(args.pop(0))
        elif word == "order":
            o["order"] = args.pop(0)
        elif word in ("gzip", "zstd"):
            o["compress"] = word
        else:
            o["flags"].add(word)
    return o


def save(args):
    o = options(args)
    out, layers = args[0], [open(name, "rb").read() for name in args[1:]]
    diff_ids = [digest(data) for data in layers]
    if "bad-diff-id" in o["flags"]:
        diff_ids[-1] = digest(b"something else")
    config = config_of(diff_ids)
    if "short" in o["flags"]:
        layers.pop()
    files, names = [], []
    for i, data in enumerate(layers):
        data = compress(data, o["compress"])
        if o["order"] == "links":  # docker 1.10 to 24: a layer that comes twice is a link
            first = layers.index(layers[i])
            name = "%064x/layer.tar" % i
            files.append(entry("%064x/VERSION" % i, data=b"1.0"))
            files.append(entry("%064x/json" % i, data=b'{"id": "x"}'))
            files.append(entry(name, data=data) if first == i else entry(name, SYM, link="../%064x/layer.tar" % first))
        else:
            name = "blobs/sha256/" + digest(data)
            files.append(entry(name, data=data))
        names.append(name)
    config_name = "blobs/sha256/" + digest(config)
    manifest = entry("manifest.json", data=json.dumps(
        [{"Config": config_name, "RepoTags": o["tag"] or None, "Layers": names}]).encode())
    if "no-config" not in o["flags"]:
        files.append(entry(config_name, data=config))
    files.append(entry("blobs/sha256/" + digest(b"{}"), data=b"{}"))
    files.append(entry("repositories", data=b"{}"))
    files = [manifest] + files if o["order"] == "first" else files + [manifest]
    with open(out, "wb") as f:
        f.write(tar_of(*files))
    print("sha256:" + digest(config))


def layout(args):
    o = options(args)
    out, layers = args[0], [open(name, "rb").read() for name in args[1:]]
    packed = [compress(data, o["compress"]) for data in layers]
    config = config_of([digest(data) for data in layers])
    media = "application/vnd.oci.image.layer.v1.tar" + ("+" + o["compress"] if o["compress"] else "")
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + digest(config), "size": len(config)},
        "layers": [{"mediaType": media, "digest": "sha256:" + digest(p), "size": len(p)} for p in packed]}).encode()
    arch = json.loads(config)["architecture"]
    statement = b'{"_type": "https://in-toto.io/Statement/v0.1", "subject": []}'
    attest_config = json.dumps({"architecture": "unknown", "os": "unknown", "config": {},
                                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(statement)]}}).encode()
    attest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + digest(attest_config), "size": len(attest_config)},
        "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": "sha256:" + digest(statement), "size": len(statement),
                    "annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}}]}).encode()
    index = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + "0" * 64, "size": 7,
             "platform": {"os": "linux", "architecture": "mips"}},
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + digest(manifest),
             "size": len(manifest), "platform": {"os": "linux", "architecture": arch}},
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + digest(attest), "size": len(attest),
             "annotations": {"vnd.docker.reference.digest": "sha256:" + digest(manifest), "vnd.docker.reference.type": "attestation-manifest"},
             "platform": {"os": "unknown", "architecture": "unknown"}}]}).encode()
    top = json.dumps({"schemaVersion": 2, "manifests": [
        {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": "sha256:" + digest(index), "size": len(index),
         "annotations": {"org.opencontainers.image.ref.name": t}} for t in (o["tag"] or ["latest"])]}).encode()
    if "bad-blob" in o["flags"]:
        config = config.replace(b"/bin/sh", b"/bin/zz")
    name = "blobs/sha256/" + json.loads(manifest)["config"]["digest"][7:]
    files = [entry("blobs/sha256/" + digest(p), data=p) for p in packed]
    files += [entry(name, data=config), entry("blobs/sha256/" + digest(manifest), data=manifest),
              entry("blobs/sha256/" + digest(index), data=index), entry("index.json", data=top),
              entry("oci-layout", data=b'{"imageLayoutVersion":"1.0.0"}')]
    if "attest" in o["flags"]:
        files += [entry("blobs/sha256/" + digest(b), data=b) for b in (statement, attest_config, attest)]
    if "docker" in o["flags"]:
        files.append(entry("manifest.json", data=json.dumps([{
            "Config": name, "RepoTags": o["tag"], "Layers": ["blobs/sha256/" + digest(p) for p in packed]}]).encode()))
    with open(out, "wb") as f:
        f.write(tar_of(*files))
    print("sha256:" + digest(config))


def describe(path, nanoseconds):
    s = os.lstat(path)
    kind = stat.S_IFMT(s.st_mode)
    words = ["%06o" % s.st_mode, "%d:%d" % (s.st_uid, s.st_gid), "%d" % (s.st_mtime_ns if nanoseconds else int(s.st_mtime))]
    if kind == stat.S_IFREG:
        words += ["%d" % s.st_size, "links=%d" % s.st_nlink, digest(open(path, "rb").read())[:16]]
    elif kind == stat.S_IFLNK:
        words.append("-> " + os.readlink(path))
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        words.append("%d,%d" % (os.major(s.st_rdev), os.minor(s.st_rdev)))
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        if not name.startswith("user.umoci.") and not name.startswith("user.rootlesscontainers") and name != "trusted.overlay.origin":
            words.append("%s=%s" % (name, os.getxattr(path, name, follow_symlinks=False).hex()))
    return " ".join(words)


def list_tree(args):
    nanoseconds = args[0] == "--ns"
    top, rows = args[-1], []
    for where, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(where, name)
            rows.append("%s %s" % (os.path.relpath(path, top), describe(path, nanoseconds)))
    rows.sort()
    print("\n".join(rows))


def corrupt(args):
    name, offset = args
    with open(name, "r+b") as f:
        f.seek(int(offset), os.SEEK_END if int(offset) < 0 else os.SEEK_SET)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ 0xff]))


if __name__ == "__main__":
    {"layers": make_layers, "save": save, "layout": layout, "list": list_tree, "corrupt": corrupt}[sys.argv[1]](sys.argv[2:])
