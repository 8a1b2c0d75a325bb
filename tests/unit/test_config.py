from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from framehouse import config
from framehouse.config import Settings, load_settings
from framehouse.errors import ConfigError

UNITS = ("_s", "_ms", "_days", "_bytes", "_pixels", "_fps")


def fields(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            yield from fields(group, f"{path}{name}.")
        else:
            yield f"{path}{name}", field


@pytest.mark.parametrize(("name", "field"), list(fields(Settings)))
def test_every_setting_is_described(name: str, field: FieldInfo) -> None:
    assert field.description, name


@pytest.mark.parametrize(("name", "field"), list(fields(Settings)))
def test_every_measure_names_its_unit(name: str, field: FieldInfo) -> None:
    shares_and_thresholds = {"jobs.confidence", "jobs.max_gap_share"}
    prices = {"costs.cpu_hour", "costs.gpu_hour", "costs.fetched_gb"}  # by the unit that they are for
    if field.annotation is float and name not in shares_and_thresholds | prices:
        assert name.endswith(UNITS), name


def test_home_is_absolute_and_handed_to_children(home: Path) -> None:
    assert load_settings().home == home
    assert os.environ["FRAMEHOUSE_HOME"] == str(home)


def test_a_relative_home_is_made_absolute_once(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRAMEHOUSE_HOME", "here")
    assert load_settings().home == tmp_path / "here"
    monkeypatch.chdir("/")
    assert load_settings().home == tmp_path / "here"
    assert os.environ["FRAMEHOUSE_HOME"] == str(tmp_path / "here")


def test_the_default_home_is_beside_pyproject(home: Path, monkeypatch: pytest.MonkeyPatch, checkout: Path) -> None:
    monkeypatch.delenv("FRAMEHOUSE_HOME")
    assert load_settings().home == checkout / ".framehouse"


def test_the_bare_wheel_writes_in_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config, "ROOT", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    assert config.default_home() == tmp_path / ".framehouse"


def test_the_bare_wheel_says_that_the_stack_needs_the_repository(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(config, "ROOT", tmp_path)
    with pytest.raises(ConfigError, match="framehouse up needs the repository") as caught:
        config.require_checkout("framehouse up")
    assert caught.value.code == "config.bare_wheel"
    assert "clone" in caught.value.hint


def test_everything_written_is_below_home(settings: Settings, home: Path) -> None:
    folders = [settings.store_dir, settings.lake_dir, settings.state_dir, settings.log_dir, settings.fetch_dir]
    assert all(folder.is_relative_to(home) for folder in [*folders, settings.triton_dir])
    assert settings.state_url == f"sqlite:///{home}/state/state.db"


def test_a_value_of_the_environment_is_read_by_group_and_field(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEHOUSE_TRITON__URL", "triton.example:8001")
    monkeypatch.setenv("FRAMEHOUSE_STATE__URL", "postgresql+psycopg://db/framehouse")
    settings = load_settings()
    assert settings.triton.url == "triton.example:8001"
    assert settings.state_url == "postgresql+psycopg://db/framehouse"


@pytest.mark.parametrize(("ours", "expected"), [(None, "tcp://dask:8786"), ("tcp://mine:8786", "tcp://mine:8786")])
def test_dask_address_of_the_environment_counts_unless_ours_is_set(
    home: Path, monkeypatch: pytest.MonkeyPatch, ours: str | None, expected: str
) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://dask:8786")
    if ours:
        monkeypatch.setenv("FRAMEHOUSE_DASK__SCHEDULER_ADDRESS", ours)
    assert load_settings().dask.scheduler_address == expected


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FRAMEHOUSE_TRITON__REQUEST_TIMEOUT_S", "0"),
        ("FRAMEHOUSE_TRITON__IN_FLIGHT", "many"),
        ("FRAMEHOUSE_JOBS__CONFIDENCE", "1.5"),
    ],
)
def test_a_value_that_does_not_fit_names_its_variable(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=variable) as caught:
        load_settings()
    assert caught.value.code == "config.setting"
