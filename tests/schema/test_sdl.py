"""The printed schema is the contract and the manual: its changes are read in review, and nothing goes unexplained."""

from __future__ import annotations

from pathlib import Path

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLObjectType, specified_scalar_types

from schema.api import schema

SDL = Path(__file__).parent.parent.parent / "schema" / "schema.graphql"


def test_the_printed_schema_is_the_one_in_the_tree(request: pytest.FixtureRequest) -> None:
    made = schema.as_str() + "\n"
    if request.config.getoption("--update"):
        SDL.write_text(made)
    assert made == SDL.read_text(), "run pytest --update and read the difference"


def test_every_type_field_argument_and_enum_value_is_described() -> None:
    bare = []
    for name, type_ in schema._schema.type_map.items():
        if name.startswith("__") or name in specified_scalar_types:
            continue
        if not type_.description:
            bare.append(name)
        if isinstance(type_, (GraphQLObjectType, GraphQLInputObjectType)):
            for field_name, field in type_.fields.items():
                if not field.description:
                    bare.append(f"{name}.{field_name}")
                for argument_name, argument in getattr(field, "args", {}).items():
                    if not argument.description:
                        bare.append(f"{name}.{field_name}({argument_name})")
        if isinstance(type_, GraphQLEnumType):
            bare += [f"{name}.{value}" for value, each in type_.values.items() if not each.description]
    assert bare == []
