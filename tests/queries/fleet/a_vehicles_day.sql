select convert_to(coalesce((
  select '{"plate":' || cast(to_json(t1.plate) as text) ||
  ',"department":' || coalesce((
    select '{"name":' || cast(to_json(t2.name) as text) || '}' as json
    from departments as t2
    where t2.id = t1.department_id
  ), 'null') ||
  ',"track":' || coalesce(st_asgeojson(coalesce((
    select case when (count(*) > 1) then st_simplify(st_makeline(positions_1.location order by positions_1.recorded_at), 0.3515625 / cast(power(2.0::double precision, least(greatest($1::float, 0::double precision), 22::double precision)) as double precision), true) end as anon_1
    from positions as positions_1
    where positions_1.vehicle_id = t1.id and positions_1.recorded_at >= $2::timestamp with time zone and positions_1.recorded_at < least($3::timestamp with time zone, $2::timestamp with time zone + interval '7 days') and positions_1.doubts = '{}'::text[]
  )), 7), 'null') ||
  ',"positions":' || (
    select '{"totalCount":' || cast((
      select count(*) as count_1
      from positions as t6
      where t6.vehicle_id = t1.id and t6.recorded_at < $4::timestamp with time zone and t6.recorded_at >= $5::timestamp with time zone
    ) as text) ||
    ',"nodes":[' || coalesce(string_agg(p5.j0, ','), '') || (']}') as json
    from (
      select '{"recordedAt":' || to_char(timezone('UTC', t3.recorded_at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') ||
      ',"location":' || st_asgeojson(t3.location, 7) ||
      ',"speedKmh":' || coalesce(cast(to_json(t3.speed_kmh) as text), 'null') ||
      ',"doubts":' || cast(to_json(cast(upper(cast(t3.doubts as text)) as text[])) as text) ||
      ',"ward":' || coalesce((
        select '{"name":' || cast(to_json(t4.name) as text) || '}' as json
        from wards as t4
        where t4.id = t3.ward_id
      ), 'null') || '}' as j0
      from positions as t3
      where t3.vehicle_id = t1.id and t3.recorded_at < $4::timestamp with time zone and t3.recorded_at >= $5::timestamp with time zone
      order by t3.recorded_at desc, t3.id asc
      limit $6::integer
    ) as p5
  ) ||
  ',"devices":' || (
    select '{"nodes":[' || coalesce(string_agg(p8.j0, ','), '') || (']}') as json
    from (
      select '{"label":' || cast(to_json(t7.label) as text) ||
      ',"createdAt":' || to_char(timezone('UTC', t7.created_at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') ||
      ',"revokedAt":' || coalesce(to_char(timezone('UTC', t7.revoked_at), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""'), 'null') || '}' as j0
      from devices as t7
      where t7.vehicle_id = t1.id
      order by t7.created_at asc, t7.id asc
      limit $7::integer
    ) as p8
  ) || '}' as json
  from vehicles as t1
  where t1.plate = $8::varchar
  order by t1.plate, t1.id
  limit 1
), 'null'), 'UTF8') as r0;
-- $1 = 12.0
-- $2 = datetime.datetime(2026, 3, 2, 21, 0, tzinfo=tzutc())
-- $3 = datetime.datetime(2026, 3, 3, 21, 0, tzinfo=tzutc())
-- $4 = datetime.datetime(2026, 3, 3, 21, 0, tzinfo=tzutc())
-- $5 = datetime.datetime(2026, 3, 2, 21, 0, tzinfo=tzutc())
-- $6 = 3
-- $7 = 5
-- $8 = 'KDA 123B'
