#!/usr/bin/env python3
"""`docker build` (the classic call): what steps do. Arguments: meson's build directory, then unittest's own."""
import bz2
import gzip
import hashlib
import http.server
import lzma
import os
import tempfile
import unittest

from build_lib import Case, processes, serve_in, tar_of


class Run(Case):
    def test_shell_exec_form_env_user_and_workdir(self):
        self.build("""FROM base:1
ENV A=1
ARG B=2
WORKDIR /w/x
RUN echo "$A $B $(pwd) $HOME" > /out
USER app
WORKDIR own
RUN ["/bin/sh", "-c", "id -u; id -g; echo $HOME; pwd; touch ok; env > /tmp/env"]
SHELL ["/bin/busybox", "sh", "-ec"]
RUN false; echo never > /tmp/shell
""", ok=False)
        self.build("""FROM base:1
ENV A=1
ARG B=2
WORKDIR /w/x
RUN echo "$A $B $(pwd) $HOME" > /out
USER app
WORKDIR own
RUN ["/bin/sh", "-c", "id -u; id -g; echo $HOME; pwd; touch ok; env > /tmp/env"]
""")
        self.assertEqual(self.show("cat /out; grep -c ^HOSTNAME /tmp/env; stat -c %u:%g /w/x /w/x/own /w/x/own/ok"),
                         "1 2 /w/x /root\n0\n0:0\n1000:1001\n1000:1001\n")

    def test_failure_says_file_line_command_and_code(self):
        got = self.build("FROM base:1\n\nRUN echo before; \\\n  exit 42\nRUN echo never\n", ok=False)
        self.assertEqual(got.returncode, 42)
        self.assertIn("\nbefore\n", got.stdout)
        self.assertNotIn("\nnever", got.stdout)
        self.assertIn("   3 | >>> RUN echo before; \\\n   4 | >>>   exit 42\n   5 |     RUN echo never\n", got.stdout)
        self.assertIn("The command '/bin/sh -c echo before;   exit 42' returned a non-zero code: 42", got.stderr)
        self.assertIn("Dockerfile:3", got.stderr)

    def test_errors_before_the_build_show_the_place(self):
        got = self.build("FROM base:1\nRUN true\nFORM x\n", ok=False)
        self.assertIn("Dockerfile:3: unknown instruction: FORM (did you mean FROM?)\nDockerfile:3\n----", got.stderr)
        self.assertIn("   3 | >>> FORM x\n     |     ^^^^\n", got.stderr)

    def test_checks_warn_and_may_fail_the_build(self):
        text = "FROM base:1 AS A\nUSER $PATHH\nCMD a\n"
        got = self.build(text)
        for words in ("StageNameCasing: Stage name 'A' should be lowercase (line 1)",
                      "UndefinedVar: Usage of undefined variable '$PATHH' (did you mean $PATH?) (line 2)",
                      "JSONArgsRecommended: JSON arguments recommended for CMD"):
            self.assertIn("[Warning] " + words, got.stdout)
        got = self.build("# check=skip=JSONArgsRecommended;error=true\n" + text, ok=False)
        self.assertIn("lint violation found for rules: StageNameCasing, UndefinedVar", got.stderr)
        got = self.build(text, "--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=all")
        self.assertNotIn("StageNameCasing", got.stdout)

    def test_missing_program(self):
        got = self.build('FROM base:1\nRUN ["/no/such"]\n', ok=False)
        self.assertIn("Dockerfile:2", got.stderr)
        self.assertIn("/no/such", got.stderr)

    def test_unknown_user(self):
        got = self.build("FROM base:1\nUSER bob\nRUN true\n", ok=False)
        self.assertIn("Dockerfile:3: unable to find user bob", got.stderr)

    def test_heredocs(self):
        self.build("""FROM base:1
ENV X=env
RUN <<EOF
echo "one $X" > /one
false || echo two >> /one
EOF
RUN <<SCRIPT
#!/bin/awk -f
BEGIN { print "from awk" > "/awk" }
SCRIPT
RUN cat <<A > /a && cat <<-'B' > /b
a $X
A
	b $X
	B
""")
        self.assertEqual(self.show("cat /one /awk /a /b"), "one env\ntwo\nfrom awk\na env\nb $X\n")

    def test_no_mount_points_stay(self):
        self.build("FROM base:1\n"
                   "RUN --mount=type=tmpfs,target=/m/n --mount=type=cache,target=/root/.cache touch /root/.cache/x /m/n/y\n")
        last = self.inspect()["RootFS"]["Layers"][-1].split(":")[1][:24]
        top = self.daemon.data + "/layers/" + last
        tree = sorted(os.path.relpath(os.path.join(r, n), top) for r, d, f in os.walk(top) for n in d + f)
        self.assertEqual([n for n in tree if n not in ("etc", "root")], [])

    def test_what_a_step_writes_to_a_mount_point_stays(self):
        self.build("FROM base:1\nRUN mkdir -p /etc/sub && echo x > /etc/sub/f\nRUN rm -r /var && mkdir /proc2\n")
        self.assertEqual(self.show("cat /etc/sub/f; ls -d /var /proc2 2>&1"),
                         "x\nls: /var: No such file or directory\n/proc2\n")

    def test_cache_mount_is_kept_and_bind_is_read_only(self):
        self.file("in/data", "d\n")
        text = """FROM base:1
RUN --mount=type=cache,target=/c,id=k echo %s >> /c/log; cp /c/log /log
RUN --mount=type=bind,source=in,target=/in cat /in/data > /data; touch /in/x 2>/ro; test ! -e /in/x
RUN --mount=type=bind,source=in,target=/in,rw touch /in/x && ls /in > /rw
RUN --mount=type=cache,target=/c,id=k,sharing=locked --mount=type=cache,target=/p,sharing=private,mode=0711,uid=5 \
    stat -c '%%u %%a' /p > /private; touch /c/x
RUN --mount=type=cache,target=/c,id=k,ro ls /c > /ls; touch /c/no || true
"""
        self.build(text % "one")
        self.build(text % "two")
        self.assertEqual(self.show("cat /log /data /rw /private /ls; grep -c Read-only /ro"),
                         "one\ntwo\nd\ndata\nx\n5 711\nlog\nx\n1\n")
        self.assertEqual(os.listdir(self.context + "/in"), ["data"])

    def test_bind_from_stage(self):
        self.build("""FROM base:1 AS tools
RUN mkdir /opt; echo tool > /opt/t
FROM base:1
RUN --mount=from=tools,source=/opt,target=/o cp /o/t /t
""")
        self.assertEqual(self.show("cat /t; ls -d /o 2>&1"), "tool\nls: /o: No such file or directory\n")

    def test_what_is_not_supported_says_so(self):
        for flag, words in (("--mount=type=secret,id=x", "--mount=type=secret is not supported"),
                            ("--mount=type=ssh", "--mount=type=ssh is not supported"),
                            ("--mount=type=bogus,target=/x", "unsupported mount type 'bogus'"),
                            ("--mount=type=tmpfs,target=/x,bogus=1", "unexpected key 'bogus'"),
                            ("--mount=type=tmpfs", "needs a target"),
                            ("--security=insecure", "--security=insecure is not supported"),
                            ("--network=x", "--network must be default, none or host"),
                            ("--bogus", "unknown flag: --bogus")):
            got = self.build(f"FROM base:1\nRUN {flag} true\n", ok=False)
            self.assertIn("Dockerfile:2: ", got.stderr)
            self.assertIn(words, got.stderr)

    def test_processes_left_behind_end_with_the_step(self):
        self.build("FROM base:1\nRUN setsid sleep 4711 & echo started\n")
        self.assertEqual(processes("sleep 4711"), [])

    def test_networks(self):
        self.build("FROM base:1\nRUN ip addr show eth0 > /n && ping -c1 -W2 172.31.77.1 > /p\n")
        self.assertIn("172.31.77.", self.show("cat /n"))
        self.build("FROM base:1\nRUN --network=none ip addr > /n\n")
        self.assertNotIn("eth0", self.show("cat /n"))
        got = self.build("FROM base:1\nRUN --network=host true\n", ok=False)
        self.assertIn("Dockerfile:2: network.host is not allowed", got.stderr)
        self.build("FROM base:1\nRUN --network=host ip addr | grep -q whb0\n", "--network", "host")
        got = self.build("FROM base:1\nRUN ip addr; cat /etc/hosts\n", "--network", "host", "--add-host", "db:10.1.2.3")
        self.assertIn("whb0", got.stdout)
        self.assertIn("10.1.2.3\tdb\n", got.stdout)
        got = self.build("FROM base:1\nRUN true\n", "--network", "nosuch", "--no-cache", ok=False)
        self.assertIn("nosuch not found", got.stderr)
        self.daemon.docker("network", "create", "--subnet", "172.31.78.0/24", "mine")
        got = self.build("FROM base:1\nRUN ip addr; cat /etc/resolv.conf\n", "--network", "mine", "--no-cache")
        self.daemon.docker("network", "rm", "mine")
        self.assertIn("172.31.78.", got.stdout)
        self.assertIn("nameserver 127.0.0.11", got.stdout)

    def test_output_is_bounded_and_valid(self):
        got = self.build("FROM base:1\nRUN printf 'caf\\303\\251 \\377\\n'; yes 0123456789 | head -c 4000000\n")
        self.assertIn("café \ufffd", got.stdout)
        self.assertIn("output clipped", got.stdout)
        self.assertLess(len(got.stdout), 2200000)

    def test_errors_are_red(self):
        got = self.build("FROM base:1\nRUN echo plain; echo broken >&2\n", "--no-cache")
        self.assertIn("\nplain\n", "\n" + got.stdout.replace("\x1b[91mbroken\n\x1b[0m", ""))
        self.assertIn("\x1b[91mbroken\n\x1b[0m", got.stdout)

    def test_limits_hold_in_each_step(self):
        got = self.build("FROM base:1\nRUN echo $(ulimit -n) $(ulimit -Hn); grep Cpus_allowed_list /proc/self/status\n",
                         "--no-cache", "--ulimit", "nofile=77:88", "--cpuset-cpus", "0")
        self.assertIn("\n77 88\nCpus_allowed_list:\t0\n", got.stdout)
        got = self.build("FROM base:1\nRUN tail /dev/zero\n", "--no-cache", "-m", "10m", ok=False)
        self.assertIn("returned a non-zero code: 137", got.stderr)
        got = self.build("FROM base:1\n", "-m", "1m", ok=False)
        self.assertIn("Minimum memory limit allowed is 6MB", got.stderr)
        got = self.build("FROM base:1\n", "--security-opt", "x=y", ok=False)
        self.assertIn("does not support setting security options on build", got.stderr)
        got = self.build("FROM base:1\n", "--cgroup-parent", "x", ok=False)
        self.assertIn("a cgroup parent for builds is not supported", got.stderr)

    def test_the_step_is_confined(self):
        got = self.build("FROM base:1\nRUN grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/self/status; mknod /d b 8 0 && cat /d;"
                         " echo > /proc/sys/kernel/domainname; mkdir /sys/fs/x; true\n")
        self.assertIn("CapEff:\t00000000a80425fb", got.stdout)
        self.assertIn("Seccomp:\t2", got.stdout)
        self.assertIn("CapInh:\t0000000000000000", got.stdout)
        self.assertIn("can't create /proc/sys/kernel/domainname: Read-only file system", got.stdout)
        self.assertIn("can't create directory '/sys/fs/x': Read-only file system", got.stdout)
        self.assertIn("can't open '/d'", got.stdout)


