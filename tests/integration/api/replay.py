#!/usr/bin/python3
"""replay.py - the shapes of the API: requests in *.http files beside dockerd's recorded answers.

    replay.py check SOCKET FILE...     sends each request to our daemon and compares; "ok"/"not ok" lines as TAP
    replay.py record SOCKET FILE...    sends them to a real dockerd and writes its answers into the files
    replay.py ours SOCKET FILE...      writes our daemon's answers for the blocks that say "# ours:"

The files are read in the order of api.bats against one daemon that has nothing but the image "bb": a busybox made by
make_busybox of lib.bash, imported with "changes=CMD [\"sh\"]".
A block:

    ### a missing container
    GET /v1.45/containers/nope/json
    X-Some-Header: value
    {"a": "JSON body, or @empty, or @text bytes"}
    < 404 application/json
    < {"message":"No such container: nope"}

"<" lines are what dockerd said, normalised: ids, times, addresses and the like become words (WORDS below). Lines before
the request, each "# key: value":

    keep: NAME=.Path.To[0]   remembers a value of the answer; {NAME} in later paths and bodies is replaced by it
    drop: .Path .A.*.B       members that are not compared (removed on both sides)
    type: .Path              only the JSON type is compared
    only: .Path .Other       everything else is dropped
    pick: .Name=value        of a list, only the rows where it holds (a shared machine has others)
    header: Name             the header's value is compared too
    ours: REASON             we differ on purpose: ">" lines after the "<" lines are our answer, as good as dockerd's
    lines: N                 a stream: the first N JSON lines, then the connection is closed
"""
import http.client
import json
import re
import socket
import sys

TIMEOUT_S = 60

