"""Builds of dockerfiles/* give what BuildKit gives: the recorded configuration and files.

    build_same.py BUILD                                       replay against our daemon (no docker needed)
    build_same.py --record SOCKET BUILDX [NAME...]            record again from a dockerd with BuildKit (buildx is its plugin)

Each NAME.Dockerfile is built with the context that context() makes, and has NAME.json beside it: the configuration as `docker
image inspect` has it, and what the layers above the base come to, path by path: "type mode uid gid size-or-target digest". A
comment "# build: ..." in the Dockerfile gives options of `docker build`; NAME.Dockerfile.dockerignore is what it says. "error"
in NAME.json: the reference refuses it, in these words, and we do in words of our own.
"""
import concurrent.futures
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import unittest
import urllib.parse

RECORD = sys.argv[1:2] == ["--record"]
RECORD_ARGS = sys.argv[2:] if RECORD else []
if RECORD:
    del sys.argv[1:]

from build_lib import Daemon, UnixConnection, make_base  # pylint: disable=wrong-import-position

HERE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "dockerfiles")
BASE = "lang-base:1"
CONFIG = ("Env", "Cmd", "Entrypoint", "User", "WorkingDir", "Labels", "ExposedPorts", "Volumes", "Healthcheck", "Shell", "StopSignal",
          "OnBuild")

MOUNT_POINTS = ("dev", "proc", "sys")  # BuildKit leaves those that it makes in a bare image, we do not

# Where we differ on purpose: what to put in place of the recorded (None: it is not there), or that we refuse, and why.
DIFFERENT = {
    # packed without the program xz on the daemon's PATH; ours is built in
    "add-xz": {"files": {"x/t.tar.xz": None, "x/m": "d 751 7 8", "x/m/f": "f 640 7 8 7 9a630df58958 = x/m/h",
                         "x/m/h": "f 640 7 8 7 9a630df58958 = x/m/f", "x/m/l": "l 777 0 0 f", "x/m/suid": "f 4755 0 0 2 cbc80bb5c0c0"}},
    # later BuildKits, too, see the arguments of one ARG one after another
    "arg-scopes": {"config": {"Labels": {"g": "global", "h": "given", "i": "global-i", "j": "j", "k": "jglobal", "none": ""}}},
    "copy-chmod-bad": {"error": "invalid chmod parameter: '99'"},  # later BuildKits refuse it, too
    "copy-chown-unknown": {"error": "unable to find user nobody2"},  # root silently: nobody wants that
    # as the classic builder: a directory takes the place of a file that another source brought
    "copy-dirs-clash": {"files": {"x": "d 755 0 0", "x/a": "d 777 0 0", "x/a/b": "d 755 0 0", "x/a/b/f": "f 644 0 0 11 c853d710a337",
                                  "x/b": "f 600 0 0 6 ab385d83ab15", "x/in": "l 777 0 0 a", "x/sub": "d 700 0 0",
                                  "x/sub/c": "f 755 0 0 10 901804a335e4", "x/sub/d.log": "f 644 0 0 14 132e2c10bb6b",
                                  "x/up": "l 777 0 0 ../file"},
                        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}},
    "copy-unset-source": {"error": "a source is empty"},  # the whole context, which nobody asked for
    "copy-fifo": {"files": {"s": None, "s/sock": None}},  # a socket says nothing in an image; BuildKit makes an empty file of it
    "copy-root": {"files": {"sock": None}},
    "copy-several-new": {"error": "the destination must be a directory and end with a /"},  # they overwrite each other: a mistake
    "workdir": {"config": {"WorkingDir": "/w/q"}},  # "/w/z/../q" is no name for a directory
}


# --- what is built ---

