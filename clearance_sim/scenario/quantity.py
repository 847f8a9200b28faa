"""Numbers of a scenario: a bare number, or one with its source and the range in which it may vary."""

from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError

from clearance_sim.messages import _, pgettext
from clearance_sim.scenario import refusal, unknown


class Strict(BaseModel):
    """A table of the scenario file: unchangeable, and a key it does not know is refused with the nearest one."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, table: Any) -> Any:
        if isinstance(table, dict):
            known = {info.alias or name for name, info in cls.model_fields.items()} | set(cls.model_fields)
            for key in table:
                if key not in known:
                    what, fix = unknown(
                        pgettext("kind", "key"), str(key), sorted({i.alias or n for n, i in cls.model_fields.items()})
                    )
                    raise PydanticCustomError("unknown", "{what}", {"what": what, "fix": fix, "key": str(key)})
        return table


class Quantity(Strict):
    """A number with, where it is given, its source ("assumption" counts as one) and the range it may vary in."""

    value: float
    source: str | None = None
    range: tuple[float, float] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_a_bare_number(cls, given: Any) -> Any:
        if isinstance(given, (int, float)) and not isinstance(given, bool):
            return {"value": given}
        return given

    @model_validator(mode="after")
    def _value_lies_in_its_range(self) -> "Quantity":
        if self.range is not None and not self.range[0] <= self.value <= self.range[1]:
            low, high = self.range
            raise refusal(
                _("the value {value} lies outside its range [{low}, {high}]"),
                _("widen the range or change the value"),
                value=self.value,
                low=low,
                high=high,
            )
        return self

    def __float__(self) -> float:
        return self.value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        table = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [{"type": "number"}, {**table, "title": "Number with its source"}]}


class _Bounded(Quantity):
    """A number that must not leave certain bounds."""

    @model_validator(mode="after")
    def _within_bounds(self) -> "_Bounded":
        for number in (self.value, *(self.range or ())):
            self._check(number)
        return self

    def _check(self, number: float) -> None:
        raise NotImplementedError


class Hours(_Bounded):
    """A duration in hours, never negative."""

    def _check(self, number: float) -> None:
        if number < 0:
            raise refusal(_("a time of {n} h is negative"), _("give zero or more hours"), n=number)


class Positive(_Bounded):
    """A number above zero."""

    def _check(self, number: float) -> None:
        if number <= 0:
            raise refusal(_("{n} is not above zero"), _("give a number above zero"), n=number)


class NotNegative(_Bounded):
    """Zero or more."""

    def _check(self, number: float) -> None:
        if number < 0:
            raise refusal(_("{n} is negative"), _("give zero or more"), n=number)


class Probability(_Bounded):
    """A number from 0 to 1."""

    def _check(self, number: float) -> None:
        if not 0 <= number <= 1:
            raise refusal(_("{n} is not a probability"), _("give a number from 0 to 1"), n=number)


class Count(_Bounded):
    """A whole number, zero or more."""

    def _check(self, number: float) -> None:
        if number < 0 or number != int(number):
            raise refusal(_("{n} is not a count"), _("give a whole number, zero or more"), n=number)

    def __int__(self) -> int:
        return int(self.value)
