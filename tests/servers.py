#!/usr/bin/env python3
"""Private servers for tests and development: PostgreSQL and RabbitMQ in a folder of their own, on free ports.

  servers.py run [--postgres] [--rabbitmq | --rabbitmq4] -- COMMAND…     starts them, runs the command, stops them whatever happens
  servers.py serve [--postgres] [--rabbitmq] [--dir DIR]   starts them in DIR, prints the settings, waits for Ctrl-C

What the command finds in its environment:
  SPORTELLO_TEST_POSTGRES      URL of a superuser's database; each test makes a database of its own
  SPORTELLO_TEST_AMQP          URL of the broker; each test makes a virtual host of its own
  SPORTELLO_TEST_RABBITMQCTL   the program that is `rabbitmqctl` for this node

Nothing here touches another server: every process is stopped by its own id. Only the standard library is used.
"""

import argparse
import ctypes
import glob
import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

START_SECONDS = 90
STOP_SECONDS = 30


class Missing(Exception):
    """A server's program is not installed."""


class Failed(Exception):
    """A server did not start."""


def free_ports(count):
    """Ports that nobody uses now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def end_with_parent(number):
    """For a child: the kernel sends it this signal when we are killed, so that it does not outlive us."""
    pr_set_pdeathsig = 1
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare():
        libc.prctl(pr_set_pdeathsig, number)

    return prepare


def wait_until(is_ready, process, name, log):
    """Waits for a condition while the process lives."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if is_ready():
            return
        if process.poll() is not None:
            raise Failed(f"{name} ended with {process.returncode} while starting:\n{tail(log)}")
        time.sleep(0.05)
    raise Failed(f"{name} was not ready within {START_SECONDS} s:\n{tail(log)}")


def tail(path, lines=30):
    try:
        with open(path, errors="replace") as log:
            return "".join(log.readlines()[-lines:])
    except OSError as error:
        return f"(no log: {error})"


def stop(process, signals):
    """Sends each signal in turn until the process is gone."""
    for number in signals:
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def start(server):
    """Starts a server; once more if it fails, for a port that was free a moment ago may be somebody's now."""
    try:
        server.start()
    except Failed as error:
        print(f"servers.py: {error}\nservers.py: {server.name} is started once more", file=sys.stderr)
        server.stop()
        server.start()