def packed(mode, entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data, attributes in entries:
            info = tarfile.TarInfo(name)
            for key, value in attributes.items():
                setattr(info, key, value)
            info.size = len(data or b"")
            archive.addfile(info, io.BytesIO(data or b""))
    return out.getvalue()


MEMBERS = (("m", None, {"type": tarfile.DIRTYPE, "mode": 0o751, "uid": 7, "gid": 8}),
           ("m/f", b"member\n", {"mode": 0o640, "uid": 7, "gid": 8}),
           ("m/suid", b"s\n", {"mode": 0o4755}),
           ("m/l", None, {"type": tarfile.SYMTYPE, "linkname": "f"}),
           ("m/h", None, {"type": tarfile.LNKTYPE, "linkname": "m/f", "mode": 0o640, "uid": 7, "gid": 8}))

# cap_net_bind_service=ep, and an attribute of a user's
CAPABLE = (("able", b"x\n", {"mode": 0o755, "pax_headers": {
    "SCHILY.xattr.security.capability": "\x01\0\0\x02\0\x04\0\0" + "\0" * 12, "SCHILY.xattr.user.mine": "1"}}),)

FILES = {"file": 0o644, "exec": 0o755, "setuid": 0o4755, "secret": 0o600, "dir/a": 0o644, "dir/b": 0o600, "dir/sub/c": 0o755,
         "dir/sub/d.log": 0o644, "deep/a/b/f": 0o644, "x/y/z.txt": 0o644, "x/y/w.log": 0o644, "x/v.txt": 0o644, "wild/1.txt": 0o644,
         "wild/2.txt": 0o600, "wild/3.log": 0o644, "names/a b": 0o644, "names/c[d]": 0o644, "names/$v": 0o644, "hard/one": 0o644,
         "not.tar": 0o644, ".hidden": 0o644, "sbin/tool": 0o755}
DIRS = {"dir": 0o750, "dir/sub": 0o700, "empty": 0o711, "deep/a": 0o777}
LINKS = {"link": "file", "linkdir": "dir", "abs": "/dir/a", "out": "../../../file", "broken": "nowhere", "dir/up": "../file",
         "dir/in": "a"}


def context(top):
    for name, mode in FILES.items():
        path = os.path.join(top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(name + "\n")
        os.chmod(path, mode)
    for name, mode in DIRS.items():
        os.makedirs(os.path.join(top, name), exist_ok=True)
        os.chmod(os.path.join(top, name), mode)
    for name, target in LINKS.items():
        os.symlink(target, os.path.join(top, name))
    os.link(top + "/hard/one", top + "/hard/two")
    os.mkfifo(top + "/fifo", 0o640)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(top + "/sock")
    os.makedirs(top + "/tars")
    for name, mode in (("t.tar", "w"), ("t.tar.gz", "w:gz"), ("t.tar.bz2", "w:bz2"), ("t.tar.xz", "w:xz")):
        with open(os.path.join(top, "tars", name), "wb") as f:
            f.write(packed(mode, MEMBERS))
    with open(top + "/tars/able.tar", "wb") as f:
        f.write(packed("w", CAPABLE))
    with open(top + "/tars/empty.tar", "wb") as f:
        f.write(packed("w", ()))


def names():
    return sorted(n[:-len(".Dockerfile")] for n in os.listdir(HERE) if n.endswith(".Dockerfile"))


def dockerfile(name):
    with open(os.path.join(HERE, name + ".Dockerfile"), encoding="utf-8", newline="") as f:
        text = f.read()
    options = [line[len("# build: "):] for line in text.splitlines() if line.startswith("# build: ")]
    return text, [word for line in options for word in line.split()]


def recorded(name):
    with open(os.path.join(HERE, name + ".json"), encoding="utf-8") as f:
        return json.load(f)


# --- what came of it ---

def describe(archive, member):
    kind = {tarfile.REGTYPE: "f", tarfile.AREGTYPE: "f", tarfile.LNKTYPE: "h", tarfile.SYMTYPE: "l", tarfile.DIRTYPE: "d",
            tarfile.FIFOTYPE: "p", tarfile.CHRTYPE: "c"}.get(member.type, "?")
    text = f"{kind} {member.mode & 0o7777:o} {member.uid} {member.gid}"
    if kind in "lh":
        return f"{text} {member.linkname.lstrip('/') if kind == 'h' else member.linkname}"
    if kind == "f":
        data = archive.extractfile(member).read()
        packed_by = member.name.endswith((".gz", ".bz2", ".xz"))  # whose bytes are those of a library's version
        text += "" if packed_by else f" {member.size} {hashlib.sha256(data).hexdigest()[:12]}"
    for key in sorted(member.pax_headers):
        if key.startswith("SCHILY.xattr."):
            text += f" {key[len('SCHILY.xattr.'):]}"
    return text


def linked(files):
    """Which of several names an archive calls the first is nobody's business: each says what it is and all its names."""
    groups = {}
    for path, text in files.items():
        if text.startswith("h "):
            groups.setdefault(text.split(" ", 4)[4], []).append(path)
    for first, others in groups.items():
        own = files.get(first)
        together = sorted([first, *others])
        for path in together:
            if own:
                files[path] = own + " = " + " ".join(p for p in together if p != path)
    return files


def merged(saved, skip):
    """What the layers above the first `skip` come to: {path: description}, "-" for what they take away."""
    files = {}
    with tarfile.open(fileobj=io.BytesIO(saved)) as image:
        manifest = json.load(image.extractfile("manifest.json"))[0]
        for layer in (manifest["Layers"] or [])[skip:]:
            with tarfile.open(fileobj=io.BytesIO(image.extractfile(layer).read())) as archive:
                own = {}
                for member in archive:
                    path = member.name.strip("/")
                    path = path[2:] if path.startswith("./") else path
                    parent, _, last = path.rpartition("/")
                    gone = os.path.join(parent, last[4:]) if last.startswith(".wh.") else None
                    if path in ("", ".") or last.startswith(".wh..wh."):
                        continue
                    if gone:
                        for old in [p for p in files if p == gone or p.startswith(gone + "/")]:
                            del files[old]
                        own[gone] = "-"
                    else:
                        own[path] = describe(archive, member)
                files.update(own)
    return dict(sorted(linked(files).items()))


def ask(path, method, target, body=None, headers=None):
    connection = UnixConnection(path)
    connection.request(method, target, body, headers or {})
    answer = connection.getresponse()
    result = answer.status, answer.read()
    connection.close()
    return result


def result_of(path, tag, scratch):
    status, text = ask(path, "GET", f"/images/{urllib.parse.quote(tag, safe='')}/json")
    assert status == 200, text
    config = json.loads(text)["Config"]
    status, saved = ask(path, "GET", f"/images/{urllib.parse.quote(tag, safe='')}/get")
    empty = status != 200 and b"empty export" in saved  # an image without layers, which dockerd does not save
    assert empty or status == 200, saved[:300]
    files = {} if empty else merged(saved, 0 if scratch else 1)
    return {"config": {k: config[k] for k in CONFIG if config.get(k)}, "files": files}


def from_scratch(text):
    last = [line for line in text.splitlines() if line.upper().startswith("FROM ")][-1]
    return last.split()[1] == "scratch"


# --- the reference ---

def record(path, buildx, wanted):
    top = tempfile.mkdtemp(prefix="lang-record.")
    env = {**os.environ, "DOCKER_HOST": "unix://" + path, "BUILDKIT_PROGRESS": "plain", "HOME": top}
    context(os.path.join(top, "c"))
    base = make_base(top, folders=MOUNT_POINTS)
    subprocess.run(["docker", "import", base, BASE], env=env, check=True, stdout=subprocess.DEVNULL)
    for name in wanted or names():
        text, options = dockerfile(name)
        tag = "lang-same:" + name
        done = subprocess.run([buildx, "build", "--provenance=false", "-t", tag, "-f", os.path.join(HERE, name + ".Dockerfile"), *options,
                               os.path.join(top, "c")], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            result = {"error": done.stdout.strip().splitlines()[-1]}
        else:
            result = result_of(path, tag, from_scratch(text))
            subprocess.run(["docker", "image", "rm", tag], env=env, check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(HERE, name + ".json"), "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
            f.write("\n")
        print(name, result.get("error", ""))
    subprocess.run(["docker", "image", "rm", BASE], env=env, check=False, stdout=subprocess.DEVNULL)
    shutil.rmtree(top)


# --- ours ---

def context_tar(top, name):
    """The context as the docker CLI sends it, with the Dockerfile and its ignore file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for entry in sorted(os.listdir(top)):
            if entry != "sock":
                archive.add(os.path.join(top, entry), entry)
        for suffix in (".Dockerfile", ".Dockerfile.dockerignore"):
            if os.path.exists(os.path.join(HERE, name + suffix)):
                archive.add(os.path.join(HERE, name + suffix), name + suffix)
    return out.getvalue()


def query_of(options):
    query, args, labels = {}, {}, {}
    for option in options:
        key, _, value = option.lstrip("-").partition("=")
        name, _, text = value.partition("=")
        if key == "build-arg":
            args[name] = text
        elif key == "label":
            labels[name] = text
        else:
            query[key] = value
    return {**query, "buildargs": json.dumps(args), "labels": json.dumps(labels)}


class Same(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon()
        cls.addClassCleanup(cls.daemon.close)
        cls.top = tempfile.mkdtemp(prefix="wherry-context.")
        cls.addClassCleanup(shutil.rmtree, cls.top)
        context(os.path.join(cls.top, "c"))
        with open(make_base(cls.top, folders=MOUNT_POINTS), "rb") as f:
            status, text = ask(cls.daemon.socket, "POST", "/images/create?fromSrc=-&repo=lang-base&tag=1", f.read())
        assert status == 200, text

    def build(self, name):
        text, options = dockerfile(name)
        query = urllib.parse.urlencode({"t": "same:" + name, "dockerfile": name + ".Dockerfile", "rm": "1", **query_of(options)})
        status, answer = ask(self.daemon.socket, "POST", "/build?" + query, context_tar(os.path.join(self.top, "c"), name),
                             {"Content-Type": "application/x-tar"})
        answer = answer.decode()
        if status != 200 or '"errorDetail"' in answer:
            return {"error": answer.strip().splitlines()[-1]}
        result = result_of(self.daemon.socket, "same:" + name, from_scratch(text))
        for own in (name + ".Dockerfile", name + ".Dockerfile.dockerignore"):  # which the reference had from elsewhere
            result["files"].pop(own, None)
        return result

    def check(self, name, got):
        want = recorded(name)
        patch = DIFFERENT.get(name, {})
        if "error" in patch or ("error" in want and "files" not in patch):
            self.assertIn("error", got)
            self.assertIn(patch.get("error", ""), got["error"])
            return
        for part in ("config", "files"):
            want.setdefault(part, {}).update(patch.get(part, {}))
            want[part] = {k: v for k, v in want[part].items() if v is not None}
        want.pop("error", None)
        self.maxDiff = None
        self.assertEqual(got, want)

    def test_all(self):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = dict(zip(names(), pool.map(self.build, names())))
        self.assertGreater(len(results), 100)
        for name, got in results.items():
            with self.subTest(name):
                self.check(name, got)


if __name__ == "__main__":
    if RECORD:
        record(RECORD_ARGS[0], RECORD_ARGS[1], RECORD_ARGS[2:])
    else:
        unittest.main()
