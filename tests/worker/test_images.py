"""Local images: a folder over the host's root, entry by entry, and environments built inside."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import MemoryImages
from housing import ENV, sandbox_for, scratch_for
from worlds import wait_for

from trunkline.ambient import RealAmbient, SimulatedAmbient
from trunkline.worker.images import Housing, ImageFailed, ImageFile, Images
from trunkline.worker.launch import AgentLost, Scratch
from trunkline.worker.ports import Image
from trunkline.worker.rungs import LaidImage
from trunkline.worker.runner import AgentRunner, Command


def make(root: Path, files: dict[str, str]) -> Path:
    """A folder with these files; a value "-> x" is a link."""
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            target.symlink_to(text[3:])
        else:
            target.write_text(text)
            target.chmod(0o755)
    for path in (root, *root.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    return root


def said(runner: AgentRunner, script: str) -> str:
    written = bytearray()
    runner.run(Command(["sh", "-c", script], ENV), lambda _, data: written.extend(data))
    return written.decode()


def test_entries_appear_at_the_root(open_runner: Callable[..., AgentRunner], folder: Path) -> None:
    """Only the image has it, both have it as a folder, and a file of the image over the host's."""
    image = make(
        folder / "image",
        {
            "code/edges.py": "edges",
            "usr/local/lib/trunkline-test/a": "deep",
            "etc/hostname": "from-the-image",
            "etc/trunkline-test.conf": "new",
            "single": "file at the top",
        },
    )
    runner = open_runner(image=str(image))
    assert said(runner, "cat /code/edges.py /usr/local/lib/trunkline-test/a /etc/trunkline-test.conf /single") == (
        "edgesdeepnewfile at the top"
    )
    assert said(runner, "cat /etc/hostname") == "from-the-image"
    assert said(runner, "test -s /etc/passwd && test -x /usr/bin/env && echo host") == "host\n"
    told = said(runner, "touch /code/x /etc/x /usr/local/lib/trunkline-test/x")
    assert told.count("Read-only file system") == 3


def test_an_images_bin_goes_where_the_hosts_link_leads(open_runner: Callable[..., AgentRunner], folder: Path) -> None:
    if not Path("/bin").is_symlink():
        pytest.skip("/bin is a folder of its own here")
    image = make(folder / "image", {"bin/trunkline-tool": "#!/bin/sh\necho tool\n", "lib/x.so": "so"})
    runner = open_runner(image=str(image))
    assert said(runner, "trunkline-tool; /usr/bin/trunkline-tool; ls /bin/env; cat /usr/lib/x.so") == (
        "tool\ntool\n/bin/env\nso"
    )


def test_the_folder_that_holds_the_image_itself(open_runner: Callable[..., AgentRunner], who: str) -> None:
    """Where the image lies below a top-level folder that it has too, no overlay mounts: one level down then."""
    holder = Path("/var/tmp") if os.access("/var/tmp", os.W_OK) else None
    if holder is None:
        pytest.skip("/var/tmp may not be written")
    image = holder / f"trunkline-test-{os.getpid()}-{who}"
    try:
        make(image, {"var/lib/trunkline-test/data": "found"})
        image.chmod(0o755)
        runner = open_runner(image=str(image))
        assert said(runner, "cat /var/lib/trunkline-test/data; test -d /var/lib/dpkg -o -d /var/log && echo host") == (
            "foundhost\n"
        )
    finally:
        shutil.rmtree(image)


def test_mounts_of_the_host_below_an_overlay_stay(folder: Path, who: str) -> None:
    """/usr of the host with something mounted below it, in a mount namespace of the test's own."""
    image = make(folder / "image", {"usr/share/trunkline-test": "image"})
    inner = 'mount -t tmpfs tmpfs /usr/share/man && touch /usr/share/man/mounted && exec "$@"'
    prefix = ("unshare", "--mount", *(("--user", "--map-root-user") if os.getuid() else ()), "sh", "-c", inner, "sh")
    if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("mounts are refused here, or there is no /usr/share/man")
    sandbox = sandbox_for(who, image=str(image))
    runner = AgentRunner(scratch_for(who, folder), replace(sandbox, prefix=prefix + sandbox.prefix))
    try:
        assert said(runner, "cat /usr/share/trunkline-test; ls /usr/share/man; ls -d /usr/share/doc") == (
            "imagemounted\n/usr/share/doc\n"
        )
        assert "Read-only" in said(runner, "touch /usr/share/man/x")
    finally:
        runner.close()