class Copy(Case):
    def test_files_directories_and_trailing_slashes(self):
        self.file("a.txt", "a\n")
        self.file("b.txt", "b\n", 0o4755)
        self.file("d/x", "x\n")
        self.file("d/sub/y", "y\n")
        os.symlink("x", self.context + "/d/link")
        self.build("""FROM base:1
WORKDIR /w
COPY a.txt renamed
COPY a.txt b.txt into/
COPY d /d1
COPY d/ /d2/
COPY *.txt /glob/
COPY ["a.txt", "with space"]
COPY d/s* /sub/
COPY d/link /followed
COPY nothing* /nothing/
""")
        self.assertEqual(self.show("cd /w; cat renamed 'with space'; find . /d1 /d2 /glob /sub /followed | sort; "
                                   "stat -c %a into/b.txt; readlink /d1/link; cat /followed; ls /nothing 2>&1"),
                         "a\na\n.\n./into\n./into/a.txt\n./into/b.txt\n./renamed\n./with space\n/d1\n/d1/link\n/d1/sub\n"
                         "/d1/sub/y\n/d1/x\n/d2\n/d2/link\n/d2/sub\n/d2/sub/y\n/d2/x\n/followed\n/glob\n/glob/a.txt\n"
                         "/glob/b.txt\n/sub\n/sub/y\n4755\nx\nx\nls: /nothing: No such file or directory\n")

    def test_existing_places(self):
        self.file("d/lib/l", "new\n")
        self.file("d/f", "new\n")
        self.file("f", "file\n")
        os.chmod(self.context + "/d/lib", 0o711)
        self.build("""FROM base:1
RUN mkdir -p /dst/lib /real && chmod 700 /dst /dst/lib && echo old > /dst/f && ln -s /real /dirlink && echo o > /t && ln -s t /flink
COPY d /dst
COPY d /
COPY f /dirlink
COPY f /flink
COPY f /dst
""")
        self.assertEqual(self.show("stat -c %a /dst /dst/lib; cat /dst/f; readlink /lib; cat /usr/lib/l /real/f; "
                                   "readlink /flink; cat /t"),
                         "700\n711\nfile\nusr/lib\nnew\nfile\nt\nfile\n")

    def test_missing_source(self):
        got = self.build("FROM base:1\n\nCOPY nosuch /\n", ok=False)
        self.assertIn("Dockerfile:3: COPY failed: file not found in build context or excluded by .dockerignore: "
                      "stat nosuch: file does not exist", got.stderr)

    def test_a_missing_source_says_why_or_what_may_be_meant(self):
        for name in ("README.md", "src/main.c", "hidden/key"):
            self.file(name)
        self.file(".dockerignore", "# not for images\nhidden\n")
        for source, words in (("readme.md", "stat readme.md: file does not exist (did you mean README.md?)"),
                              ("src/mian.c", "stat src/mian.c: file does not exist (did you mean main.c?)"),
                              ("src/elsewhere", "file does not exist; there is main.c"),
                              ("srv/main.c", "its directory is not there either"),
                              ("hidden/key", '"hidden/key" is excluded by .dockerignore line 2'),
                              ("--from=base:1 /etc/passwt", "(did you mean passwd?)")):
            got = self.build(f"FROM base:1\nCOPY {source} /x\n", ok=False)
            self.assertIn("Dockerfile:2: COPY failed: ", got.stderr)
            self.assertIn(words, got.stderr)

    def test_several_sources_need_a_directory(self):
        self.file("a")
        self.file("b")
        got = self.build("FROM base:1\nCOPY a b /c\n", ok=False)
        self.assertIn("the destination must be a directory and end with a /", got.stderr)
        self.build("FROM base:1\nCOPY a b /tmp\n")

    def test_chown_and_chmod(self):
        self.file("d/x", mode=0o640)
        self.file("s", mode=0o755)
        self.build("""FROM base:1
COPY --chown=app d /home/app/deep
COPY --chown=1234 s /n1
COPY --chown=1234:extra --chmod=600 s /n2
COPY --chmod=u=rwX,go=rX d /sym
COPY --chmod=0711 d /oct
COPY --link --chmod=a+t s /sticky
""")
        self.assertEqual(self.show("stat -c '%n %u:%g %a' /home /home/app /home/app/deep/x /n1 /n2 /sym/x /oct/x /sticky"),
                         "/home 1000:1001 755\n/home/app 1000:1001 755\n/home/app/deep/x 1000:1001 640\n/n1 1234:1234 755\n"
                         "/n2 1234:1002 600\n/sym/x 0:0 644\n/oct/x 0:0 711\n/sticky 0:0 1755\n")
        for flag, words in (("--chown=nobody2", "nobody2"), ("--chmod=89", "invalid chmod parameter: '89'"),
                            ("--bogus=1", "unknown flag: --bogus")):
            got = self.build(f"FROM base:1\nCOPY {flag} s /\n", ok=False)
            self.assertIn("Dockerfile:2: ", got.stderr)
            self.assertIn(words, got.stderr)

    def test_from_stage_and_image_keep_owners_and_hard_links(self):
        self.build("""FROM base:1 AS a
RUN mkdir /d && echo x > /d/x && ln /d/x /d/y && chown 7:8 /d/x && chmod 4711 /d/x && rm /etc/group
FROM base:1
COPY --from=a /d /d
COPY --from=base:1 /etc/group /g
COPY --from=0 /d/../d/x /lib/one
""")
        self.assertEqual(self.show("stat -c '%u:%g %a %h' /d/x /d/y; grep -c app /g; ls /usr/lib"),
                         "7:8 4711 2\n7:8 4711 2\n2\none\n")

    def test_heredoc(self):
        self.build("""FROM base:1
ENV V=val
COPY <<one <<'two' /h/
"$V" 'q'
one
$V
two
COPY --chmod=755 <<-EOF /h/script
	#!/bin/sh
	echo run
	EOF
RUN /h/script > /h/out
""")
        self.assertEqual(self.show("cat /h/one /h/two /h/out"), "\"val\" 'q'\n$V\nrun\n")

    def test_exclude_and_parents(self):
        for name in ("d/a.go", "d/a.txt", "d/s/b.go", "d/s/b.txt"):
            self.file(name)
        self.build("FROM base:1\nCOPY --exclude=*.txt --exclude=s d /one\nCOPY --parents d/s/b.go d/./a.go /two/\n")
        self.assertEqual(self.show("find /one /two -type f | sort"), "/one/a.go\n/two/a.go\n/two/d/s/b.go\n")
        os.chmod(self.context + "/d", 0o750)
        os.chmod(self.context + "/d/s", 0o700)
        self.build("FROM base:1\nRUN mkdir -p /p/d\nCOPY --parents --chown=app ?/./s/*.go d/s/b.txt /p/\nCOPY --parents d/s /q/\n")
        self.assertEqual(self.show("cd /; find p q | sort | xargs stat -c '%n %a %u'"),
                         "p 755 0\np/d 755 0\np/d/s 700 1000\np/d/s/b.txt 644 1000\np/s 700 1000\np/s/b.go 644 1000\n"
                         "q 755 0\nq/d 750 0\nq/d/s 700 0\nq/d/s/b.go 644 0\nq/d/s/b.txt 644 0\n")

    def test_an_exception_to_what_is_excluded(self):
        for name in ("d/a.txt", "d/k.txt", "d/s/x.txt", "d/s/k.txt", "d/s/deep/k.txt", "d/none/x.txt", "d/.git/k.txt"):
            self.file(name)
        os.chmod(self.context + "/d/s", 0o700)
        flags = "--exclude=**/*.txt --exclude=s --exclude=none --exclude=!**/k.txt --exclude=.git"
        text = f"FROM base:1 AS a\nCOPY {flags} d /one\nFROM base:1\nCOPY d /src\nCOPY --from=a /one /one\nCOPY --from=a {flags} /one /two\n"
        self.build(text)
        kept = "{0}\n{0}/k.txt\n{0}/s\n{0}/s/deep\n{0}/s/deep/k.txt\n{0}/s/k.txt\n"
        self.assertEqual(self.show("find /one /two | sort; stat -c %a /one/s"), kept.format("/one") + kept.format("/two") + "700\n")
        self.build("FROM base:1\nCOPY --parents --exclude=d/s --exclude=!d/s/k.txt d/s d/k.txt /p/\n")
        self.assertEqual(self.show("cd /p; find . -type f | sort"), "./d/k.txt\n./d/s/k.txt\n")
        self.assertIn('illegal exclusion pattern: "!"', self.build("FROM base:1\nCOPY --exclude=! d /\n", ok=False).stderr)

    def test_unpack_and_checksum(self):
        self.file("a.tar", tar_of([("f", b"x", {})]))
        self.build("FROM base:1\nADD --unpack=false a.tar /a/\nADD --unpack a.tar /b/\n")
        self.assertEqual(self.show("ls /a /b"), "/a:\na.tar\n\n/b:\nf\n")
        for flag, words in (("--unpack=maybe", "expecting boolean value for flag --unpack, not: maybe"),
                            ("--checksum=sha256:0", "checksum requires HTTP(S) or Git sources")):
            got = self.build(f"FROM base:1\nADD {flag} a.tar /\n", ok=False)
            self.assertIn(words, got.stderr)

    def test_links_in_the_image_do_not_lead_outside(self):
        """A base with links to ../../../tmp and the like: writing through them stays in the image."""
        outside = ("/tmp/escape", "/tmp/wherry-escape", "/tmp/wherry-escape2", "/tmp/escape-file")
        for name in outside:
            self.assertFalse(os.path.lexists(name), name)
        self.file("f", "payload\n")
        self.file("d/f", "payload\n")
        self.file("a.tar", tar_of([("evil/x", b"tar\n", {}), ("up/tmp/wherry-escape", b"tar\n", {})]))
        self.build("""FROM base:1
RUN mkdir /tmp/escape
COPY f /evil/f
COPY d /evil/
COPY f /up/tmp/wherry-escape2
ADD a.tar /
WORKDIR /evil/wd
RUN ln -s /../../../../../../../tmp/escape-file /flink
COPY f /flink
""")
        for name in outside:
            self.assertFalse(os.path.lexists(name), name)
        self.assertEqual(self.show("cat /tmp/escape/f /tmp/escape/x /tmp/wherry-escape /tmp/wherry-escape2; ls -d /tmp/escape/wd"),
                         "payload\ntar\ntar\npayload\n/tmp/escape/wd\n")

    def test_links_in_the_context_do_not_lead_outside(self):
        with tempfile.NamedTemporaryFile(prefix="wherry-outside.", mode="w") as outside:
            outside.write("host secret\n")
            outside.flush()
            name = outside.name
            climb = "../" * 12 + name.lstrip("/")
            os.symlink(name, self.context + "/abs")
            os.symlink(climb, self.context + "/rel")
            os.symlink("/", self.context + "/root")
            self.file("f")
            for source in ("abs", "rel", "root" + name, climb):
                got = self.build(f"FROM base:1\nCOPY {source} /got\nRUN cat /got\n", ok=False)
                self.assertIn("does not exist", got.stderr)
            self.build("FROM base:1\nCOPY ../../f /got\n")  # clamped, as BuildKit
            got = self.build(f"FROM base:1\nRUN --mount=source=root{name},target=/m cat /m\n", ok=False)
            self.assertNotIn("host secret", got.stdout)
            self.build(f"FROM base:1 AS a\nRUN ln -s {climb} /l\nFROM base:1\nCOPY --from=a /l /got\n", ok=False)

    def test_dockerfile_may_not_be_a_link_outside(self):
        body = tar_of([("Dockerfile", None, {"type": b"2", "linkname": "/etc/passwd"})])
        status, text = self.raw_build(body)
        self.assertEqual(status, 400)
        self.assertIn("Cannot locate specified Dockerfile", text)


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/file-scheme":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
        self.end_headers()
        self.wfile.write(b"from the web\n")

    def log_message(self, *args):
        pass


