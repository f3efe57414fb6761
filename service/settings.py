"""The settings of a server: one model for its file, its environment and its flags."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from index.opening import Place, place_of
from lsr.errors import NotFoundError, UsageError
from service.api.hosts import is_loopback
from service.state.keys import SHORTEST_ADMIN_KEY

ENVIRONMENT = "LSR_SERVE_"
"""What the names of its variables begin with: LSR_SERVE_PORT."""


def _place(value: object) -> object:
    """What a text names, for pydantic."""
    try:
        return place_of(value) if isinstance(value, str) else value
    except UsageError as error:
        raise ValueError(str(error)) from error


ServedPlace = Annotated[Place, BeforeValidator(_place), PlainSerializer(str, return_type=str)]


class ServerSettings(BaseSettings):
    """What a server serves, where, and within which limits.

    What is passed goes before the environment's variables ``LSR_SERVE_NAME``, these before the
    file that ``load`` reads, and that before the defaults. Lists are JSON in the environment.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
    )

    paths: list[ServedPlace] = Field(
        default=[],
        description="Collections, folders of collections, or addresses of collections in Qdrant. "
        "New indexes go to the first folder.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port; 0: any free one.")
    allow_host: list[str] = Field(
        default=[], description="Names beside its own to which it answers, as a proxy's."
    )
    reranker: list[str] = Field(
        default=[], description="Models that requests may re-rank by, as --rerank takes them."
    )
    workers: int = Field(
        default=1, ge=1, le=64, description="Processes that serve, which share the segments."
    )
    state: Path | None = Field(
        default=None,
        description="File of keys, aliases and tasks; by default .lsr/server.sqlite in the first "
        "folder of paths, and a temporary one where there is no folder.",
    )
    largest_body: int = Field(
        default=64 << 20, gt=0, description="Bytes of the largest body of a request."
    )
    deadline_ms: float = Field(
        default=5000, ge=0, description="Milliseconds of a read, after which it ends."
    )
    grace_seconds: int = Field(
        default=5,
        ge=0,
        le=3600,
        description="Seconds that requests in flight may take once the server is to stop; 4 s "
        "later it ends whatever still runs.",
    )
    encoder_queue: int = Field(
        default=64,
        ge=1,
        description="Searches that may wait for a model to encode their queries; more get 503.",
    )
    encoder_batch: int = Field(
        default=32, ge=1, description="Queries that a model encodes at once, at most."
    )
    query_cache: int = Field(
        default=32 << 20,
        ge=0,
        description="Bytes of kept answers of each worker, which go when the index changes; 0: "
        "none is kept.",
    )
    recall_probe: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of the approximate searches that are repeated exactly in idle time.",
    )
    metrics: bool = Field(default=True, description="Whether /metrics is for Prometheus.")
    tracing: bool = Field(
        default=False,
        description="Whether OpenTelemetry gets spans, as the variables OTEL_* say.",
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="How the log is written: text, or json, an object a line."
    )
    access_log: bool = Field(
        default=False, description="Whether each request is logged, on standard output."
    )
    log_queries: bool = Field(
        default=False, description="Whether texts of queries are in the log of requests and spans."
    )

    encoders: list[str] = Field(
        default=[],
        description="Encoders, sparse and dense, that new indexes may have beside bm25 and the one "
        "that ships with lsr.",
    )
    import_folders: list[Path] = Field(
        default=[], description="Folders whose files may be imported by requests."
    )
    import_urls: list[str] = Field(
        default=[],
        description="What the addresses begin with that may be imported by requests, as "
        "https://data.example.org/corpora/.",
    )
    largest_import: int = Field(
        default=8 << 30,
        gt=0,
        description="Bytes of the largest import: of its files, and of the texts in them.",
    )
    snapshots: Path | None = Field(
        default=None,
        description="Folder of snapshots; by default .lsr/snapshots in the first folder of paths.",
    )
    follow: str | None = Field(
        default=None,
        min_length=1,
        description="Folder or object store (s3://bucket/folder) of published snapshots to follow, "
        "with paths as the one folder to copy them to.",
    )
    follow_seconds: float = Field(
        default=5, gt=0, le=86_400, description="Seconds between two looks for newer snapshots."
    )
    writer: str | None = Field(
        default=None,
        min_length=1,
        description="Address of the server that takes writes, which one that follows names when it "
        "refuses them.",
    )
    tasks_kept: int = Field(
        default=1000, ge=1, le=1_000_000, description="Tasks that are kept once they have ended."
    )

    admin_key: SecretStr | None = Field(
        default=None,
        min_length=SHORTEST_ADMIN_KEY,
        description="A key that may do everything, for containers; best in the environment's "
        "LSR_SERVE_ADMIN_KEY. It is printed nowhere.",
    )
    open_to_all: bool = Field(
        default=False,
        description="Whether a server that others reach may do without keys, behind a proxy that "
        "asks who they are.",
    )

    allow_origin: list[str] = Field(
        default=[],
        description="Sites whose pages may ask it, as https://www.example.org; by default none "
        "but its own.",
    )
    trusted_proxies: list[str] = Field(
        default=[],
        description="Addresses or networks of proxies, whose X-Forwarded-For and "
        "X-Forwarded-Proto are believed. A server behind one needs a key, or open_to_all.",
    )
    tls_cert: Path | None = Field(
        default=None, description="PEM file of the certificate, and of those above it, for TLS."
    )
    tls_key: Path | None = Field(
        default=None, description="PEM file of its private key, without a password."
    )
    rate_by_key: str | None = Field(
        default=None,
        description='How often one key may ask, as in "100/second" or "20/second; 1000/hour".',
    )
    rate_by_address: str | None = Field(
        default=None, description="The same of an address, and of a /64 network of IPv6."
    )

    _file: ClassVar[Mapping[str, Any]] = {}

    @field_validator("admin_key", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        """What an environment sets to nothing, it leaves out."""
        return None if value == "" else value

    @field_validator("admin_key")
    @classmethod
    def _sendable(cls, key: SecretStr | None) -> SecretStr | None:
        value = "" if key is None else key.get_secret_value()
        if not (value.isascii() and value.isprintable() and " " not in value):
            raise ValueError("a key is of ASCII letters, digits and signs, without spaces")
        return key

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, proxies: list[str]) -> list[str]:
        for proxy in proxies:
            try:
                ip_network(proxy)
            except ValueError:
                raise ValueError("give addresses, or networks as 10.0.0.0/8") from None
        return proxies

    @model_validator(mode="after")
    def _both_of_tls(self) -> ServerSettings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        return self

    @model_validator(mode="after")
    def _copies_have_a_place(self) -> Self:
        if self.follow is not None and not (len(self.paths) == len(self.folders) == 1):
            raise ValueError(
                "a server that follows snapshots has one path: the folder to copy them to, as in: "
                "lsr serve COPIES --follow SNAPSHOTS"
            )
        if self.writer is not None and self.follow is None:
            raise ValueError("writer is for a server that follows snapshots, by the setting follow")
        return self

    @field_validator("rate_by_key", "rate_by_address")
    @classmethod
    def _rate(cls, text: str | None) -> str | None:
        if text is not None:
            from service.api.rates import parse_rates

            parse_rates(text)
        return text

    @property
    def folders(self) -> list[Path]:
        """Those of the paths that are directories."""
        return [place for place in self.paths if isinstance(place, Path)]

    @property
    def admin_token(self) -> str | None:
        """The admin key, of which nothing but its digest should be kept."""
        return None if self.admin_key is None else self.admin_key.get_secret_value()

    @property
    def needs_no_key(self) -> bool:
        """Whether requests need no key as long as none was made."""
        return self.open_to_all or (is_loopback(self.host) and not self.trusted_proxies)

    @model_validator(mode="after")
    def _queries_have_a_place(self) -> Self:
        if self.log_queries and not (self.access_log or self.tracing):
            raise ValueError(
                "log_queries was given, and nothing that would have them; turn access_log or "
                "tracing on too"
            )
        return self

    @classmethod
    def load(cls, given: Mapping[str, Any], file: Path | None = None) -> ServerSettings:
        """The settings of flags, environment and a TOML file.

        Args:
            given: what flags say, by name; what isn't in it, they don't say.
            file: a TOML file with the names of the settings as keys.

        Raises:
            NotFoundError: there is no such file.
            UsageError: a setting is unknown, or has a value that it can't have.
        """
        loaded = {} if file is None else _read(file)

        class Loaded(cls):  # type: ignore[misc, valid-type]
            _file: ClassVar[Mapping[str, Any]] = loaded

        try:
            return cls.model_construct(**dict(Loaded(**given)))
        except ValidationError as error:
            raise UsageError(_sentence(error)) from error

    def to_toml(self) -> str:
        """A file that ``load`` reads; a secret, and what has no value, stands in a comment."""
        lines = []
        for name, field in type(self).model_fields.items():
            value = self.model_dump(mode="json", include={name})[name]
            if isinstance(getattr(self, name), SecretStr):
                value = None
            # JSON's strings, numbers, booleans and lists of these are TOML's.
            shown = f"# {name} =" if value is None else f"{name} = {json.dumps(value)}"
            lines += [f"# {field.description}", shown, ""]
        return "\n".join(lines)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, file."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, dict(cls._file))


def _read(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {file} of settings") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"the settings of {file} can't be read: {error}") from error


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, without the value: it may be a secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        known = ", ".join(ServerSettings.model_fields)
        return f"there is no setting {name!r} of a server; there are: {known}"
    where = f"the setting {name!r}" if name else "the settings"
    return f"{where} of the server: {first['msg'].removeprefix('Value error, ')}"