def test_an_images_modules_are_not_the_agents(open_runner: Callable[..., AgentRunner], folder: Path) -> None:
    """An image that replaces Python's own library: the agent, which has more rights than the code, never loads it."""
    library = Path(os.__file__).parent.relative_to("/")
    trap = "import os; os.open('/tmp/trapped', os.O_CREAT)"
    names = ("encodings/unicode_escape.py", "encodings/latin_1.py", "traceback.py", "linecache.py", "tokenize.py")
    image = make(folder / "image", {str(library / name): trap for name in names})
    runner = open_runner(image=str(image))
    assert runner.run(Command([], ENV), lambda *_: None).not_started == "no command given"
    assert runner.run(Command(["x"], ENV, user="nobody-at-all"), lambda *_: None).not_started is not None
    assert runner.wipe("/no/such/folder") == "/no/such/folder: No such file or directory"
    assert said(runner, "ls /tmp") == "home\n"


def test_links_and_absent_parents(open_runner: Callable[..., AgentRunner], folder: Path) -> None:
    image = make(folder / "image", {"app/run": "-> /usr/bin/env", "data": "-> app", "app/x": "x", "run/y": "y"})
    runner = open_runner(image=str(image))
    assert said(runner, "/app/run echo through; cat /data/x; ls /run") == "through\nxlock\n"


def images_with(folder: Path, source: MemoryImages) -> Images:
    return Images(folder / "cache", source, RealAmbient())


def test_an_image_is_extracted_once(folder: Path) -> None:
    files = [
        ImageFile("code/run.sh", b"#!/bin/sh\n", 0o700),
        ImageFile("code/link", link="run.sh"),
        ImageFile("empty/"),
        ImageFile("data", b"x", 0o600),
    ]
    source = MemoryImages(abc=files)
    root = Path(images_with(folder, source).root(Image("abc")))
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*")) == [
        "code",
        "code/link",
        "code/run.sh",
        "data",
        "empty",
    ]
    assert (root / "code" / "run.sh").stat().st_mode & 0o777 == 0o744
    assert (root / "data").stat().st_mode & 0o777 == 0o644
    assert images_with(folder, source).root(Image("abc")) == str(root)
    assert source.read == 1


def test_workers_beside_one_another_extract_once(folder: Path) -> None:
    source = MemoryImages(abc=[ImageFile(f"f{n}", b"x") for n in range(50)])
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(images_with(folder, source).root(Image("abc")))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert source.read == 1


@pytest.mark.parametrize(
    "files",
    [[ImageFile("../x", b"")], [ImageFile("a/../../x", b"")], [ImageFile("l", link="/tmp"), ImageFile("l/x", b"")]],
)
def test_an_image_cannot_write_outside_itself(folder: Path, files: list[ImageFile]) -> None:
    images = images_with(folder, MemoryImages(bad=files))
    with pytest.raises(ImageFailed):
        images.root(Image("bad"))
    with pytest.raises(ImageFailed):  # and nothing half made counts as made
        images.root(Image("bad"))


def test_an_environment_is_built_inside_and_first_on_path(folder: Path) -> None:
    images = images_with(folder, MemoryImages(abc=[ImageFile("code/x", b"x")]))
    scratch = Scratch(folder / "scratch").make()
    housing = Housing(scratch, sandbox_for("self"), images, RealAmbient())
    try:
        image = Image("abc", "tool:1", python="python3")
        runner = housing.runner(image)
        assert isinstance(runner, AgentRunner)
        env = {**ENV, "PATH": f"/.venv/bin:{ENV['PATH']}"}
        written = bytearray()
        script = "import sys; print(sys.prefix, open('/code/x').read()); open('/.venv/x', 'w')"
        runner.run(Command(["python", "-c", script], env), lambda _, data: written.extend(data))
        assert "/.venv x\n" in written.decode()
        assert "Read-only file system" in written.decode()
        assert housing.runner(image) is runner
    finally:
        housing.close()


def test_an_environment_that_cannot_be_built_says_why_and_is_not_tried_for_each_datum(folder: Path) -> None:
    ambient = SimulatedAmbient()
    images = Images(folder / "cache", MemoryImages(), ambient)
    housing = Housing(Scratch(folder / "scratch").make(), sandbox_for("self"), images, ambient)
    image = Image("", "tool:1", python="python0.1")
    with pytest.raises(ImageFailed) as told:
        housing.runner(image)
    assert str(told.value).startswith(
        'image "tool:1": making an environment with python0.1 failed: command "python0.1" not found; looked in '
    )
    with pytest.raises(ImageFailed) as again:
        housing.runner(image)
    assert again.value is told.value
    ambient.advance(61)
    with pytest.raises(ImageFailed) as anew:
        housing.runner(image)
    assert anew.value is not told.value


FAILING_PYTHON = b"""#!/bin/sh
mkdir -p "$3/bin"
cat > "$3/bin/python" <<END
#!/bin/sh
echo "ERROR: No matching distribution found for nope"; exit 1
END
chmod 755 "$3/bin/python"
"""


