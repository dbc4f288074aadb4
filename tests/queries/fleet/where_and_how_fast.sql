select convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"kind":' || coalesce('"' || upper(q11.g2 collate "C") || '"', 'null') ||
  ',"subCounty":' || coalesce((
    select '{"name":' || cast(to_json(t12.name) as text) || '}' as json
    from sub_counties as t12
    where t12.id = q11.g3
  ), 'null') ||
  ',"count":' || coalesce(cast(q11.m4 as text), 'null') ||
  ',"located":' || coalesce(cast(q11.m5 as text), 'null') ||
  ',"perKm2":' || coalesce(cast(to_json((cast(q11.n10 as double precision) * 1.0::float8) / cast(nullif(cast((
    select t13.area_km2
    from sub_counties as t13
    where t13.id = q11.g3
  ) as double precision), 0) as numeric)) as text), 'null') ||
  ',"per10000People":' || coalesce(cast(to_json((cast(q11.n10 as double precision) * 10000::float8) / cast(nullif(cast((
    select t14.population
    from sub_counties as t14
    where t14.id = q11.g3
  ) as double precision), 0) as numeric)) as text), 'null') ||
  ',"newestRecordedAt":' || coalesce(to_char(timezone('UTC', q11.m6), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""'), 'null') ||
  ',"speedKmh":' || '{"count":' || coalesce(cast(q11.m8 as text), 'null') ||
  ',"max":' || coalesce(cast(to_json(q11.m9) as text), 'null') || '}' || '}', ',' order by q11.n10 desc, q11.g2, q11.g3), '') || ']' end as anon_1
  from (
    select t1.kind as g2, (
      select wards_1.sub_county_id
      from wards as wards_1
      where wards_1.id = (
        select latest_positions_1.ward_id
        from latest_positions as latest_positions_1
        where latest_positions_1.vehicle_id = t1.id
      )
    ) as g3, count(*) as m4, count((
      select latest_positions_2.recorded_at
      from latest_positions as latest_positions_2
      where latest_positions_2.vehicle_id = t1.id
    )) as m5, max((
      select latest_positions_3.recorded_at
      from latest_positions as latest_positions_3
      where latest_positions_3.vehicle_id = t1.id
    )) as m6, count(l7.quantity) as m8, max(cast(l7.quantity as double precision)) as m9, count(*) as n10
    from vehicles as t1 join lateral (
      select (
        select latest_positions_4.speed_kmh
        from latest_positions as latest_positions_4
        where latest_positions_4.vehicle_id = t1.id
      ) as quantity
      limit all offset 0
    ) as l7 on true
    where true group by 1, 2
    limit 5001
  ) as q11
), 'UTF8') as r0, convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"count":' || coalesce(cast(q21.m16 as text), 'null') ||
  ',"located":' || coalesce(cast(q21.m17 as text), 'null') ||
  ',"extent":' || coalesce(cast(to_json(q21.m18) as text), 'null') ||
  ',"centroid":' || coalesce(st_asgeojson(q21.m19, 7), 'null') || '}', ',' order by q21.n20 desc), '') || ']' end as anon_2
  from (
    select count(*) as m16, count((
      select latest_positions_5.recorded_at
      from latest_positions as latest_positions_5
      where latest_positions_5.vehicle_id = t15.id
    )) as m17, case when (min(st_x((
      select latest_positions_6.location
      from latest_positions as latest_positions_6
      where latest_positions_6.vehicle_id = t15.id
    ))) is not null) then cast(array[round(cast(min(st_x((
      select latest_positions_6.location
      from latest_positions as latest_positions_6
      where latest_positions_6.vehicle_id = t15.id
    ))) as numeric), 7), round(cast(min(st_y((
      select latest_positions_6.location
      from latest_positions as latest_positions_6
      where latest_positions_6.vehicle_id = t15.id
    ))) as numeric), 7), round(cast(max(st_x((
      select latest_positions_6.location
      from latest_positions as latest_positions_6
      where latest_positions_6.vehicle_id = t15.id
    ))) as numeric), 7), round(cast(max(st_y((
      select latest_positions_6.location
      from latest_positions as latest_positions_6
      where latest_positions_6.vehicle_id = t15.id
    ))) as numeric), 7)] as numeric[]) end as m18, st_setsrid(st_makepoint(avg(st_x((
      select latest_positions_7.location
      from latest_positions as latest_positions_7
      where latest_positions_7.vehicle_id = t15.id
    ))), avg(st_y((
      select latest_positions_7.location
      from latest_positions as latest_positions_7
      where latest_positions_7.vehicle_id = t15.id
    )))), 4326) as m19, count(*) as n20
    from vehicles as t15
    where true
    limit 5001
  ) as q21
), 'UTF8') as r1, convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"vehicle":' || coalesce((
    select '{"plate":' || cast(to_json(t34.plate) as text) || '}' as json
    from vehicles as t34
    where t34.id = q33.g23
  ), 'null') ||
  ',"day":' || coalesce(cast(to_json(q33.g24) as text), 'null') ||
  ',"count":' || coalesce(cast(q33.m25 as text), 'null') ||
  ',"vehicles":' || coalesce(cast(q33.m26 as text), 'null') ||
  ',"firstRecordedAt":' || coalesce(to_char(timezone('UTC', q33.m27), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""'), 'null') ||
  ',"lastRecordedAt":' || coalesce(to_char(timezone('UTC', q33.m28), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""'), 'null') ||
  ',"speedKmh":' || '{"avg":' || coalesce(cast(to_json(q33.m30) as text), 'null') ||
  ',"percentile":' || coalesce(cast(to_json(q33.m31) as text), 'null') || '}' || '}', ',' order by q33.n32 desc, q33.g23, q33.g24), '') || ']' end as anon_3
  from (
    select t22.vehicle_id as g23, cast(timezone('Africa/Nairobi', t22.recorded_at) as date) as g24, count(*) as m25, count(distinct t22.vehicle_id) as m26, min(t22.recorded_at) as m27, max(t22.recorded_at) as m28, avg(cast(l29.quantity as double precision)) as m30, percentile_cont($1::float) within group (order by cast(l29.quantity as double precision)) as m31, count(*) as n32
    from positions as t22 join lateral (
      select t22.speed_kmh as quantity
      limit all offset 0
    ) as l29 on true
    where t22.recorded_at < $2::timestamp with time zone and t22.recorded_at >= $3::timestamp with time zone group by 1, 2
    limit 5001
  ) as q33
), 'UTF8') as r2;
-- $1 = 0.5
-- $2 = datetime.datetime(2026, 3, 4, 0, 0, tzinfo=tzutc())
-- $3 = datetime.datetime(2026, 3, 2, 0, 0, tzinfo=tzutc())
