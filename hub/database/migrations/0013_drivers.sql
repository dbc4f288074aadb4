-- Who drives what, since when. Runs as hub_owner, in one transaction.

create table vehicle_drivers (
  id uuid primary key default public.uuidv7(),
  vehicle_id uuid not null references vehicles (id) on delete restrict,
  person_id uuid not null references people (id) on delete restrict,
  since timestamptz not null default now(),
  until timestamptz,
  constraint vehicle_drivers_in_order check (until >= since)
);
create index vehicle_drivers_vehicle_id on vehicle_drivers (vehicle_id, since);
create index vehicle_drivers_person_id on vehicle_drivers (person_id, since);
create unique index vehicle_drivers_one_at_the_wheel on vehicle_drivers (vehicle_id) where until is null;
create unique index vehicle_drivers_one_vehicle on vehicle_drivers (person_id) where until is null;
call guard_table('vehicle_drivers');
call keep_history('vehicle_drivers', 'until');
comment on table vehicle_drivers is 'Who answers for a vehicle on the road, or did: one at a time, and nobody for two vehicles at once.';
comment on column vehicle_drivers.id is 'UUIDv7.';
comment on column vehicle_drivers.vehicle_id is 'The vehicle.';
comment on column vehicle_drivers.person_id is 'Who drives it.';
comment on column vehicle_drivers.since is 'Since when.';
comment on column vehicle_drivers.until is 'Until when; null: still.';
call journal_table('vehicle_drivers', areas => null, audience => 'drivers', occurred => 'since');