def test_a_requirement_that_does_not_exist_is_tried_again_and_then_named(folder: Path) -> None:
    """An interpreter of the test's own, whose environments have an installer that always fails."""
    heard: list[str] = []
    ambient = SimulatedAmbient()
    began_s = ambient.ticks_s()
    source = MemoryImages(abc=[ImageFile("failing/python", FAILING_PYTHON, 0o755)])
    images = Images(folder / "cache", source, ambient)
    scratch = Scratch(folder / "scratch").make()
    image = Image("abc", "t", {}, "", "", "/failing/python", "nope\n")
    with pytest.raises(ImageFailed) as told:
        images.venv(image, scratch, sandbox_for("self"), heard.append)
    assert str(told.value) == (
        'image "t": installing its requirements failed: exit 1\n  ERROR: No matching distribution found for nope'
    )
    assert heard == [
        'image "t": making an environment with /failing/python; this happens once',
        'image "t": installing its requirements',
    ]
    assert round(ambient.ticks_s() - began_s) == 4  # two waits of 2 s between three tries
    assert [path.name for path in (folder / "cache" / "venvs").iterdir() if path.is_dir()] == []


def test_making_an_image_can_be_called_off(folder: Path) -> None:
    """While it is being built, and while another worker builds it; it is no failure of the image."""
    script = b"#!/bin/sh\ntouch /tmp/up; sleep 77301\n"
    source = MemoryImages(abc=[ImageFile("slow/python", script, 0o755)])
    scratch = Scratch(folder / "scratch").make()
    housing = Housing(scratch, sandbox_for("self"), images_with(folder, source), RealAmbient())
    beside = Scratch(folder / "beside").make()
    other = Housing(beside, sandbox_for("self"), images_with(folder, source), RealAmbient())
    image = Image("abc", "slow:1", python="/slow/python")
    told: list[str] = []

    def make(by: Housing) -> None:
        try:
            by.runner(image)
        except AgentLost as error:
            told.append(str(error))

    threads = {by: threading.Thread(target=make, args=(by,)) for by in (housing, other)}
    threads[housing].start()
    wait_for(scratch.tmp / "up")
    threads[other].start()
    for by in (other, housing):
        while threads[by].is_alive():  # again and again: it may not have begun to wait
            by.kill()
            threads[by].join(0.05)
    assert told == ["making an image was called off"] * 2
    housing.close()
    other.close()


def test_without_namespaces_an_image_is_laid_out_as_links(folder: Path) -> None:
    images = images_with(folder, MemoryImages(abc=[ImageFile("tool", b"one")], d=[ImageFile("other", b"two")]))
    (folder / "top").mkdir()
    images.laid = LaidImage(folder / "laid.json", folder / "top")
    scratch = Scratch(folder / "scratch").make()
    housing = Housing(scratch, sandbox_for("self", namespaces=False), images, RealAmbient())
    housing.runner(Image("abc", "tool:1"))
    assert (folder / "top" / "tool").read_bytes() == b"one"
    housing.runner(Image("d", "other:1"))
    assert [path.name for path in (folder / "top").iterdir()] == ["other"]
    housing.close()
    assert not list((folder / "top").iterdir())


def test_a_few_agents_stay_warm_and_a_dead_one_is_replaced(folder: Path) -> None:
    source = MemoryImages(**{name: [ImageFile("which", name.encode())] for name in "abc"})
    housing = Housing(
        Scratch(folder / "scratch").make(), sandbox_for("self"), images_with(folder, source), RealAmbient(), keep=2
    )
    try:
        runners = {name: housing.runner(Image(name)) for name in "abc"}
        assert [runners[name].alive for name in "abc"] == [False, True, True]
        first = runners["c"]
        assert isinstance(first, AgentRunner)
        assert said(first, "cat /which") == "c"
        first._alive().home.process.kill()
        with pytest.raises(Exception, match="the agent was lost"):
            said(first, "sleep 60")
        again = housing.runner(Image("c"))
        assert isinstance(again, AgentRunner)
        assert said(again, "cat /which") == "c"
    finally:
        housing.close()


def test_a_runner_is_looked_for_once_and_not_for_each_datum(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is counted: an image is asked for again only when its runner was lost, or another was asked for."""
    asked: list[Image] = []
    ambient = SimulatedAmbient()
    images = Images(folder / "images", MemoryImages(), ambient)
    monkeypatch.setattr(images, "root", lambda image: asked.append(image) or "")
    started: list[StandIn] = []

    def start(*_: object) -> StandIn:
        started.append(StandIn())
        return started[-1]

    housing = Housing(Scratch(folder / "scratch").make(), sandbox_for("self"), images, ambient, start)  # type: ignore[arg-type]
    first, second = Image(name="one"), Image(name="two")
    for image in (first,) * 10:
        assert housing.runner(image) is started[0]
    assert asked == [first]
    started[0].alive = False
    assert housing.runner(first) is started[1]
    housing.runner(second)
    housing.runner(first)
    assert asked == [first, first, second, first]
    housing.close()


class StandIn:
    """A runner that runs nothing."""

    alive = True

    def close(self) -> None:
        self.alive = False
