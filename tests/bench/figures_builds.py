"""The figures of e: builds. Every engine builds with the client that it has; docker's and ours send the context as they do for everybody."""
import atexit, functools, os, shutil, time

from figures import IMAGE, figure
from figures_images import Peak

FILES, DIRS = 20000, 200
TWELVE = """FROM {image}
ENV A=1
RUN true
WORKDIR /srv
RUN echo a > a
COPY small small
RUN echo b > b
RUN cat small/f0 > c
LABEL x=y
RUN echo d > d
COPY small/f1 f1
RUN echo e > e
RUN cat a b c d e > f
CMD ["sh"]
"""


@functools.cache
def workshop():
    top = f"/var/tmp/wherry-bench-builds.{os.getpid()}"
    atexit.register(shutil.rmtree, top, ignore_errors=True)
    return top


@functools.cache
def small_context():
    """50 small files, and a Dockerfile of 12 steps."""
    top = f"{workshop()}/twelve"
    os.makedirs(f"{top}/small")
    for i in range(50):
        with open(f"{top}/small/f{i}", "w") as f:
            f.write(f"{i}\n" * 200)
    with open(f"{top}/Dockerfile", "w") as f:
        f.write(TWELVE.format(image=IMAGE))
    return top


@functools.cache
def large_context():
    """20,000 small files, and a Dockerfile of one COPY."""
    top = f"{workshop()}/many"
    for d in range(DIRS):
        os.makedirs(f"{top}/files/d{d}")
        for i in range(FILES // DIRS):
            with open(f"{top}/files/d{d}/f{i}", "w") as f:
                f.write(f"{d} {i}\n" * (20 + i * 7 % 500))
    with open(f"{top}/Dockerfile", "w") as f:
        f.write(f"FROM {IMAGE}\nCOPY files /files\n")
    return top


def measured(e, name, *args):
    cpu, begin = e.group.cpu_ms(), time.monotonic()
    with Peak(e) as peak:
        e.call("build", "-q", *args)
    return {name: time.monotonic() - begin, f"{name}_cpu": (e.group.cpu_ms() - cpu) / 1000, f"{name}_pss": peak.mb}


def forget(e, tag):
    e.call("rmi", "-f", tag)


@figure(3, e_build12="s", e_build12_cpu="s", e_build12_pss="MB", e_build12_cached="s", e_build12_cached_cpu="s", e_build12_cached_pss="MB")
def twelve_steps(e):
    """12 instructions, 7 of them RUN: nothing cached, then everything."""
    where = small_context()
    try:
        return {**measured(e, "e_build12", "--no-cache", "-t", "bench-twelve", where),
                **measured(e, "e_build12_cached", "-t", "bench-twelve", where)}
    finally:
        forget(e, "bench-twelve")


@figure(3, e_copy20k="s", e_copy20k_cpu="s", e_copy20k_pss="MB", e_copy20k_cached="s", e_copy20k_cached_cpu="s", e_copy20k_cached_pss="MB",
        e_copy20k_touch="s", e_copy20k_touch_cpu="s", e_copy20k_touch_pss="MB", e_copy20k_again="s", e_copy20k_again_cpu="s", e_copy20k_again_pss="MB")
def twenty_thousand_files(e):
    """COPY of 20,000 small files: nothing cached and nothing of the context known (another name for the Dockerfile each time), everything
    cached, one file changed; and the step again for a context that is known."""
    where = large_context()
    name = f"Dockerfile.{time.monotonic_ns()}"
    shutil.copy(f"{where}/Dockerfile", f"{where}/{name}")
    build = ("-f", f"{where}/{name}", "-t", "bench-many", where)
    try:
        out = measured(e, "e_copy20k", "--no-cache", *build)
        out |= measured(e, "e_copy20k_cached", *build)
        with open(f"{where}/files/d7/f7", "a") as f:
            f.write("changed\n")
        out |= measured(e, "e_copy20k_touch", *build)
        return out | measured(e, "e_copy20k_again", "--no-cache", *build)
    finally:
        os.unlink(f"{where}/{name}")
        forget(e, "bench-many")