def stop_group(process, signals):
    """The same for a session's leader and everything it started: what is left when it is gone is killed."""
    for number in signals:
        if process.poll() is not None:
            break
        os.killpg(process.pid, number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Postgres:
    """A PostgreSQL cluster with fsync on. It refuses to run as root, so then it runs as the user `postgres`."""

    name = "PostgreSQL"

    def __init__(self, folder):
        self.folder = os.path.join(folder, "postgres")
        self.data = os.path.join(self.folder, "data")
        self.log = os.path.join(self.folder, "postgres.log")
        self.password_file = os.path.join(self.folder, "password")
        self.user = self.group = None
        if os.geteuid() == 0:
            try:
                account = pwd.getpwnam("postgres")
            except KeyError:
                raise Missing("the user `postgres` is missing: apt-get install postgresql") from None
            self.user, self.group = account.pw_uid, account.pw_gid
        self.process = None

    @staticmethod
    def program(name):
        def version(path):
            part = path.split(os.sep)[-3]
            return float(part) if part.replace(".", "").isdigit() else 0.0

        installed = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=version)
        found = installed[-1] if installed else shutil.which(name)
        if not found:
            raise Missing(f"{name} is missing: apt-get install postgresql")
        return found

    def as_user(self):
        return {} if self.user is None else {"user": self.user, "group": self.group, "extra_groups": []}

    def start(self):
        programs = {name: self.program(name) for name in ("initdb", "postgres", "pg_isready")}
        if not os.path.isdir(self.data):
            self.initialise(programs["initdb"])
        with open(self.password_file) as file:
            password = file.read().strip()
        port = free_ports(1)[0]
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "on",
            "synchronous_commit": "on",
            "max_connections": 500,
        }
        command = [programs["postgres"], "-D", self.data]
        for key, value in options.items():
            command += ["-c", f"{key}={value}"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGINT), **self.as_user(),
            )
        ready = [programs["pg_isready"], "-q", "-h", "127.0.0.1", "-p", str(port)]
        wait_until(lambda: subprocess.run(ready).returncode == 0, self.process, self.name, self.log)
        self.url = f"postgres://postgres:{password}@127.0.0.1:{port}/postgres"

    def initialise(self, initdb):
        os.makedirs(self.folder, exist_ok=True)
        with open(os.open(self.password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_hex(16) + "\n")
        if self.user is not None:
            os.chown(self.folder, self.user, self.group)
            os.chown(self.password_file, self.user, self.group)
        # md5, not SCRAM: thousands of short connections from an unoptimised test binary, on loopback, with a random password.
        command = [
            initdb, "-D", self.data, "-U", "postgres", "--auth=md5", f"--pwfile={self.password_file}",
            "-E", "UTF8", "--locale=C.UTF-8",
        ]
        made = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self.as_user())
        if made.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise Failed(f"initdb failed:\n{made.stdout}{made.stderr}")

    def development_url(self):
        """A database owned by an ordinary role, whom row-level security binds."""
        with open(self.password_file) as file:
            password = file.read().strip()
        sql = (
            f"select 'create role sportello login password ''{password}''' where not exists"
            " (select from pg_roles where rolname = 'sportello')\\gexec\n"
            "select 'create database sportello owner sportello' where not exists"
            " (select from pg_database where datname = 'sportello')\\gexec\n"
        )
        made = subprocess.run(
            [self.program("psql"), "-qX", "-v", "ON_ERROR_STOP=1", self.url], input=sql, text=True, capture_output=True)
        if made.returncode != 0:
            raise Failed(f"the development database could not be made:\n{made.stderr}")
        return self.url.replace("//postgres:", "//sportello:").replace("/postgres", "/sportello")

    def environment(self):
        return {"SPORTELLO_TEST_POSTGRES": self.url}

    def settings(self):
        return {"SPORTELLO__STORE__KIND": "postgres", "SPORTELLO__STORE__URL": self.development_url()}

    def stop(self):
        if self.process:
            # SIGINT: a fast shutdown. SIGQUIT: at once.
            stop(self.process, [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])


class RabbitMQ:
    """A RabbitMQ node with a name, a cookie and a port mapper of its own."""

    name = "RabbitMQ"
    programs = "/usr/lib/rabbitmq/bin"

    def __init__(self, folder):
        self.folder = os.path.join(folder, "rabbitmq")
        self.log = os.path.join(self.folder, "console.log")
        self.control = os.path.join(self.folder, "rabbitmqctl")
        self.process = None
        self.variables = None

    def start(self):
        for program in ("rabbitmq-server", "rabbitmqctl"):
            if not os.path.exists(os.path.join(self.programs, program)):
                raise Missing(f"{program} is missing: apt-get install rabbitmq-server")
        os.makedirs(self.folder, exist_ok=True)
        port, distribution, mapper = free_ports(3)
        self.write("plugins", "[].\n")
        self.write("rabbitmq.conf", f"listeners.tcp.1 = 127.0.0.1:{port}\n")
        inside = lambda name: os.path.join(self.folder, name)
        self.variables = {
            "HOME": self.folder,
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # The same name at each start, for the data folder is the node's.
            "RABBITMQ_NODENAME": "sportello@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": inside("mnesia"),
            "RABBITMQ_LOG_BASE": inside("log"),
            "RABBITMQ_PID_FILE": inside("pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": inside("plugins"),
            "RABBITMQ_CONFIG_FILE": inside("rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_GENERATED_CONFIG_DIR": inside("generated"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
            "LANG": "C.UTF-8",
        }
        exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in self.variables.items())
        self.write("rabbitmqctl", f"#!/bin/sh\n{exports}exec {self.programs}/rabbitmqctl \"$@\"\n")
        os.chmod(self.control, 0o755)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(self.programs, "rabbitmq-server")], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, env={**os.environ, **self.variables}, start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGTERM),
            )
        wait_until(lambda: self.greets(port), self.process, self.name, self.log)
        self.url = f"amqp://guest:guest@127.0.0.1:{port}/%2f"

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    @staticmethod
    def greets(port):
        """Whether the broker answers the AMQP 0-9-1 header with a method frame: it listens only when it is up."""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def environment(self):
        return {"SPORTELLO_TEST_AMQP": self.url, "SPORTELLO_TEST_RABBITMQCTL": self.control}

    def settings(self):
        return {"SPORTELLO__BROKER__KIND": "amqp", "SPORTELLO__BROKER__URL": self.url}

    def stop(self):
        if self.process:
            # The start script hands SIGTERM on and waits. If it must be killed, its group, which is ours alone, goes too.
            stop(self.process, [signal.SIGTERM])
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
        if self.variables:
            # The port mapper detaches itself; it ends when asked on its own port.
            mapper = shutil.which("epmd")
            if mapper:
                subprocess.run([mapper, "-kill"], env={**os.environ, **self.variables}, capture_output=True)


