"""The figures of d: images in and out. An engine's memory is that of all its processes together, client included, as often as one can look."""
import atexit, functools, os, shutil, subprocess, threading, time

import images
from figures import figure

MB = 1e6


@functools.cache
def workshop():
    """A directory for what the figures share: nothing is made before the first of them is measured."""
    top = f"/var/tmp/wherry-bench-images.{os.getpid()}"
    os.makedirs(top)
    atexit.register(shutil.rmtree, top, ignore_errors=True)
    return top


@functools.cache
def layout(name, *sizes_mb):
    return images.Layout(f"{workshop()}/{name}", sizes_mb)


@functools.cache
def six():
    """A registry with 6 layers, and what they take unpacked."""
    image = layout("six", *[94] * 6)
    registry = images.Registry(f"{workshop()}/registry")
    atexit.register(registry.close)
    image.copy("--dest-tls-verify=false", f"docker://{registry.address}/six:1")
    tree = f"{workshop()}/tree"
    for name in os.listdir(f"{image.dir}/blobs/sha256"):
        os.makedirs(tree)
        subprocess.run(["tar", "-C", tree, "-xf", f"{image.dir}/blobs/sha256/{name}"], stderr=subprocess.DEVNULL)  # not all are layers
        image.unpacked = getattr(image, "unpacked", 0) + disk_bytes(tree)
        shutil.rmtree(tree)
    return f"{registry.address}/six:1", image.unpacked


@functools.cache
def archive():
    image = layout("one", 165)
    image.copy(f"docker-archive:{workshop()}/one.tar:wherry-bench-one:1")
    return f"{workshop()}/one.tar"


def disk_bytes(path):
    return int(subprocess.run(["du", "-s", "-B1", path], stdout=subprocess.PIPE, text=True).stdout.split()[0])


class Peak:
    """The highest memory of an engine while the block runs."""

    def __init__(self, engine):
        self.engine, self.mb, self.over = engine, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.02):
            self.mb = max(self.mb, self.engine.memory_mb())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *why):
        self.over.set()
        self.thread.join()


def measured(e, name, *args):
    cpu, begin = e.group.cpu_ms(), time.monotonic()
    with Peak(e) as peak:
        e.call(*args)
    return {name: time.monotonic() - begin, f"{name}_cpu": (e.group.cpu_ms() - cpu) / 1000, f"{name}_pss": peak.mb}


@figure(3, d_load="s", d_load_cpu="s", d_load_pss="MB")
def load(e):
    """A docker-archive of one layer of 170 MB."""
    try:
        return measured(e, "d_load", "load", "-q", "-i", archive())
    finally:
        e.call("rmi", "wherry-bench-one:1")


@figure(3, d_save="s", d_save_cpu="s", d_save_pss="MB")
def save(e):
    """The same to a file."""
    saved = f"{workshop()}/saved.tar"
    e.call("load", "-q", "-i", archive())
    try:
        return measured(e, "d_save", "save", "-o", saved, "wherry-bench-one:1")
    finally:
        e.call("rmi", "wherry-bench-one:1")
        if os.path.exists(saved):
            os.unlink(saved)


@figure(3, d_pull="s", d_pull_cpu="s", d_pull_pss="MB", d_disk="x of the unpacked size", d_rmi="s")
def pull_and_remove(e):
    """6 layers, 580 MB, from a registry on loopback."""
    name, unpacked = six()
    before = disk_bytes(f"{e.dir}/data")
    out = measured(e, "d_pull", "pull", "-q", name)
    out["d_disk"] = (disk_bytes(f"{e.dir}/data") - before) / unpacked
    begin = time.monotonic()
    e.call("rmi", name)
    out["d_rmi"] = time.monotonic() - begin
    return out


@figure(3, d_push="s", d_push_cpu="s", d_push_pss="MB")
def push(e):
    """2 layers, 190 MB, to an empty registry on loopback."""
    image = layout("two", 93, 93)
    source = f"{workshop()}/two.tar"
    where = f"{workshop()}/empty-registry"
    registry = images.Registry(where)
    name = f"{registry.address}/two:1"
    try:
        image.copy(f"docker-archive:{source}:{name}")
        e.call("load", "-q", "-i", source)
        return measured(e, "d_push", "push", "-q", name)
    finally:
        registry.close()
        e.call("rmi", name)
        shutil.rmtree(where)
        os.unlink(source)
