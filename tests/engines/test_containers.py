"""Code in containers of a real engine: the promises of a runner, limits, secrets, ports, and what a crash leaves."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dockers import make_image, remove_image

from trunkline.ambient import RealAmbient, SimulatedAmbient
from trunkline.errors import NotFound
from trunkline.testing.contracts.runners import ENV, Housed, Output, RunnerContract
from trunkline.worker.containers.engine import Engine, EngineAway, EngineFailed, Wanted
from trunkline.worker.containers.housing import WARM_S, Containers
from trunkline.worker.containers.leftovers import remove_leftovers
from trunkline.worker.launch import PFS_INSIDE, STAGING_INSIDE, AgentLost, Scratch
from trunkline.worker.ports import Image, Limits, SecretFolder, Step
from trunkline.worker.runner import Command

pytestmark = [pytest.mark.engines, pytest.mark.containers]
SERVER = "tests"
NAME = f"localhost/trunkline-test:{os.getpid()}"


@pytest.fixture(scope="module")
def engine(engine_at: str) -> Iterator[Engine]:
    engine = Engine(engine_at)
    yield engine
    remove_leftovers(engine, SERVER)


@pytest.fixture(scope="module")
def digest(engine: Engine) -> Iterator[str]:
    yield make_image(engine.url, NAME, ["ENV WHAT=image", "WORKDIR /usr"])
    remove_image(engine.url, NAME)


@pytest.fixture(scope="module")
def step(digest: str) -> Step:
    return Step(cmd=("true",), image=Image(digest=digest, name=NAME))


@pytest.fixture(scope="module")
def kept(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    scratch = Scratch(tmp_path_factory.mktemp("scratch")).make()
    containers = Containers(engine, scratch, SERVER, "worker-1", RealAmbient(), run="tests")
    yield containers
    containers.close()
    assert engine.leftovers(SERVER, "worker-1") == []


Open = Callable[..., Containers]


@pytest.fixture
def open_containers(engine: Engine, tmp_path: Path) -> Iterator[Open]:
    opened: list[Containers] = []

    def make(**more: object) -> Containers:
        scratch = Scratch(tmp_path / str(len(opened))).make()
        name = f"own-{len(opened)}"
        given = {"ambient": RealAmbient(), "run": "tests", **more}
        opened.append(Containers(engine, scratch, SERVER, name, **given))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for containers in opened:
        containers.close()


class TestContainers(RunnerContract):
    """The image's user is root here."""

    @pytest.fixture
    def housed(self, kept: Containers, step: Step) -> Housed:
        runner = kept.runner(step, print)
        for folder in (PFS_INSIDE, "/tmp"):
            runner.wipe(folder)
        for path in runner.scratch.staging.iterdir():
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()
        return Housed(runner, runner.scratch, PFS_INSIDE, STAGING_INSIDE, True)

    def test_another_user(self, kept: Containers, step: Step) -> None:  # type: ignore[override]
        """Whoever the spec names has a container of its own."""
        output = Output()
        runner = kept.runner(replace(step, user="daemon"), print)
        assert runner.run(Command(["sh", "-c", "id -u; id -g"], ENV), output).code == 0
        assert output.streams[1] == b"1\n1\n"
        with pytest.raises(EngineFailed, match="no matching entries in passwd file"):
            kept.runner(replace(step, user="nobody-of-that-name"), print)


def run(containers: Containers, step: Step, script: str, **env: str) -> tuple[int | None, str]:
    """Run a script; its code and what it wrote."""
    output = Output()
    ended = containers.runner(step, print).run(Command(["sh", "-c", script], {**ENV, **env}), output)
    return ended.code, (output.streams[1] + output.streams[2]).decode()


def test_a_container_is_kept_warm_and_another_made_for_other_limits(kept: Containers, step: Step) -> None:
    first = kept.runner(step, print)
    assert kept.runner(step, print) is first
    assert kept.runner(replace(step, limits=Limits(cpu=1.0)), print) is not first


def test_code_sees_the_image_and_no_entry_point_of_it(
    engine: Engine, open_containers: Open, request: pytest.FixtureRequest
) -> None:
    name = f"localhost/trunkline-own:{os.getpid()}"
    digest = make_image(engine.url, name, ['ENTRYPOINT ["false"]', 'CMD ["false"]'], {"etc/motd": "hello\n"})
    request.addfinalizer(lambda: remove_image(engine.url, name))
    step = Step(cmd=(), image=Image(digest=digest, name=name))
    assert run(open_containers(), step, "cat /etc/motd; echo $HOME; ls -d /.pfs /pfs") == (
        0,
        "hello\n/root\n/.pfs\n/pfs\n",
    )


