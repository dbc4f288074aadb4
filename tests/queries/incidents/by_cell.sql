select convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"hexagon":' || coalesce(st_asgeojson(hexagon_shape(q5.g2, $1::float), 7), 'null') ||
  ',"count":' || coalesce(cast(q5.m3 as text), 'null') || '}', ',' order by q5.n4 desc, q5.g2), '') || ']' end as anon_1
  from (
    select hexagon_key(t1.location, $1::float) as g2, count(*) as m3, count(*) as n4
    from incidents as t1
    where true group by 1
    limit 5001
  ) as q5
), 'UTF8') as r0, convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"square":' || coalesce(st_asgeojson(square_shape(q11.g7, $2::float), 7), 'null') ||
  ',"severity":' || coalesce('"' || upper(q11.g8 collate "C") || '"', 'null') ||
  ',"count":' || coalesce(cast(q11.m9 as text), 'null') || '}', ',' order by q11.n10 desc, q11.g7, q11.g8), '') || ']' end as anon_2
  from (
    select square_key(t6.location, $2::float) as g7, t6.severity as g8, count(*) as m9, count(*) as n10
    from incidents as t6
    where true group by 1, 2
    limit 5001
  ) as q11
), 'UTF8') as r1, convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"hourOfDay":' || coalesce(cast(q17.g13 as text), 'null') ||
  ',"dayOfWeek":' || coalesce(cast(q17.g14 as text), 'null') ||
  ',"hour":null,"count":' || coalesce(cast(q17.m15 as text), 'null') || '}', ',' order by q17.n16 desc, q17.g13, q17.g14), '') || ']' end as anon_3
  from (
    select cast(date_part('hour', timezone('Africa/Nairobi', t12.occurred_at)) as integer) as g13, cast(date_part('isodow', timezone('Africa/Nairobi', t12.occurred_at)) as integer) as g14, count(*) as m15, count(*) as n16
    from incidents as t12
    where true group by 1, 2
    limit 5001
  ) as q17
), 'UTF8') as r2, convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"count":' || coalesce(cast(q31.m19 as text), 'null') ||
  ',"wards":' || coalesce(cast(q31.m20 as text), 'null') ||
  ',"extent":' || coalesce(cast(to_json(q31.m21) as text), 'null') ||
  ',"centroid":' || coalesce(st_asgeojson(q31.m22, 7), 'null') ||
  ',"reportMinutes":' || '{"count":' || coalesce(cast(q31.m24 as text), 'null') ||
  ',"avg":' || coalesce(cast(to_json(q31.m25) as text), 'null') || '}' ||
  ',"closeMinutes":' || '{"count":' || coalesce(cast(q31.m27 as text), 'null') ||
  ',"avg":' || coalesce(cast(to_json(q31.m28) as text), 'null') ||
  ',"percentile":' || coalesce(cast(to_json(q31.m29) as text), 'null') || '}' || '}', ',' order by q31.n30 desc), '') || ']' end as anon_4
  from (
    select count(*) as m19, count(distinct t18.ward_id) as m20, case when (min(st_x(t18.location)) is not null) then cast(array[round(cast(min(st_x(t18.location)) as numeric), 7), round(cast(min(st_y(t18.location)) as numeric), 7), round(cast(max(st_x(t18.location)) as numeric), 7), round(cast(max(st_y(t18.location)) as numeric), 7)] as numeric[]) end as m21, st_setsrid(st_makepoint(avg(st_x(t18.location)), avg(st_y(t18.location))), 4326) as m22, count(l23.quantity) as m24, avg(cast(l23.quantity as double precision)) as m25, count(l26.quantity) as m27, avg(cast(l26.quantity as double precision)) as m28, percentile_cont($3::float) within group (order by cast(l26.quantity as double precision)) as m29, count(*) as n30
    from incidents as t18 join lateral (
      select date_part('epoch', t18.reported_at - t18.occurred_at) / cast(60 as double precision) as quantity
      limit all offset 0
    ) as l23 on true join lateral (
      select case when (t18.status = 'closed') then date_part('epoch', (
        select max(incident_entries_1.at) as max_1
        from incident_entries as incident_entries_1
        where incident_entries_1.incident_id = t18.id and incident_entries_1.to_status = 'closed'
      ) - t18.reported_at) / cast(60 as double precision) end as quantity
      limit all offset 0
    ) as l26 on true
    where true
    limit 5001
  ) as q31
), 'UTF8') as r3, convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"count":' || coalesce(cast(q41.m33 as text), 'null') ||
  ',"extent":' || coalesce(cast(to_json(q41.m34) as text), 'null') ||
  ',"centroid":' || coalesce(st_asgeojson(q41.m35, 7), 'null') ||
  ',"reportMinutes":' || '{"count":' || coalesce(cast(q41.m37 as text), 'null') ||
  ',"sum":' || coalesce(cast(to_json(q41.m38) as text), 'null') ||
  ',"avg":' || coalesce(cast(to_json(q41.m39) as text), 'null') || '}' || '}', ',' order by q41.n40 desc), '') || ']' end as anon_5
  from (
    select count(*) as m33, case when (min(st_x(t32.location)) is not null) then cast(array[round(cast(min(st_x(t32.location)) as numeric), 7), round(cast(min(st_y(t32.location)) as numeric), 7), round(cast(max(st_x(t32.location)) as numeric), 7), round(cast(max(st_y(t32.location)) as numeric), 7)] as numeric[]) end as m34, st_setsrid(st_makepoint(avg(st_x(t32.location)), avg(st_y(t32.location))), 4326) as m35, count(l36.quantity) as m37, sum(cast(l36.quantity as double precision)) as m38, avg(cast(l36.quantity as double precision)) as m39, count(*) as n40
    from incidents as t32 join lateral (
      select date_part('epoch', t32.reported_at - t32.occurred_at) / cast(60 as double precision) as quantity
      limit all offset 0
    ) as l36 on true
    where t32.kind = $4::varchar
    limit 5001
  ) as q41
), 'UTF8') as r4;
-- $1 = 5000.0
-- $2 = 2000.0
-- $3 = 1.0
-- $4 = 'lightning'
