"""What an operator can set, by concern. Read once, when a command starts.

Every setting is an environment variable with the prefix `HUB_`, or a file of that name where the system keeps secrets;
`hub/docs/settings.md` lists them all (a test says so).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from hub import documents

PROJECT = Path(__file__).resolve().parent.parent
"""The checkout that this package was loaded from."""


class _Concern(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HUB_", env_ignore_empty=True, extra="ignore", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, then the files of systemd's credentials and of containers' secrets: `hub_database_url`.

        Passwords belong there: an environment is inherited by children and shown by tools.
        """
        places = [Path(os.environ.get("CREDENTIALS_DIRECTORY") or "/run/secrets"), Path("/run/secrets")]
        there = [place for place in dict.fromkeys(places) if place.is_dir()]
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=there)


class Server(_Concern):
    """Where the hub listens and what its pages may show."""

    host: str = Field(
        default="127.0.0.1", description="Address that the hub listens on. Plain HTTP belongs on loopback only."
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port that the hub listens on; 0 takes any free one.")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("127.0.0.1", "localhost", "[::1]"),
        description="Host names that requests may name, separated by commas; others are refused with 400.",
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that answer, about one for each core. From 2 on, one that dies or stands still for 10 s "
        "is replaced.",
    )
    max_connections: int = Field(
        default=1000,
        ge=1,
        description="Most connections at a time for each worker, open map pages included; further ones get 503.",
    )
    drain_seconds: int = Field(
        default=10,
        ge=0,
        le=600,
        description="How long requests may take to end when the hub is told to stop, in seconds.",
    )
    graphiql: bool = Field(default=True, description="Whether `/graphql` shows the query editor to a browser.")
    statements: bool | None = Field(
        default=None,
        description="Whether answers carry Server-Timing and `/graphql/sql` shows statements. Unset: only on loopback.",
    )

    tile_megabytes: int = Field(
        default=64,
        ge=0,
        le=4096,
        description="Memory in which each worker keeps map tiles that it made, in MB; 0 keeps none.",
    )
    metrics_token: str | None = Field(
        default=None,
        min_length=16,
        description="Who shows it as a bearer token reads `/metrics`; it belongs in a file. Unset: only whoever asks "
        "on the hub's own machine, and not through a proxy.",
    )
    metrics_operations: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=100,
        description="Names of operations of your own programs that `/metrics` counts one by one, separated by commas, "
        "beside those of the hub's pages; the rest is counted as `other`.",
    )

    @field_validator("allowed_hosts", "metrics_operations", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def on_loopback(self) -> bool:
        return self.host in {"127.0.0.1", "::1", "localhost"}

    @property
    def shows_statements(self) -> bool:
        return self.on_loopback if self.statements is None else self.statements


class Database(_Concern):
    """Where the county's data lives: the embedded cluster, or a database of your own."""

    home: Path | None = Field(
        default=None,
        description="Folder of the embedded cluster. Unset: `.hub` in the checkout, or a system folder where the "
        "cluster's user cannot enter the checkout.",
    )
    database_url: str | None = Field(
        default=None,
        description="`postgresql://…` of the hub's login role. Set: the embedded database is never touched.",
    )
    owner_url: str | None = Field(
        default=None,
        description="`postgresql://…` of a role that may migrate (a superuser, or the database's owner with PostGIS "
        "installed). Only `hub migrate` and `hub up` read it, and only beside HUB_DATABASE_URL.",
    )
    demonstration: bool = Field(
        default=True,
        description="Whether a new private database opens in the demonstration county, and one that has it still does. "
        "Never beside HUB_DATABASE_URL.",
    )
    pool_size: int = Field(
        default=4, ge=1, le=100, description="Connections to the database that each worker keeps open."
    )
    statement_seconds: float = Field(
        default=10, gt=0, le=600, description="Longest time that one statement may run, in seconds."
    )
    slow_statement_ms: float = Field(
        default=500,
        ge=0,
        description="A statement that takes longer is told of in the log, by its operation's name and its "
        "fingerprint; in milliseconds.",
    )
    public_statement_seconds: float = Field(
        default=5,
        gt=0,
        le=600,
        description="The same for whoever is not signed in or sees nothing but what is their own, in seconds.",
    )
    caller_connections: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Connections of each worker that one caller may use at a time; further questions wait, then get "
        "RATE_LIMITED. All who are not signed in count as one.",
    )
    wait_seconds: float = Field(
        default=2, gt=0, le=60, description="Longest wait for a free connection, in seconds, before UNAVAILABLE."
    )


class SignIn(_Concern):
    """How people prove who they are, and for how long that holds."""

    token_hours: float = Field(
        default=12, gt=0, le=12, description="How long somebody stays signed in, in hours: a shift, at most 12."
    )
    link_hours: float = Field(
        default=24,
        gt=0,
        le=168,
        description="How long a one-time link opens, in hours.",
    )
    sign_in_tries: int = Field(
        default=5,
        ge=1,
        description="Tries for one name that may fail in a row before further ones wait: 2 s, then twice as long each "
        "time, up to 15 min.",
    )
    sign_in_address_tries: int = Field(
        default=5,
        ge=1,
        description="The same for all names from one network address, up to 30 s. Raise it where many people share an "
        "address, or a proxy stands before the hub.",
    )


