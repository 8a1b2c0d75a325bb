"""What a use of the archive is: a kind of question with its parameters, and the function that answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from framehouse.errors import ConfigError
from framehouse.results.findings import Finding, Ruleset
from framehouse.store.archive import Archive, Video


class Params(BaseModel):
    """Parameters of a use: checked here, where the outside enters, and nowhere else."""

    model_config = ConfigDict(extra="forbid", frozen=True)


P = TypeVar("P", bound=Params)


@dataclass(frozen=True, slots=True)
class Use(Generic[P]):
    """One kind of question.

    Args:
        kind: its name: the command, the route and `rulesets.kind`.
        version: of the algorithm; raise it when the same parameters give other answers.
        params: class of its parameters.
        judge: (archive, video, parameters, ruleset) -> finding; raises StoreError `store.no_rows` for a video that the
            models it needs did not see.
        says: one line about it.
    """

    kind: str
    version: int
    params: type[P]
    judge: Callable[[Archive, Video, P, Ruleset], Finding]
    says: str

    def check(self, values: Mapping[str, Any]) -> P:
        """Parameters with every default filled in.

        Raises:
            ConfigError: code `config.ruleset`, naming the parameter.
        """
        try:
            return self.params.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(step) for step in first["loc"])
            raise ConfigError(
                f"{self.kind}: {place + ': ' if place else ''}{first['msg']}", code="config.ruleset",
                hint=f"see: framehouse {self.kind} --help",
            ) from error  # fmt: skip

    def ruleset(self, params: P, name: str = "") -> Ruleset:
        """The ruleset of checked parameters."""
        return Ruleset(self.kind, name, params.model_dump(mode="json"), self.version)
