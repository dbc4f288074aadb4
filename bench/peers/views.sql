-- What the peers see of the same rows: no policies, the peers' own functions, in their best set-up.

create schema peer;

create view peer.sub_counties as select id, code, name from public.sub_counties;
comment on view peer.sub_counties is E'@primaryKey id';

create view peer.wards as
  select id, code, name, population, area_km2, boundary, boundary_json, sub_county_id from public.wards;
comment on view peer.wards is
  E'@primaryKey id\n@foreignKey (sub_county_id) references sub_counties (id)';

create view peer.incidents as
  select id, reference, title, kind, severity, status, reported_at, location, ward_id from public.incidents;
comment on view peer.incidents is E'@primaryKey id\n@foreignKey (ward_id) references wards (id)';

create view peer.vehicles as select id, plate, kind, status from public.vehicles;
comment on view peer.vehicles is E'@primaryKey id';

create view peer.latest_positions as
  select vehicle_id, recorded_at, location, speed_kmh, heading, ward_id from public.latest_positions;
comment on view peer.latest_positions is
  E'@primaryKey vehicle_id\n@foreignKey (vehicle_id) references vehicles (id)\n'
  '@foreignKey (ward_id) references wards (id)';

-- The map's layer, as the hub's tiles have it.
create view peer.open_incidents as
  select id::text, kind, severity, status, location from public.incidents where status not in ('closed', 'rejected');
comment on view peer.open_incidents is E'@omit';

-- Each of them is one plain statement, so that PostgreSQL looks through it.
create function peer.wards_geojson(ward peer.wards) returns json
  language sql stable parallel safe return ward.boundary_json::json;
create function peer.incidents_geojson(incident peer.incidents) returns json
  language sql stable parallel safe return public.st_asgeojson(incident.location, 7)::json;
create function peer.latest_positions_geojson(latest peer.latest_positions) returns json
  language sql stable parallel safe return public.st_asgeojson(latest.location, 7)::json;

create function peer.incidents_in_box(
  west double precision, south double precision, east double precision, north double precision
) returns setof peer.incidents
  language sql stable parallel safe rows 1000
as $$
  select * from peer.incidents
  where location operator(public.&&) public.st_makeenvelope(west, south, east, north, 4326)
  order by reported_at desc, id
$$;

create function peer.ward_at(longitude double precision, latitude double precision) returns peer.wards
  language sql stable parallel safe
as $$
  select * from peer.wards
  where public.st_covers(boundary, public.st_setsrid(public.st_makepoint(longitude, latitude), 4326))
  order by code limit 1
$$;

-- The distance on the map finds more than are asked for, the one on the ground puts them in order.
create type peer.near_vehicle as (vehicle_id uuid, distance_meters double precision);
comment on type peer.near_vehicle is E'@foreignKey (vehicle_id) references vehicles (id)';
create function peer.nearest_vehicles(longitude double precision, latitude double precision, many integer)
returns setof peer.near_vehicle
  language sql stable parallel safe rows 5
as $$
  select vehicle_id, meters from (
    select p.vehicle_id,
           public.st_distance(p.location::public.geography,
             public.st_setsrid(public.st_makepoint(longitude, latitude), 4326)::public.geography) as meters
    from peer.latest_positions p join peer.vehicles v on v.id = p.vehicle_id
    where v.status = 'available'
    order by p.location operator(public.<->) public.st_setsrid(public.st_makepoint(longitude, latitude), 4326)
    limit many * 4
  ) near order by meters, vehicle_id limit many
$$;
