"""What `pachd` is told, by flags or by the environment; a flag wins."""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trunkline import __version__
from trunkline.app.pods.settings import PodConfig, add_pods, pods_of
from trunkline.errors import InvalidArgument
from trunkline.model.specs.scalars import quantity_bytes

DEFAULT_LISTEN = "127.0.0.1:30650"
DEFAULT_S3_PORT = 30600
RUNNERS = ("auto", "process", "container", "host")


@dataclass(frozen=True, slots=True)
class Config:
    """A server's settings. `workers` None: one for each core. `expose`: host paths that user code may write.

    `gpus`: ids with commas between them, auto or none.
    `containers`: URL of a container engine's socket, "" for none. `pods`: None where workers are processes here.
    `database`: URL of a PostgreSQL server's database, which may hold a password; "" for a file in the data folder.
    `cache_bytes` of content are kept in memory, `index_cache_bytes` of decoded file sets on disk.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 30650
    workers: int | None = None
    runner: str = "auto"
    insecure: bool = False
    strict_images: bool = False
    expose: tuple[Path, ...] = ()
    log_level: str = "info"
    containers: str = ""
    gpus: str = "auto"
    storage: str = ""
    s3: tuple[str, int] | None = None
    pods: PodConfig | None = None
    cache_bytes: int = 64 << 20
    index_cache_bytes: int = 2 << 30
    database: str = field(default="", repr=False)
    key_file: Path | None = None
    """The file with the key of all secrets; None: one in the data folder, made when it is needed."""
    tls: tuple[Path, Path] | None = None
    """The files with the certificate and its key, with which the addresses above speak TLS; None: plaintext."""
    peer: tuple[str, int] | None = None
    """Where workers and the code that they run reach this server, always in plaintext; None: as everybody does."""

    @property
    def blobs(self) -> str:
        """Where bytes lie: the URL of an object store, or a folder."""
        return self.storage or str(self.data / "blobs")

    @property
    def worker_count(self) -> int:
        """How many workers the local pool has."""
        if self.pods is not None:
            return 0
        return len(os.sched_getaffinity(0)) if self.workers is None else self.workers


def settings(config: Config) -> dict[str, object]:
    """For people to read, without what a URL may say besides a place."""
    found: dict[str, object] = {name: str(value) for name, value in asdict(config).items()}
    places = {"storage": config.storage, "database": config.database}
    return found | {name: url.partition("?")[0].rpartition("@")[2] for name, url in places.items()}


def default_data(environ: Mapping[str, str]) -> Path:
    """Where a user's data lies if nothing else is said."""
    home = environ.get("XDG_DATA_HOME") or os.path.join(environ.get("HOME", "/"), ".local", "share")
    return Path(home, "trunkline")


def parse(arguments: Sequence[str], environ: Mapping[str, str]) -> Config:
    """The settings. Raises InvalidArgument; ends the process for --help, --version and flags that do not exist."""
    given = _parser(environ).parse_args(arguments)
    host, port = parse_address(given.listen)
    if given.runner not in RUNNERS:
        raise InvalidArgument(f'runner "{given.runner}" does not exist; choose one of {", ".join(RUNNERS)}')
    _refuse_open(host, port, given.insecure)
    s3 = _s3_address(given.s3, host, port)
    _refuse_open(*(s3 or (host, port)), given.insecure)
    pods = pods_of(given)
    if pods and pods.address:
        parse_address(pods.address)
    tls = _tls(given.tls_cert, given.tls_key)
    peer = _peer(given, pods=pods is not None, tls=tls is not None)
    return Config(
        data=Path(given.data).expanduser().absolute(),
        host=host,
        port=port,
        workers=_count(given.workers),
        runner=given.runner,
        insecure=given.insecure,
        strict_images=given.strict_images,
        expose=tuple(Path(path).absolute() for path in given.expose),
        log_level=given.log_level,
        gpus=given.gpus,
        containers=_containers("off" if pods else given.containers, environ),
        pods=pods,
        storage=_storage(given.storage),
        s3=s3,
        cache_bytes=_bytes("cache-bytes", given.cache_bytes),
        index_cache_bytes=_bytes("index-cache-bytes", given.index_cache_bytes),
        database=given.database,
        key_file=Path(given.secrets_key).absolute() if given.secrets_key else None,
        tls=tls,
        peer=peer,
    )