class Add(Case):
    def test_archives_are_unpacked_by_content(self):
        plain = tar_of([("t/f", b"tarred\n", {"uid": 5, "gid": 6, "mode": 0o640})])
        self.file("p.tar", plain)
        self.file("g.whatever", gzip.compress(plain))
        self.file("b.tbz", bz2.compress(plain))
        self.file("x.txz", lzma.compress(plain))
        self.file("not.tar", "just text\n")
        self.file("empty.tar", tar_of([]))
        self.build("""FROM base:1
ADD p.tar /p
ADD g.whatever /g/
ADD b.tbz /b
ADD x.txz /x
ADD --chown=9:9 p.tar /o
ADD not.tar /n
ADD empty.tar /e
COPY p.tar /copied
""")
        self.assertEqual(self.show("cat /p/t/f /g/t/f /b/t/f /x/t/f; stat -c '%u:%g %a' /p/t/f /o/t/f; cat /n; "
                                   "test -f /e && test -f /copied && echo files"),
                         "tarred\n" * 4 + "5:6 640\n9:9 640\njust text\nfiles\n")

    def test_evil_archive_is_refused(self):
        self.file("e.tar", tar_of([("../../outside", b"x", {})]))
        got = self.build("FROM base:1\nADD e.tar /d/\n", ok=False)
        self.assertIn("outside of its root", got.stderr)

    def test_url(self):
        serve_in(self, 18080, Web)
        url = "http://127.0.0.1:18080"
        digest = hashlib.sha256(b"from the web\n").hexdigest()
        self.build(f"""FROM base:1
ADD {url}/file.txt?x=1 /d/
ADD --chmod=755 --chown=3:4 --checksum=sha256:{digest} {url}/x /named
""")
        self.assertEqual(self.show("cat /d/file.txt /named; stat -c '%u:%g %a %Y' /d/file.txt; stat -c '%u:%g %a' /named"),
                         "from the web\nfrom the web\n0:0 600 1136214245\n3:4 755\n")
        for line, words in ((f"--checksum=sha256:{'0' * 64} {url}/x /named", "digest mismatch"),
                            (f"{url}/missing /named", "404"),
                            (f"{url}/file-scheme /named", "cannot download"),
                            (f"{url}/ /d/", "cannot determine a file name")):
            got = self.build(f"FROM base:1\nADD {line}\n", ok=False)
            self.assertIn("Dockerfile:2: ", got.stderr)
            self.assertIn(words, got.stderr)


if __name__ == "__main__":
    unittest.main()
