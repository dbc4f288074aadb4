-- What a tracker's fix is to a peer that makes rows: a table with a key and the constraints of the hub's own, as full as
-- the week that the hub's fixes go into. To keep such an index is most of the work.

create table peer.fixes (
  id uuid not null default gen_random_uuid(),
  device_id uuid not null,
  recorded_at timestamptz not null,
  vehicle_id uuid not null,
  received_at timestamptz not null default now(),
  longitude double precision not null check (longitude between 33 and 37),
  latitude double precision not null check (latitude between -2 and 2),
  location public.geometry(point, 4326) not null
    generated always as (public.st_setsrid(public.st_makepoint(longitude, latitude), 4326)) stored,
  speed_kmh real check (speed_kmh >= 0),
  heading real check (heading >= 0 and heading < 360)
);
insert into peer.fixes (
  id, device_id, recorded_at, vehicle_id, received_at, longitude, latitude, speed_kmh, heading)
select id, device_id, recorded_at, vehicle_id, received_at, st_x(location), st_y(location), speed_kmh, heading
from positions
where recorded_at >= (select max(recorded_at) from latest_positions) - interval '7 days';
alter table peer.fixes add primary key (id), add unique (device_id, recorded_at);
create index on peer.fixes (vehicle_id, recorded_at);
create index on peer.fixes using gist (location);
analyze peer.fixes;