class RabbitMQ4(RabbitMQ):
    """RabbitMQ 4 from a newer Debian in a folder of its own, entered by chroot. Root only; installed once, then kept."""

    name = "RabbitMQ 4"
    root = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "sportello", "rabbitmq4")
    mounts = ("proc", "dev")
    # Those of them that are this run's to take away: others may run beside it.
    mounted = ()

    def start(self):
        if os.geteuid() != 0:
            raise Missing("RabbitMQ 4 needs root, for debootstrap and chroot")
        self.install()
        port, distribution, mapper = free_ports(3)
        node = f"/n{port}"
        self.folder = self.root + node
        self.log, self.control = os.path.join(self.folder, "console.log"), os.path.join(self.folder, "rabbitmqctl")
        os.makedirs(self.folder)
        self.write("plugins", "[].\n")
        self.write("rabbitmq.conf", f"listeners.tcp.1 = 127.0.0.1:{port}\n")
        self.mounted = [mount for mount in self.mounts if not os.path.ismount(os.path.join(self.root, mount))]
        for mount in self.mounted:
            subprocess.run(["mount", "--bind", f"/{mount}", os.path.join(self.root, mount)], check=True)
        self.variables = {
            "HOME": node, "PATH": "/usr/lib/rabbitmq/bin:/usr/bin:/bin", "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(mapper), "RABBITMQ_NODENAME": "four@localhost", "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": f"{node}/mnesia", "RABBITMQ_LOG_BASE": f"{node}/log", "RABBITMQ_PID_FILE": f"{node}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{node}/plugins", "RABBITMQ_CONFIG_FILE": f"{node}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        }
        inside = ["chroot", self.root, "env", "-i", *(f"{key}={value}" for key, value in self.variables.items())]
        self.write("rabbitmqctl", "#!/bin/sh\nexec " + " ".join(map(shlex.quote, inside)) + ' rabbitmqctl "$@"\n')
        os.chmod(self.control, 0o755)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*inside, "rabbitmq-server"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, preexec_fn=end_with_parent(signal.SIGTERM))
        wait_until(lambda: self.greets(port), self.process, self.name, self.log)
        self.url = f"amqp://guest:guest@127.0.0.1:{port}/%2f"

    def install(self):
        if os.path.exists(os.path.join(self.root, "usr/lib/rabbitmq/bin/rabbitmq-server")):
            return
        if not shutil.which("debootstrap"):
            raise Missing("debootstrap is missing: apt-get install debootstrap")
        mirror = self.mirror()
        os.makedirs(self.root, exist_ok=True)
        subprocess.run(["debootstrap", "--variant=minbase", "--include=rabbitmq-server", "trixie", self.root, mirror],
                       check=True, stdout=subprocess.DEVNULL)

    @staticmethod
    def mirror():
        """Where this machine gets Debian's own packages from: an address that ends in /debian."""
        for path in [*glob.glob("/etc/apt/sources.list.d/*"), *glob.glob("/etc/apt/sources.list")]:
            with open(path) as file:
                for word in file.read().split():
                    if word.startswith(("http://", "https://")) and word.rstrip("/").endswith("/debian"):
                        return word
        raise Missing("no Debian mirror is named below /etc/apt")

    def stop(self):
        mapper, self.variables = self.variables, None
        super().stop()
        if mapper:
            subprocess.run(["chroot", self.root, "env", f"ERL_EPMD_PORT={mapper['ERL_EPMD_PORT']}", "epmd", "-kill"], capture_output=True)
            shutil.rmtree(self.folder, ignore_errors=True)
        for mount in self.mounted:
            subprocess.run(["umount", "-l", os.path.join(self.root, mount)], capture_output=True)
        self.mounted = ()