def test_a_container_goes_when_its_worker_has_had_nothing_to_do_for_long(
    engine: Engine, open_containers: Open, step: Step
) -> None:
    ambient = SimulatedAmbient()
    containers = open_containers(ambient=ambient)
    first = containers.runner(step, print)
    for _ in range(3):
        containers.idle()
        ambient.advance(WARM_S / 2 - 1)
    assert containers.runner(step, print) is first
    for _ in range(3):
        containers.idle()
        ambient.advance(WARM_S / 2 + 1)
    assert not first.alive
    assert engine.leftovers(SERVER, "own-0") == []
    assert containers.runner(step, print) is not first


def test_a_container_goes_with_the_last_pipeline_that_it_ran_code_of(
    engine: Engine, open_containers: Open, step: Step
) -> None:
    containers = open_containers()
    first = containers.runner(step, print, "default/a")
    assert containers.runner(step, print, "default/b") is first
    other = containers.runner(replace(step, limits=Limits(cpu=1.0)), print, "default/c")
    containers.retire("default/d")
    containers.retire("default/a")
    assert first.alive
    containers.retire("default/b")
    assert not first.alive
    assert other.alive
    containers.retire("default/c")
    assert engine.leftovers(SERVER, "own-0") == []
    assert containers.runner(step, print, "default/a").alive


def test_a_container_of_an_earlier_version_goes_when_the_next_one_runs(
    engine: Engine, open_containers: Open, step: Step
) -> None:
    containers = open_containers()
    first = containers.runner(step, print, "default/a")
    second = containers.runner(replace(step, limits=Limits(cpu=1.0)), print, "default/a")
    assert (first.alive, second.alive) == (False, True)
    assert len(engine.leftovers(SERVER, "own-0")) == 1


def test_a_memory_limit_is_named_whoever_is_killed(open_containers: Open, step: Step) -> None:
    limited = replace(step, limits=Limits(memory_bytes=32 << 20, memory="32Mi"))
    containers = open_containers()
    greedy = Command(["sh", "-c", "x=0123456789; while :; do x=$x$x; done"], ENV)
    ended = containers.runner(limited, print).run(greedy, print)
    assert ended.over_memory
    assert run(containers, limited, "echo next") == (0, "next\n")


def test_a_cpu_limit_is_in_force(engine: Engine, open_containers: Open, step: Step) -> None:
    containers = open_containers()
    limited = replace(step, limits=Limits(cpu=0.2))
    cat = "cd /sys/fs/cgroup; cat cpu.max 2>/dev/null || echo $(cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us)"
    code, told = run(containers, limited, cat)
    quota, period = map(int, told.split())
    assert (code, quota / period) == (0, 0.2)
    (container,) = engine.leftovers(SERVER, "own-0")
    with engine._api() as api:
        assert api.inspect_container(container.id)["HostConfig"]["NanoCpus"] == 200_000_000
    throttled = "$(cat cpu.stat cpu/cpu.stat 2>/dev/null | grep nr_throttled)"
    spin = f'cd /sys/fs/cgroup; until test "${{n:-0}}" -gt 3; do n={throttled}; n=${{n##* }}; done'
    assert run(containers, limited, spin) == (0, "")