class Limits(_Concern):
    """Ceilings on what one GraphQL operation may ask. Each refusal names the limit and what was asked."""

    max_body_bytes: int = Field(default=256 * 1024, ge=1024, description="Largest body of a GraphQL request, in bytes.")
    max_document_bytes: int = Field(default=16 * 1024, ge=256, description="Longest GraphQL document, in bytes.")
    max_tokens: int = Field(default=2000, ge=10, description="Most tokens in a document.")
    max_depth: int = Field(default=12, ge=1, description="Deepest nesting of selections.")
    max_root_fields: int = Field(
        default=20, ge=1, description="Most root fields in an operation, counted through fragments."
    )
    max_aliases: int = Field(default=50, ge=0, description="Most aliases in an operation, counted through fragments.")
    max_directives: int = Field(default=10, ge=1, description="Most directives in one place.")
    max_repeats: int = Field(
        default=20, ge=1, description="How often one selection set may name the same response key."
    )
    max_selections: int = Field(
        default=1000, ge=1, description="Most selections in an operation, counted through fragments."
    )
    max_cost: int = Field(
        default=50_000, ge=1, description="Most rows that an operation may ask for: page sizes, multiplied."
    )
    max_page: int = Field(default=5000, ge=1, description="Largest page (`first` or `last`).")
    max_variable_leaves: int = Field(default=5000, ge=1, description="Most values in the variables of a request.")
    max_variable_depth: int = Field(default=16, ge=1, description="Deepest nesting of variables.")
    documents: Path | None = Field(
        default=None,
        description="JSON file of GraphQL documents by id, which clients may send as `documentId` in place of `query`. "
        "Unset: none.",
    )
    max_in_list: int = Field(default=1000, ge=1, description="Longest list for `in` and `notIn`.")

    @field_validator("documents")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None:
            documents.kept(value)
        return value


class Photos(_Concern):
    """What a photo of an incident may be, and how much of a worker's time it may take."""

    max_photo_bytes: int = Field(
        default=10 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024, description="Largest photo that is taken, in bytes."
    )
    max_photo_megapixels: int = Field(
        default=50, ge=1, le=50, description="Most pixels that a photo may have, in millions; WebP at most 25."
    )
    photos_at_once: int = Field(
        default=2, ge=1, le=64, description="Photos that one worker makes ready at a time, each with up to 512 MB."
    )
    photo_seconds: float = Field(
        default=10, gt=0, le=60, description="Longest time that making a photo ready may take, in seconds."
    )
    photo_wait_seconds: float = Field(
        default=5, gt=0, le=60, description="Longest wait for its turn, in seconds, before UNAVAILABLE."
    )
    upload_idle_seconds: float = Field(
        default=30, gt=0, le=300, description="How long a photo on its way may bring no byte, in seconds."
    )
    upload_seconds: float = Field(
        default=300, gt=0, le=3600, description="How long a photo may take to come in, in seconds."
    )


class Intake(_Concern):
    """What trackers may send."""

    position_days: int = Field(
        default=90, ge=1, le=3650, description="How many days positions are kept; older fixes are put aside."
    )
    fixes_per_second: float = Field(
        default=20, gt=0, le=10_000, description="Fixes a second that each device may send for long, for each worker."
    )
    fixes_at_once: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Fixes that a device may send at once after a dead zone."
    )
    max_batch_rows: int = Field(default=20_000, ge=1, le=1_000_000, description="Most fixes in a batch.")
    max_batch_bytes: int = Field(
        default=32 * 1024 * 1024, ge=1024, le=1024**3, description="Largest batch, in bytes when it is inflated."
    )


class Settings:
    """All concerns together, as one process reads them."""

    def __init__(
        self,
        server: Server | None = None,
        database: Database | None = None,
        limits: Limits | None = None,
        sign_in: SignIn | None = None,
        photos: Photos | None = None,
        intake: Intake | None = None,
    ) -> None:
        self.server = server or Server()
        self.database = database or Database()
        self.limits = limits or Limits()
        self.sign_in = sign_in or SignIn()
        self.photos = photos or Photos()
        self.intake = intake or Intake()

    concerns = (Server, Database, SignIn, Limits, Photos, Intake)

    def each(self) -> tuple[_Concern, ...]:
        """The concerns as they were read."""
        return self.server, self.database, self.sign_in, self.limits, self.photos, self.intake

    def but(self, *, server: Server | None = None, database: Database | None = None) -> Settings:
        """The same with other concerns."""
        return Settings(
            server or self.server, database or self.database, self.limits, self.sign_in, self.photos, self.intake
        )

    @classmethod
    def read(cls, told: dict[str, dict[str, Any]]) -> Settings:
        """What another process of this hub read, by the concerns' names: a worker's environment does not count."""
        return cls(
            Server(**told["Server"]),
            Database(**told["Database"]),
            Limits(**told["Limits"]),
            SignIn(**told["SignIn"]),
            Photos(**told["Photos"]),
            Intake(**told["Intake"]),
        )