def interrupted(number, _frame):
    raise SystemExit(128 + number)


def chosen(options, folder):
    wanted = ((Postgres, options.postgres), (RabbitMQ, options.rabbitmq), (RabbitMQ4, options.rabbitmq4))
    kinds = [kind for kind, is_wanted in wanted if is_wanted]
    return [kind(folder) for kind in kinds]


def run(options):
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise Failed("say which command to run: servers.py run --postgres -- COMMAND")
    folder = tempfile.mkdtemp(prefix="sportello-servers-")
    os.chmod(folder, 0o711)
    servers, child = chosen(options, folder), None
    try:
        environment = dict(os.environ)
        for server in servers:
            start(server)
            environment.update(server.environment())
        # A session of its own: cargo hands no signal on to the tests it runs.
        child = subprocess.Popen(command, env=environment, start_new_session=True)
        return child.wait()
    finally:
        # From here on nothing interrupts: what was started is stopped.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if child:
            stop_group(child, [signal.SIGTERM])
        for server in reversed(servers):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def serve(options):
    if not (options.postgres or options.rabbitmq or options.rabbitmq4):
        options.postgres = options.rabbitmq = True
    folder = os.path.abspath(options.dir)
    os.makedirs(folder, exist_ok=True)
    servers = chosen(options, folder)
    try:
        for server in servers:
            start(server)
        print("Ready. To use them, in another terminal:\n", flush=True)
        for server in servers:
            for key, value in {**server.settings(), **server.environment()}.items():
                print(f"export {key}={shlex.quote(value)}", flush=True)
        print("\nCtrl-C stops them; their data stays in", folder, flush=True)
        while all(server.process.poll() is None for server in servers):
            time.sleep(0.5)
        raise Failed("a server ended by itself:\n" + "".join(tail(server.log) for server in servers))
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for server in reversed(servers):
            server.stop()


def main():
    parser = argparse.ArgumentParser(description="Private servers for tests and development.")
    what = parser.add_subparsers(required=True)
    for name, act in (("run", run), ("serve", serve)):
        command = what.add_parser(name)
        command.set_defaults(act=act)
        command.add_argument("--postgres", action="store_true", help="start PostgreSQL")
        command.add_argument("--rabbitmq", action="store_true", help="start RabbitMQ")
        command.add_argument("--rabbitmq4", action="store_true", help="start RabbitMQ 4 instead (root: debootstrap)")
        if name == "run":
            command.add_argument("command", nargs=argparse.REMAINDER, help="what to run, after --")
        else:
            command.add_argument("--dir", default=".data/servers", help="where their data lies")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, interrupted)
    try:
        return options.act(options)
    except (Missing, Failed) as error:
        print(f"servers.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