# Values that differ from run to run, by how they look ...
WORDS = [
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:DIGEST"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "ID"),
    (re.compile(r"\b(?!0001-01-01)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r"\b172\.(1[6-9]|2\d|3[01])\.\d+\.\d+|\b192\.168\.\d+\.\d+"), "ADDRESS"),
    (re.compile(r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "MAC"),
    (re.compile(r"\b(Up|Exited \(\d+\)|Restarting \(\d+\)) (Less than a second|About a minute|\d+ seconds?|\d+ minutes?)"), r"\1 SPAN"),
    (re.compile(r"\b(?=[0-9]*[a-f])[0-9a-f]{12}\b"), "SHORT"),
]
# ... and by their name, where they are numbers.
NUMBERS = {"Created", "Pid", "Size", "SizeRw", "SizeRootFs", "SharedSize", "VirtualSize", "LayersSize", "time", "timeNano",
           "SpaceReclaimed"}


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("d", timeout=TIMEOUT_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Block:
    def __init__(self, title):
        self.title = title
        self.source = []      # lines as written, without the answers
        self.options = {}
        self.request = None
        self.headers = {}
        self.body = None
        self.docker = []      # "<" lines
        self.ours = []        # ">" lines


def read_blocks(path):
    preamble, blocks = [], []
    for line in open(path, encoding="utf-8").read().splitlines():
        if line.startswith("### "):
            blocks.append(Block(line[4:]))
        elif not blocks:
            preamble.append(line)
        else:
            read_line(blocks[-1], line)
    return preamble, blocks


def read_line(b, line):
    if line.startswith("< "):
        b.docker.append(line[2:])
        return
    if line.startswith("> "):
        b.ours.append(line[2:])
        return
    if not line:
        return
    b.source.append(line)
    if line.startswith("# "):
        key, _, value = line[2:].partition(": ")
        b.options[key] = value
    elif not b.request:
        b.request = line
    elif re.match(r"[A-Za-z-]+: ?", line):
        name, _, value = line.partition(":")
        b.headers[name] = value.strip()
    else:
        b.body = line


def fill(text, kept):
    return re.sub(r"\{(\w+)\}", lambda m: kept.get(m.group(1), m.group(0)), text)


def send(sock, b, kept):
    method, path = fill(b.request, kept).split(" ", 1)
    c = Connection(sock)
    c.putrequest(method, path, skip_accept_encoding=True)
    body = None
    if b.body is not None:
        text = fill(b.body, kept)
        body = b"" if text == "@empty" else (text[6:] if text.startswith("@text ") else text).encode()
        c.putheader("Content-Length", str(len(body)))
        if "Content-Type" not in b.headers:
            c.putheader("Content-Type", "application/json")
    for name, value in b.headers.items():
        if value:
            c.putheader(name, value)
    c.endheaders(body)
    r = c.getresponse()
    if "lines" in b.options:
        data = b"".join(r.readline() for _ in range(int(b.options["lines"])))
    else:
        data = r.read()
    c.close()
    return r, data


# --- paths: .A.B[0].*.C ---

def steps_of(path):
    return re.findall(r"[^.\[\]]+", path)


def get(doc, path):
    for s in steps_of(path):
        doc = doc[int(s)] if isinstance(doc, list) else doc[s]
    return doc


def places(doc, steps):
    """(container, key) for each place that a path names."""
    if not steps or not isinstance(doc, (dict, list)):
        return
    keys = range(len(doc)) if isinstance(doc, list) else list(doc)
    head = steps[0]
    chosen = keys if head == "*" else [k for k in keys if str(k) == head]
    if isinstance(doc, list) and head != "*" and not head.isdigit():
        for item in doc:
            yield from places(item, steps)
        return
    for k in chosen:
        if len(steps) == 1:
            yield doc, k
        else:
            yield from places(doc[k], steps[1:])


def type_word(v):
    names = {dict: "OBJECT", list: "LIST", str: "TEXT", bool: "BOOL", int: "NUMBER", float: "NUMBER", type(None): "NULL"}
    return names[type(v)]


def words(v):
    if isinstance(v, dict):
        out = {}
        for k in sorted(v):
            x = v[k]
            number = k in NUMBERS and isinstance(x, int) and not isinstance(x, bool) and x > 0
            out[words(k)] = "NUMBER" if number else words(x)
        return out
    if isinstance(v, list):
        return [words(x) for x in v]
    if isinstance(v, str):
        for pattern, word in WORDS:
            v = pattern.sub(word, v)
    return v


def normalise(doc, options):
    if "pick" in options and isinstance(doc, list):
        path, _, value = options["pick"].partition("=")
        doc = [row for row in doc if value == str(get(row, path))]
    if "only" in options and "message" not in doc:
        rows = doc if isinstance(doc, list) else [doc]
        rows = [{p: get(row, p) for p in options["only"].split() if has(row, p)} for row in rows]
        doc = rows if isinstance(doc, list) else rows[0]
    for path in options.get("drop", "").split():
        for o, k in list(places(doc, steps_of(path))):
            if isinstance(o, dict):
                del o[k]
    for path in options.get("type", "").split():
        for o, k in list(places(doc, steps_of(path))):
            o[k] = type_word(o[k])
    return words(doc)


def has(doc, path):
    try:
        get(doc, path)
        return True
    except (KeyError, IndexError, TypeError):
        return False


def text_of(doc):
    return json.dumps(doc, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def visible(text):
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def answer_lines(r, data, b):
    kind = r.getheader("Content-Type") or "-"
    lines = [f"{r.status} {kind}"]
    for name in b.options.get("header", "").split():
        lines.append(f"{name}: {r.getheader(name)}")
    text = data.decode(errors="replace")
    for part in text.splitlines():
        if not part.strip():
            continue
        try:
            doc = json.loads(part)
        except ValueError:
            lines.append(visible(words(part)))
        else:
            lines.append(text_of(normalise(doc, b.options) if isinstance(doc, (dict, list)) else doc))
    return lines


def run(sock, b, kept):
    r, data = send(sock, b, kept)
    if "keep" in b.options and r.status < 300:
        for one in b.options["keep"].split():
            name, _, path = one.partition("=")
            kept[name] = str(get(json.loads(data), path))
    return answer_lines(r, data, b)


def difference(wanted, got):
    out = []
    for i in range(max(len(wanted), len(got))):
        w = wanted[i] if i < len(wanted) else "(nothing)"
        g = got[i] if i < len(got) else "(nothing)"
        if w == g:
            continue
        try:
            tree_difference(json.loads(w), json.loads(g), "", out)
        except ValueError:
            out.append(f"wanted {w[:400]}")
            out.append(f"   got {g[:400]}")
    return out


def tree_difference(w, g, at, out):
    if isinstance(w, dict) and isinstance(g, dict):
        for k in sorted(set(w) | set(g)):
            if k not in g:
                out.append(f"{at}.{k}: missing, wanted {text_of(w[k])[:200]}")
            elif k not in w:
                out.append(f"{at}.{k}: not wanted, got {text_of(g[k])[:200]}")
            else:
                tree_difference(w[k], g[k], f"{at}.{k}", out)
    elif isinstance(w, list) and isinstance(g, list) and len(w) == len(g):
        for i, (x, y) in enumerate(zip(w, g)):
            tree_difference(x, y, f"{at}[{i}]", out)
    elif w != g:
        out.append(f"{at}: wanted {text_of(w)[:300]}, got {text_of(g)[:300]}")


def check(sock, path):
    _, blocks = read_blocks(path)
    kept, bad = {}, 0
    for b in blocks:
        try:
            got = run(sock, b, kept)
            wrong = difference(b.docker, got)
            if wrong and b.ours:
                wrong = difference(b.ours, got)
        except (OSError, http.client.HTTPException, KeyError, ValueError, IndexError, TypeError) as e:
            wrong = [f"{type(e).__name__}: {e}"]
        print(f"{'not ok' if wrong else 'ok'} {b.title}")
        if wrong:
            bad += 1
            print(f"#   {b.request}")
        for line in wrong:
            print(f"#   {line}")
    return bad


def record(sock, path, ours=False):
    preamble, blocks = read_blocks(path)
    kept, out = {}, list(preamble)
    for b in blocks:
        lines = run(sock, b, kept)
        if not ours:
            b.docker = lines
        elif "ours" in b.options:
            b.ours = lines if lines != b.docker else []
        out += [f"### {b.title}"] + b.source + [f"< {line}" for line in b.docker] + [f"> {line}" for line in b.ours] + [""]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(out).rstrip("\n") + "\n")
    return 0


def main():
    what, sock = sys.argv[1], sys.argv[2]
    if what == "check":
        bad = sum(check(sock, path) for path in sys.argv[3:])
    else:
        bad = sum(record(sock, path, what == "ours") for path in sys.argv[3:])
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