def _tls(certificate: str, key: str) -> tuple[Path, Path] | None:
    if not certificate and not key:
        return None
    if not certificate or not key:
        given, missing = ("--tls-cert", "--tls-key") if certificate else ("--tls-key", "--tls-cert")
        raise InvalidArgument(f"{given} is given without {missing}: TLS needs a certificate and its key")
    return Path(certificate).absolute(), Path(key).absolute()


def _peer(given: argparse.Namespace, *, pods: bool, tls: bool) -> tuple[str, int] | None:
    """Workers speak plaintext. Where all else speaks TLS, those of this machine get a port that only it reaches."""
    if given.peer:
        peer = parse_address(given.peer)
        _refuse_open(*peer, given.insecure)
        return peer
    if tls and pods:
        raise InvalidArgument(
            "workers that are pods reach this server in plaintext, which --listen does not speak with TLS: give them "
            "an address of their own with --peer HOST:PORT, as 0.0.0.0:30653, which nobody outside the cluster reaches,"
            " and say with --worker-address how pods reach it"
        )
    return ("127.0.0.1", 0) if tls else None


def _refuse_open(host: str, port: int, insecure: bool) -> None:
    if not is_loopback(host) and not insecure:
        raise InvalidArgument(
            f"{host}:{port} can be reached from other machines, and whoever reaches this server can run code on it; "
            "listen on 127.0.0.1, or add --insecure if the network is trusted"
        )


def _s3_address(text: str, host: str, port: int) -> tuple[str, int] | None:
    """Where S3 has an address of its own. Unless it is said, beside the usual address only: others may be taken."""
    if text == "none":
        return None
    if text:
        return parse_address(text)
    return (host, DEFAULT_S3_PORT) if port == parse_address(DEFAULT_LISTEN)[1] else None


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT, :PORT, PORT or [IPV6]:PORT. Raises InvalidArgument."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidArgument(f'address "{text}" is invalid: expected HOST:PORT, as {DEFAULT_LISTEN}')
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def origin_of(host: str, port: int, names: Sequence[str] | None = None) -> str:
    """The URL of a server that listens so, for others. Where it listens on every address, the machine's name.

    names: hosts of its certificate, the first of which is named unless it listens on one of them; None: plaintext.
    """
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    if names and host not in names:
        host = next((name for name in names if "*" not in name), host)
    return f"{'http' if names is None else 'https'}://{shown(host, port)}"


def shown(host: str, port: int) -> str:
    """An address as it is written down."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _storage(url: str) -> str:
    if not url:
        return ""
    from trunkline.storage.objects.places import is_place  # brings all of storage, which takes a while

    if not is_place(url):
        raise InvalidArgument(f'storage "{url}" is no URL of an object store; write s3://BUCKET/PATH, gs:// or az://')
    return url


def _containers(choice: str, environ: Mapping[str, str]) -> str:
    """The URL of a container engine's socket; "" for none."""
    if choice == "off":
        return ""
    if choice == "auto":
        from trunkline.worker.containers.engine import socket_url

        return socket_url(environ)
    if "://" not in choice:
        raise InvalidArgument(
            f'containers "{choice}" is invalid: write auto, off, or unix:///PATH of an engine\'s socket'
        )
    return choice


def _bytes(flag: str, text: str) -> int:
    try:
        return quantity_bytes(text)
    except ValueError as error:
        raise InvalidArgument(f'--{flag} "{text}" is invalid: {error}') from None


