from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from framehouse.errors import ConfigError
from framehouse.inference.removal import plan_removal, remove
from framehouse.inference.repository import check, load_specs
from manifests import weights, write_entry

WEIGHTS = weights(4)


def put(root: Path, name: str, tmp_path: Path, *, steps: tuple[str, ...] = ()) -> None:
    """A whole model in a repository; `steps` replaces its network by others that are there."""
    tree = write_entry(tmp_path / f"made-{name}", "https://weights.example/tiny.onnx", WEIGHTS, name=name) / "models"
    (tree / f"{name}_network" / "1" / "model.onnx").write_bytes(WEIGHTS)
    if steps:
        shutil.rmtree(tree / f"{name}_network")
        config, card = tree / name / "config.pbtxt", tree / name / "card.toml"
        config.write_text(config.read_text().replace(f"{name}_network", steps[0]))
        card.write_text(card.read_text().replace(f"{name}_network", steps[0]))
    shutil.copytree(tree, root, dirs_exist_ok=True)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    roots = [tmp_path / "shipped", tmp_path / "added"]
    put(roots[0], "basic", tmp_path)
    put(roots[1], "mine", tmp_path)
    return roots


@pytest.mark.parametrize("name", ["mine", "mine/1"])
def test_a_model_goes_with_its_steps(roots: list[Path], name: str) -> None:
    removal = plan_removal(name, roots)
    assert [spec.model_id for spec in removal.specs] == ["mine/1"]
    assert [folder.name for folder in removal.folders] == ["mine", "mine_network"]
    assert sorted(load_specs(roots)) == ["basic/1", "mine/1"]  # a plan touches nothing
    remove(removal)
    assert sorted(load_specs(roots)) == ["basic/1"]
    assert list(roots[1].iterdir()) == []
    assert check(roots) == []


@pytest.mark.parametrize("name", ["basic", "basic/1"])
def test_what_ships_stays(roots: list[Path], name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        plan_removal(name, roots)
    assert refused.value.code == "models.shipped"


@pytest.mark.parametrize(
    "name", ["", "nobody", "mine/2", "../added/mine", ".", "mine_network", "mine/", "basic_network"]
)
def test_a_name_that_is_no_model(roots: list[Path], name: str) -> None:
    with pytest.raises(ConfigError, match="known: basic/1, mine/1") as refused:
        plan_removal(name, roots)
    assert refused.value.code == "config.unknown_model"


def test_a_step_that_another_uses_stays(roots: list[Path], tmp_path: Path) -> None:
    put(roots[1], "other", tmp_path, steps=("mine_network",))
    removal = plan_removal("mine", roots)
    assert ([folder.name for folder in removal.folders], removal.kept) == (["mine"], {"mine_network": "other"})
    remove(removal)
    assert sorted(load_specs(roots)) == ["basic/1", "other/1"]
    assert check(roots) == []


def test_a_step_that_ships_stays(roots: list[Path], tmp_path: Path) -> None:
    put(roots[1], "other", tmp_path, steps=("basic_network",))
    removal = plan_removal("other", roots)
    assert ([folder.name for folder in removal.folders], removal.kept) == (["other"], {})


def test_a_model_that_is_a_step_of_another_is_refused(roots: list[Path], tmp_path: Path) -> None:
    put(roots[1], "other", tmp_path, steps=("mine",))
    with pytest.raises(ConfigError, match="mine is a step of other") as refused:
        plan_removal("mine", roots)
    assert refused.value.code == "models.in_use"


def test_a_step_that_can_be_asked_for_itself_stays(roots: list[Path], tmp_path: Path) -> None:
    put(roots[1], "other", tmp_path, steps=("mine",))
    assert [folder.name for folder in plan_removal("other", roots).folders] == ["other"]


def test_of_two_versions_in_two_folders_one_must_be_named(roots: list[Path], tmp_path: Path) -> None:
    put(roots[1], "mine.v2", tmp_path)
    edit(roots[1] / "mine.v2" / "card.toml", 'slug = "mine.v2"', 'slug = "mine"')
    edit(roots[1] / "mine.v2" / "card.toml", 'version = "1"\ntriton', 'version = "2"\ntriton')
    with pytest.raises(ConfigError, match="mine could be mine/1, mine/2") as refused:
        plan_removal("mine", roots)
    assert refused.value.code == "models.which"
    remove(plan_removal("mine/2", roots))
    assert sorted(load_specs(roots)) == ["basic/1", "mine/1"]


def test_the_added_version_of_a_slug_that_ships_goes_by_the_slug(roots: list[Path], tmp_path: Path) -> None:
    """As `clip`: version 1 ships, version 2 was pulled."""
    edit(roots[1] / "mine" / "card.toml", 'slug = "mine"', 'slug = "basic"')
    edit(roots[1] / "mine" / "card.toml", 'version = "1"\ntriton', 'version = "2"\ntriton')
    assert [spec.model_id for spec in plan_removal("basic", roots).specs] == ["basic/2"]
    with pytest.raises(ConfigError) as refused:
        plan_removal("basic/1", roots)
    assert refused.value.code == "models.shipped"


def test_versions_in_one_folder_go_together(roots: list[Path]) -> None:
    edit(roots[1] / "mine" / "card.toml", "[[versions]]", '[[versions]]\nversion = "2"\n\n[[versions]]')
    with pytest.raises(ConfigError, match="mine/2 lies in one folder with mine/1") as refused:
        plan_removal("mine/2", roots)
    assert refused.value.code == "models.which"
    removal = plan_removal("mine", roots)
    assert sorted(spec.model_id for spec in removal.specs) == ["mine/1", "mine/2"]
    remove(removal)
    assert sorted(load_specs(roots)) == ["basic/1"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("card.toml", "slug =", "slug"), ("config.pbtxt", "platform", "platform ["), ("card.toml", "detector", "owl")],
)
def test_a_model_that_cannot_be_used_goes_by_its_folder(roots: list[Path], file: str, old: str, new: str) -> None:
    edit(roots[1] / "mine" / file, old, new)
    assert sorted(load_specs(roots)) == ["basic/1"]
    assert check(roots)
    removal = plan_removal("mine", roots)
    assert removal.specs == ()
    remove(removal)
    assert not (roots[1] / "mine").exists()
    assert [found for found in check(roots) if found.model != "mine_network"] == []


def test_a_removal_that_was_killed_leaves_room_for_the_next(roots: list[Path]) -> None:
    (roots[1] / ".removed" / "mine").mkdir(parents=True)
    remove(plan_removal("mine", roots))
    assert list(roots[1].iterdir()) == []
