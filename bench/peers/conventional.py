"""The same questions in a Strawberry app as most people write it: resolvers, objects, asyncpg and DataLoaders."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NewType
from uuid import UUID

import asyncpg
import strawberry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.schema.config import StrawberryConfig
from strawberry.types import Info

GeoJSON = NewType("GeoJSON", object)


@strawberry.type
class SubCounty:
    id: strawberry.Private[UUID]
    code: str
    name: str


@strawberry.type
class Ward:
    id: strawberry.Private[UUID]
    sub_county_id: strawberry.Private[UUID]
    code: str
    name: str
    population: int
    area_km2: float
    boundary: GeoJSON

    @strawberry.field
    async def sub_county(self, info: Info[Any, Any]) -> SubCounty:
        return await info.context["sub_counties"].load(self.sub_county_id)


@strawberry.type
class Incident:
    id: strawberry.ID
    reference: str
    title: str
    kind: str
    severity: str
    status: str
    reported_at: datetime.datetime
    location: GeoJSON
    ward_id: strawberry.Private[UUID | None]

    @strawberry.field
    async def ward(self, info: Info[Any, Any]) -> Ward | None:
        return await info.context["wards"].load(self.ward_id) if self.ward_id else None


@strawberry.type
class LatestPosition:
    vehicle_id: strawberry.Private[UUID]
    recorded_at: datetime.datetime
    location: GeoJSON
    speed_kmh: float | None
    heading: float | None
    ward_id: strawberry.Private[UUID | None]

    @strawberry.field
    async def ward(self, info: Info[Any, Any]) -> Ward | None:
        return await info.context["wards"].load(self.ward_id) if self.ward_id else None


@strawberry.type
class Vehicle:
    id: strawberry.ID
    plate: str
    kind: str
    status: str

    @strawberry.field
    async def latest_position(self, info: Info[Any, Any]) -> LatestPosition | None:
        return await info.context["latest_positions"].load(UUID(self.id))


@strawberry.type
class NearVehicle:
    distance_meters: float
    vehicle: Vehicle


_WARDS = "select id, sub_county_id, code, name, population, area_km2, boundary_json as boundary from wards"
_VEHICLES = "select id::text, plate, kind, status from vehicles"


def _ward(row: asyncpg.Record) -> Ward:
    return Ward(**{**row, "boundary": json.loads(row["boundary"])})


def _located(kind: Any, row: asyncpg.Record) -> Any:
    return kind(**{**row, "location": json.loads(row["location"])})


@strawberry.type
class Query:
    @strawberry.field
    async def incidents(self, info: Info[Any, Any], bbox: list[float], first: int) -> list[Incident]:
        rows = await info.context["pool"].fetch(
            "select id::text, reference, title, kind, severity, status, reported_at, "
            "st_asgeojson(location, 7) as location, ward_id from incidents "
            "where location && st_makeenvelope($1, $2, $3, $4, 4326) order by reported_at desc, id limit $5",
            *bbox,
            first,
        )
        return [_located(Incident, row) for row in rows]

    @strawberry.field
    async def wards(self, info: Info[Any, Any]) -> list[Ward]:
        return [_ward(row) for row in await info.context["pool"].fetch(f"{_WARDS} order by code")]

    @strawberry.field
    async def vehicles(self, info: Info[Any, Any], first: int) -> list[Vehicle]:
        return [
            Vehicle(**row) for row in await info.context["pool"].fetch(f"{_VEHICLES} order by plate limit $1", first)
        ]

    @strawberry.field
    async def ward_at(self, info: Info[Any, Any], point: list[float]) -> Ward | None:
        row = await info.context["pool"].fetchrow(
            f"{_WARDS} where st_covers(boundary, st_setsrid(st_makepoint($1, $2), 4326)) order by code limit 1", *point
        )
        return _ward(row) if row else None

    @strawberry.field
    async def nearest_vehicles(self, info: Info[Any, Any], to: list[float], first: int) -> list[NearVehicle]:
        rows = await info.context["pool"].fetch(
            "select * from (select v.id::text, v.plate, v.kind, v.status, st_distance(p.location::geography, "
            "st_setsrid(st_makepoint($1, $2), 4326)::geography) as meters from latest_positions p "
            "join vehicles v on v.id = p.vehicle_id where v.status = 'available' "
            "order by p.location <-> st_setsrid(st_makepoint($1, $2), 4326) limit $3::integer * 4) near "
            "order by meters, id limit $3::integer",
            *to,
            first,
        )
        return [
            NearVehicle(distance_meters=meters, vehicle=Vehicle(id=id, plate=plate, kind=kind, status=status))
            for id, plate, kind, status, meters in rows
        ]


class App(GraphQL[Any, Any]):
    async def get_context(self, request: Request, response: Response) -> dict[str, Any]:  # type: ignore[override]
        pool: asyncpg.Pool = app.state.pool

        async def sub_counties(ids: list[UUID]) -> list[SubCounty | None]:
            rows = await pool.fetch("select id, code, name from sub_counties where id = any($1)", ids)
            found = {row["id"]: SubCounty(**row) for row in rows}
            return [found.get(id) for id in ids]

        async def wards(ids: list[UUID]) -> list[Ward | None]:
            found = {row["id"]: _ward(row) for row in await pool.fetch(f"{_WARDS} where id = any($1)", ids)}
            return [found.get(id) for id in ids]

        async def latest_positions(ids: list[UUID]) -> list[LatestPosition | None]:
            rows = await pool.fetch(
                "select vehicle_id, recorded_at, st_asgeojson(location, 7) as location, speed_kmh, heading, ward_id "
                "from latest_positions where vehicle_id = any($1)",
                ids,
            )
            found = {row["vehicle_id"]: _located(LatestPosition, row) for row in rows}
            return [found.get(id) for id in ids]

        return {
            "pool": pool,
            "sub_counties": DataLoader(sub_counties),
            "wards": DataLoader(wards),
            "latest_positions": DataLoader(latest_positions),
        }


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    connections = int(os.environ["BENCH_CONNECTIONS"])
    app.state.pool = await asyncpg.create_pool(
        os.environ["BENCH_DATABASE_URL"],
        min_size=connections,
        max_size=connections,
        server_settings={"plan_cache_mode": os.environ["BENCH_PLANS"], "jit": "off"},
    )
    yield
    await app.state.pool.close()


_geojson = strawberry.scalar(name="GeoJSON", serialize=lambda value: value, parse_value=lambda value: value)
schema = strawberry.Schema(Query, config=StrawberryConfig(scalar_map={GeoJSON: _geojson}))
app = Starlette(routes=[Mount("/", App(schema))], lifespan=lifespan)
