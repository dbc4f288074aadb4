select convert_to((
  select '{"totalCount":' || cast((
    select count(*) as count_1
    from (
      select incident_versions_1.id as id, incident_versions_1.reference as reference, incident_versions_1.node as node, incident_versions_1.version as version, incident_versions_1.kind as kind, incident_versions_1.title as title, incident_versions_1.description as description, incident_versions_1.severity as severity, incident_versions_1.certainty as certainty, incident_versions_1.urgency as urgency, incident_versions_1.status as status, incident_versions_1.location as location, incident_versions_1.place as place, incident_versions_1.ward_id as ward_id, incident_versions_1.beyond_border as beyond_border, incident_versions_1.occurred_at as occurred_at, incident_versions_1.reported_at as reported_at, incident_versions_1.source as source, incident_versions_1.reported_by as reported_by, incident_versions_1.precision as precision
      from incident_versions as incident_versions_1
      where (incident_versions_1.valid @> $1::timestamp with time zone) and (incident_versions_1.known @> 'infinity'::timestamptz)
    ) as t15
  ) as text) ||
  ',"nodes":[' || coalesce(string_agg(p14.j0, ','), '') || (']}') as json
  from (
    select '{"title":' || cast(to_json(t1.title) as text) ||
    ',"status":"' || upper(t1.status collate "C") || '","occurredAt":' || to_char(timezone('UTC', t1.occurred_at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') ||
    ',"ward":' || coalesce((
      select '{"name":' || cast(to_json(t2.name) as text) ||
      ',"subCounty":' || coalesce((
        select '{"name":' || cast(to_json(t3.name) as text) || '}' as json
        from (
          select anon_1.id as id, anon_1.code as code, anon_1.name as name, anon_1.aliases as aliases, anon_1.parent_id as county_id, anon_1.population as population, anon_1.population_year as population_year, anon_1.area_km2 as area_km2, anon_1.boundary as boundary, st_asgeojson(anon_1.boundary, 7) as boundary_json, anon_1.generalised_meters as generalised_meters, anon_1.label_point as label_point
          from areas_on(cast(timezone('Africa/Nairobi', $1::timestamp with time zone) as date)) as anon_1
          where anon_1.level = 'sub_county' and anon_1.population is not null and anon_1.area_km2 is not null and anon_1.boundary is not null and anon_1.parent_id is not null
        ) as t3
        where t3.id = t2.sub_county_id
      ), 'null') || '}' as json
      from (
        select anon_2.id as id, anon_2.code as code, anon_2.name as name, anon_2.aliases as aliases, anon_2.parent_id as sub_county_id, anon_2.population as population, anon_2.population_year as population_year, anon_2.area_km2 as area_km2, anon_2.boundary as boundary, st_asgeojson(anon_2.boundary, 7) as boundary_json, anon_2.generalised_meters as generalised_meters, anon_2.label_point as label_point
        from areas_on(cast(timezone('Africa/Nairobi', $1::timestamp with time zone) as date)) as anon_2
        where anon_2.level = 'ward' and anon_2.population is not null and anon_2.area_km2 is not null and anon_2.boundary is not null and anon_2.parent_id is not null
      ) as t2
      where t2.id = t1.ward_id
    ), 'null') ||
    ',"timeline":' || (
      select '{"nodes":[' || coalesce(string_agg(p5.j0, ','), '') || (']}') as json
      from (
        select '{"at":' || to_char(timezone('UTC', t4.at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') ||
        ',"toStatus":' || coalesce('"' || upper(t4.to_status collate "C") || '"', 'null') || '}' as j0
        from (
          select incident_entries_1.id as id, incident_entries_1.incident_id as incident_id, incident_entries_1.at as at, incident_entries_1.kind as kind, incident_entries_1.from_status as from_status, incident_entries_1.to_status as to_status, incident_entries_1.note as note, incident_entries_1.actor_id as actor_id
          from incident_entries as incident_entries_1
          where incident_entries_1.at <= $1::timestamp with time zone and incident_entries_1.at <= 'infinity'::timestamptz
        ) as t4
        where t4.incident_id = t1.id
        order by t4.at asc, t4.id asc
        limit $2::integer
      ) as p5
    ) ||
    ',"nearestVehicles":' || (
      select '[' || coalesce(string_agg(q13.item, ',' order by q13.meters, q13.key), '') || ']' as anon_3
      from (
        select '{"distanceMeters":' || cast(to_json(st_distance(cast(t11.location as geography(geometry,4326)), cast(t1.location as geography(geometry,4326)))) as text) ||
        ',"vehicle":' || '{"plate":' || cast(to_json(t10.plate) as text) ||
        ',"latestPosition":' || coalesce((
          select '{"recordedAt":' || to_char(timezone('UTC', t12.recorded_at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') || '}' as json
          from (
            select anon_4.vehicle_id as vehicle_id, anon_4.device_id as device_id, anon_4.recorded_at as recorded_at, anon_4.received_at as received_at, anon_4.location as location, anon_4.ward_id as ward_id, anon_4.speed_kmh as speed_kmh, anon_4.heading as heading, anon_4.altitude_meters as altitude_meters, anon_4.accuracy_meters as accuracy_meters, anon_4.battery as battery
            from latest_positions_on($1::timestamp with time zone, 'infinity'::timestamptz) as anon_4
          ) as t12
          where t12.vehicle_id = t10.id
        ), 'null') || '}' || '}' as item, st_distance(cast(t11.location as geography(geometry,4326)), cast(t1.location as geography(geometry,4326))) as meters, t10.id as key
        from (
          select anon_5.vehicle_id as vehicle_id, anon_5.device_id as device_id, anon_5.recorded_at as recorded_at, anon_5.received_at as received_at, anon_5.location as location, anon_5.ward_id as ward_id, anon_5.speed_kmh as speed_kmh, anon_5.heading as heading, anon_5.altitude_meters as altitude_meters, anon_5.accuracy_meters as accuracy_meters, anon_5.battery as battery
          from latest_positions_on($1::timestamp with time zone, 'infinity'::timestamptz) as anon_5
        ) as t11 join (
          select vehicle_versions_1.id as id, vehicle_versions_1.node as node, vehicle_versions_1.version as version, vehicle_versions_1.plate as plate, vehicle_versions_1.kind as kind, vehicle_versions_1.call_sign as call_sign, vehicle_versions_1.status as status, vehicle_versions_1.department_id as department_id, vehicle_versions_1.demonstration as demonstration
          from vehicle_versions as vehicle_versions_1
          where (vehicle_versions_1.valid @> $1::timestamp with time zone) and (vehicle_versions_1.known @> 'infinity'::timestamptz)
        ) as t10 on t10.id = t11.vehicle_id join (
          select max(st_distance(cast(q8.location as geography(geometry,4326)), cast(t1.location as geography(geometry,4326)))) + 0.01 as meters
          from (
            select t7.location as location
            from (
              select anon_6.vehicle_id as vehicle_id, anon_6.device_id as device_id, anon_6.recorded_at as recorded_at, anon_6.received_at as received_at, anon_6.location as location, anon_6.ward_id as ward_id, anon_6.speed_kmh as speed_kmh, anon_6.heading as heading, anon_6.altitude_meters as altitude_meters, anon_6.accuracy_meters as accuracy_meters, anon_6.battery as battery
              from latest_positions_on($1::timestamp with time zone, 'infinity'::timestamptz) as anon_6
            ) as t7 join (
              select vehicle_versions_2.id as id, vehicle_versions_2.node as node, vehicle_versions_2.version as version, vehicle_versions_2.plate as plate, vehicle_versions_2.kind as kind, vehicle_versions_2.call_sign as call_sign, vehicle_versions_2.status as status, vehicle_versions_2.department_id as department_id, vehicle_versions_2.demonstration as demonstration
              from vehicle_versions as vehicle_versions_2
              where (vehicle_versions_2.valid @> $1::timestamp with time zone) and (vehicle_versions_2.known @> 'infinity'::timestamptz)
            ) as t6 on t6.id = t7.vehicle_id
            where true
            order by t7.location <-> t1.location
            limit $3::integer
          ) as q8
        ) as q9 on (t11.location && st_expand(t1.location, q9.meters / cast(110000.0 as double precision))) and st_dwithin(cast(t11.location as geography(geometry,4326)), cast(t1.location as geography(geometry,4326)), q9.meters)
        where true
        order by meters, t10.id
        limit $3::integer
      ) as q13
    ) || '}' as j0
    from (
      select incident_versions_2.id as id, incident_versions_2.reference as reference, incident_versions_2.node as node, incident_versions_2.version as version, incident_versions_2.kind as kind, incident_versions_2.title as title, incident_versions_2.description as description, incident_versions_2.severity as severity, incident_versions_2.certainty as certainty, incident_versions_2.urgency as urgency, incident_versions_2.status as status, incident_versions_2.location as location, incident_versions_2.place as place, incident_versions_2.ward_id as ward_id, incident_versions_2.beyond_border as beyond_border, incident_versions_2.occurred_at as occurred_at, incident_versions_2.reported_at as reported_at, incident_versions_2.source as source, incident_versions_2.reported_by as reported_by, incident_versions_2.precision as precision
      from incident_versions as incident_versions_2
      where (incident_versions_2.valid @> $1::timestamp with time zone) and (incident_versions_2.known @> 'infinity'::timestamptz)
    ) as t1
    order by t1.reported_at desc, t1.id asc
    limit $4::integer
  ) as p14
), 'UTF8') as r0, convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"status":' || coalesce('"' || upper(q20.g17 collate "C") || '"', 'null') ||
  ',"count":' || coalesce(cast(q20.m18 as text), 'null') || '}', ',' order by q20.n19 desc, q20.g17), '') || ']' end as anon_7
  from (
    select t16.status as g17, count(*) as m18, count(*) as n19
    from (
      select incident_versions_3.id as id, incident_versions_3.reference as reference, incident_versions_3.node as node, incident_versions_3.version as version, incident_versions_3.kind as kind, incident_versions_3.title as title, incident_versions_3.description as description, incident_versions_3.severity as severity, incident_versions_3.certainty as certainty, incident_versions_3.urgency as urgency, incident_versions_3.status as status, incident_versions_3.location as location, incident_versions_3.place as place, incident_versions_3.ward_id as ward_id, incident_versions_3.beyond_border as beyond_border, incident_versions_3.occurred_at as occurred_at, incident_versions_3.reported_at as reported_at, incident_versions_3.source as source, incident_versions_3.reported_by as reported_by, incident_versions_3.precision as precision
      from incident_versions as incident_versions_3
      where (incident_versions_3.valid @> $5::timestamp with time zone) and (incident_versions_3.known @> 'infinity'::timestamptz)
    ) as t16
    where true group by 1
    limit 5001
  ) as q20
), 'UTF8') as r1, convert_to(coalesce((
  select '{"name":' || cast(to_json(t21.name) as text) ||
  ',"population":' || cast(t21.population as text) ||
  ',"subCounty":' || coalesce((
    select '{"name":' || cast(to_json(t22.name) as text) || '}' as json
    from (
      select anon_8.id as id, anon_8.code as code, anon_8.name as name, anon_8.aliases as aliases, anon_8.parent_id as county_id, anon_8.population as population, anon_8.population_year as population_year, anon_8.area_km2 as area_km2, anon_8.boundary as boundary, st_asgeojson(anon_8.boundary, 7) as boundary_json, anon_8.generalised_meters as generalised_meters, anon_8.label_point as label_point
      from areas_on(cast(timezone('Africa/Nairobi', $6::timestamp with time zone) as date)) as anon_8
      where anon_8.level = 'sub_county' and anon_8.population is not null and anon_8.area_km2 is not null and anon_8.boundary is not null and anon_8.parent_id is not null
    ) as t22
    where t22.id = t21.sub_county_id
  ), 'null') || '}' as json
  from (
    select anon_9.id as id, anon_9.code as code, anon_9.name as name, anon_9.aliases as aliases, anon_9.parent_id as sub_county_id, anon_9.population as population, anon_9.population_year as population_year, anon_9.area_km2 as area_km2, anon_9.boundary as boundary, st_asgeojson(anon_9.boundary, 7) as boundary_json, anon_9.generalised_meters as generalised_meters, anon_9.label_point as label_point
    from areas_on(cast(timezone('Africa/Nairobi', $6::timestamp with time zone) as date)) as anon_9
    where anon_9.level = 'ward' and anon_9.population is not null and anon_9.area_km2 is not null and anon_9.boundary is not null and anon_9.parent_id is not null
  ) as t21
  where t21.code = $7::varchar
  order by t21.code, t21.id
  limit 1
), 'null'), 'UTF8') as r2;
-- $1 = datetime.datetime(2026, 3, 2, 5, 45, tzinfo=tzutc())
-- $2 = 50
-- $3 = 1
-- $4 = 50
-- $5 = datetime.datetime(2026, 3, 2, 5, 45, tzinfo=tzutc())
-- $6 = datetime.datetime(2026, 3, 2, 5, 45, tzinfo=tzutc())
-- $7 = '1208'