@pytest.mark.parametrize("engine_at", ["DOCKER_HOST"], indirect=True, ids=str.lower)
def test_gpus_are_asked_for(engine: Engine, step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """By request for devices, as Docker has it; whether there are any is another question."""
    with engine._api() as api:
        heard: list[object] = []

        def start(key: str) -> None:
            heard.append(api.inspect_container(key)["HostConfig"]["DeviceRequests"])

        monkeypatch.setattr(api, "start", start)
        for gpus in (0, 2):
            image = step.image
            engine.begin(Wanted(image.name, image.digest, ["sleep", "1"], [], gpus=gpus), SERVER, "own-0").remove()
    ((one,),) = heard[1:]  # type: ignore[misc]
    assert not heard[0]
    assert (one["Count"], one["Capabilities"]) == (2, [["gpu"]])


def test_secrets_are_files_in_memory_that_go_with_the_container(open_containers: Open, step: Step) -> None:
    before = set(Path("/dev/shm").glob("trunkline-*"))
    containers = open_containers()
    secret = SecretFolder("/var/secrets/pg", (("password", b"not-a-secret"),))
    script = "cat /var/secrets/pg/password; touch /var/secrets/pg/x 2>/dev/null || echo ' read-only'"
    assert run(containers, replace(step, secrets=(secret,)), script) == (0, "not-a-secret read-only\n")
    assert run(containers, step, "ls /var 2>/dev/null") == (2, "")
    containers.close()
    assert set(Path("/dev/shm").glob("trunkline-*")) == before


def test_a_port_of_the_worker_is_reached_from_inside(
    engine: Engine, open_containers: Open, request: pytest.FixtureRequest
) -> None:
    name = f"localhost/trunkline-ports:{os.getpid()}"
    digest = make_image(engine.url, name, programs=("bash",))
    request.addfinalizer(lambda: remove_image(engine.url, name))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"you said " + connection.recv(100))

        thread = threading.Thread(target=answer)
        thread.start()
        containers = open_containers(ports={port: ("127.0.0.1", port)})
        output = Output()
        script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; echo hello >&3; read line <&3; echo $line"
        runner = containers.runner(Step(cmd=(), image=Image(digest=digest, name=name)), print)
        assert runner.run(Command(["bash", "-c", script], ENV), output).code == 0
        assert output.streams[1] == b"you said hello\n"
        thread.join(60)


def test_a_container_that_is_killed_is_told_and_another_begins(
    engine: Engine, open_containers: Open, step: Step
) -> None:
    containers = open_containers()

    def remove(stream: int, data: bytes) -> None:
        for container in engine.leftovers(SERVER, "own-0"):
            container.remove()

    def kill(stream: int, data: bytes) -> None:
        """As the kernel does where the memory of the whole machine is full."""
        for container in engine.leftovers(SERVER, "own-0"):
            with engine._api() as api:
                api.kill(container.id, "SIGKILL")

    for harm, told in ((remove, "is gone"), (kill, r"was killed by signal 9 \(SIGKILL\)")):
        runner = containers.runner(step, print)
        with pytest.raises(AgentLost, match=f"the agent was lost: its container {told}"):
            runner.run(Command(["sh", "-c", "echo up; sleep 20"], ENV), harm)
        assert run(containers, step, "echo again") == (0, "again\n")


def test_one_that_nobody_asks_about_goes_when_its_worker_does(
    engine: Engine, open_containers: Open, step: Step
) -> None:
    """As that of a replay, which no server knows."""
    runner = open_containers(run="").runner(step, print)
    (container,) = engine.leftovers(SERVER, "own-0")
    assert runner._launched is not None
    runner._launched.connection.close()  # as when the process is killed
    ambient = RealAmbient()
    while container.state():
        ambient.sleep(0.05)


def test_what_a_killed_worker_left_is_removed_by_the_next_and_nothing_else(
    engine: Engine, open_containers: Open, digest: str, step: Step
) -> None:
    sleeper = Wanted(image=NAME, digest=digest, argv=["sleep", "600"], mounts=[])
    left = engine.begin(sleeper, SERVER, "own-0")
    others = engine.begin(sleeper, "another server", "own-0")
    try:
        assert run(open_containers(), step, "echo up") == (0, "up\n")
        assert left.state() == {}
        assert others.state()["Running"]
    finally:
        others.remove()


def test_an_image_that_is_gone_and_cannot_be_pulled(open_containers: Open, step: Step) -> None:
    gone = replace(step, image=Image(digest="0" * 64, name="localhost:1/nowhere/nothing:1"))
    told: list[str] = []
    with pytest.raises(EngineFailed, match=r"cannot be pulled: .*connection refused"):
        open_containers().runner(gone, told.append)
    assert told == ['image "localhost:1/nowhere/nothing:1" is not in the container engine any more: pulling it again']


def test_what_the_engine_knows_of_an_image(engine: Engine, digest: str) -> None:
    held = engine.look(NAME)
    assert held is not None
    assert (held.digest, held.working_dir, held.env["WHAT"]) == (digest, "/usr", "image")
    assert engine.look("localhost/no-such-image:1") is None
    with pytest.raises(NotFound):
        engine.begin(Wanted(image="x", digest="0" * 64, argv=["/x"], mounts=[]), SERVER, "own-0")
    assert engine.name().startswith(("Docker ", "Podman "))


def test_an_engine_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(EngineAway, match="no such file or directory; is it running"):
        Engine(f"unix://{tmp_path}/nothing.sock").name()