def _count(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 0 <= int(text) <= 1024:
        raise InvalidArgument(f'workers "{text}" is invalid: expected a number up to 1024')
    return int(text)


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pachd",
        description="The Trunkline server: versioned data and pipelines, for clients of Pachyderm 2.x.",
        epilog="Each setting can be given in the environment instead, as TRUNKLINE_DATA, TRUNKLINE_LISTEN and so on.",
    )

    def env(name: str, otherwise: str = "") -> str:
        return environ.get(f"TRUNKLINE_{name}") or otherwise

    def on(name: str) -> bool:
        return env(name).lower() in ("1", "true", "yes", "on")

    parser.add_argument("--data", metavar="DIR", default=env("DATA", str(default_data(environ))), help="data folder")
    _addresses(parser, env)
    parser.add_argument(
        "--database",
        metavar="URL",
        default=env("DATABASE"),
        help="PostgreSQL for the catalog: postgresql://USER@HOST/DATABASE; several servers may use one, with one"
        " --storage. A password is better in TRUNKLINE_DATABASE or PGPASSFILE (default: a file in the data folder)",
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        default=env("STORAGE"),
        help="object store for the bytes of files: s3://BUCKET/PATH (?endpoint=URL for others than Amazon), gs:// or az://,"
        " whose endpoint may be said likewise;"
        " keys come from the environment (default: the data folder)",
    )
    parser.add_argument(
        "--secrets-key",
        metavar="FILE",
        default=env("SECRETS_KEY"),
        help="the key of all secrets, 32 bytes or 64 hexadecimal digits, the same for all servers of one database"
        " (default: secrets.key in the data folder, drawn when it is needed)",
    )
    parser.add_argument(
        "--cache-bytes",
        metavar="SIZE",
        default=env("CACHE_BYTES", "64Mi"),
        help="content of files kept in memory for the next read (default 64Mi)",
    )
    parser.add_argument(
        "--index-cache-bytes",
        metavar="SIZE",
        default=env("INDEX_CACHE_BYTES", "2Gi"),
        help="decoded tables of files kept on disk, in the data folder (default 2Gi)",
    )
    _add_running(parser, env, on)
    add_pods(parser, env, on)
    parser.add_argument(
        "--log-level", default=env("LOG_LEVEL", "info"), choices=["debug", "info", "warning", "error"], help="(info)"
    )
    parser.add_argument("--version", action="version", version=f"Trunkline {__version__}")
    return parser


def _add_running(parser: argparse.ArgumentParser, env: Callable[[str, str], str], on: Callable[[str], bool]) -> None:
    """Flags about where user code runs."""
    parser.add_argument(
        "--containers",
        metavar="URL",
        default=env("CONTAINERS", "auto"),
        help="socket of the Docker or Podman engine that runs pipelines whose spec names an image: auto (DOCKER_HOST, "
        "or the usual sockets), off, or unix:///PATH (auto)",
    )
    parser.add_argument("--workers", metavar="N", default=env("WORKERS", ""), help="workers (default: one per core)")
    parser.add_argument(
        "--gpus",
        metavar="ID,...",
        default=env("GPUS", "auto"),
        help="GPUs that workers share, whole ones, as CUDA_VISIBLE_DEVICES names them: a list, none, or auto for all "
        "of this machine (auto)",
    )
    parser.add_argument("--runner", default=env("RUNNER", "auto"), help=f"where user code runs: {', '.join(RUNNERS)}")
    parser.add_argument(
        "--insecure", action="store_true", default=on("INSECURE"), help="allow an address that others can reach"
    )
    parser.add_argument(
        "--strict-images",
        action="store_true",
        default=on("STRICT_IMAGES"),
        help="refuse pipelines whose image nothing here provides, instead of running them on this machine's files",
    )
    exposed = [path for path in env("EXPOSE", "").split(os.pathsep) if path]
    parser.add_argument(
        "--expose", metavar="PATH", action="append", default=exposed, help="a path that user code may write; repeatable"
    )


def _addresses(parser: argparse.ArgumentParser, env: Callable[..., str]) -> None:
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default=env("LISTEN", DEFAULT_LISTEN),
        help=f"address for gRPC and HTTP; port 0 finds a free one (default {DEFAULT_LISTEN})",
    )
    parser.add_argument(
        "--s3",
        metavar="HOST:PORT",
        default=env("S3"),
        help="address for S3 alone; none: only on that of --listen, for signed requests "
        f"(default: port {DEFAULT_S3_PORT} where --listen has its default)",
    )
    parser.add_argument(
        "--tls-cert",
        metavar="FILE",
        default=env("TLS_CERT"),
        help="certificate, PEM, followed by those that signed it: --listen and --s3 then speak TLS and nothing else;"
        " the file is read again when it has changed (default: plaintext)",
    )
    parser.add_argument("--tls-key", metavar="FILE", default=env("TLS_KEY"), help="its key, PEM, without a password")
    parser.add_argument(
        "--peer",
        metavar="HOST:PORT",
        default=env("PEER"),
        help="plaintext address for workers and the code that they run (default: that of --listen; with TLS a free"
        " port of 127.0.0.1)",
    )
