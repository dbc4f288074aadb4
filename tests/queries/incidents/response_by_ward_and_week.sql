select convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"ward":' || coalesce((
    select '{"name":' || cast(to_json(t15.name) as text) || '}' as json
    from wards as t15
    where t15.id = q14.g2
  ), 'null') ||
  ',"week":' || coalesce(cast(to_json(q14.g3) as text), 'null') ||
  ',"count":' || coalesce(cast(q14.m4 as text), 'null') ||
  ',"perKm2":' || coalesce(cast(to_json((cast(q14.n13 as double precision) * 1.0::float8) / cast(nullif(cast((
    select t16.area_km2
    from wards as t16
    where t16.id = q14.g2
  ) as double precision), 0) as numeric)) as text), 'null') ||
  ',"per10000People":' || coalesce(cast(to_json((cast(q14.n13 as double precision) * 10000::float8) / cast(nullif(cast((
    select t17.population
    from wards as t17
    where t17.id = q14.g2
  ) as double precision), 0) as numeric)) as text), 'null') ||
  ',"responseMinutes":' || '{"count":' || coalesce(cast(q14.m6 as text), 'null') ||
  ',"min":' || coalesce(cast(to_json(q14.m7) as text), 'null') ||
  ',"max":' || coalesce(cast(to_json(q14.m8) as text), 'null') ||
  ',"avg":' || coalesce(cast(to_json(q14.m9) as text), 'null') ||
  ',"sum":' || coalesce(cast(to_json(q14.m10) as text), 'null') ||
  ',"median":' || coalesce(cast(to_json(q14.m11) as text), 'null') ||
  ',"ninth":' || coalesce(cast(to_json(q14.m12) as text), 'null') || '}' || '}', ',' order by q14.n13 desc, q14.g2, q14.g3), '') || ']' end as anon_1
  from (
    select t1.ward_id as g2, cast(date_trunc('week', timezone('Africa/Nairobi', t1.occurred_at)) as date) as g3, count(*) as m4, count(l5.quantity) as m6, min(cast(l5.quantity as double precision)) as m7, max(cast(l5.quantity as double precision)) as m8, avg(cast(l5.quantity as double precision)) as m9, sum(cast(l5.quantity as double precision)) as m10, percentile_cont($1::float) within group (order by cast(l5.quantity as double precision)) as m11, percentile_cont($2::float) within group (order by cast(l5.quantity as double precision)) as m12, count(*) as n13
    from incidents as t1 join lateral (
      select date_part('epoch', (
        select min(incident_entries_1.at) as min_1
        from incident_entries as incident_entries_1
        where incident_entries_1.incident_id = t1.id and incident_entries_1.to_status = 'responding'
      ) - t1.reported_at) / cast(60 as double precision) as quantity
      limit all offset 0
    ) as l5 on true
    where true group by 1, 2
    limit 5001
  ) as q14
), 'UTF8') as r0;
-- $1 = 0.5
-- $2 = 0.9
