select convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"week":' || coalesce(cast(to_json(q11.g2) as text), 'null') ||
  ',"status":' || coalesce('"' || upper(q11.g3 collate "C") || '"', 'null') ||
  ',"count":' || coalesce(cast(q11.m4 as text), 'null') ||
  ',"units":' || coalesce(cast(q11.m5 as text), 'null') ||
  ',"lateMinutes":' || '{"count":' || coalesce(cast(q11.m7 as text), 'null') ||
  ',"avg":' || coalesce(cast(to_json(q11.m8) as text), 'null') ||
  ',"max":' || coalesce(cast(to_json(q11.m9) as text), 'null') || '}' || '}', ',' order by q11.n10 desc, q11.g2, q11.g3), '') || ']' end as anon_1
  from (
    select cast(date_trunc('week', timezone('Africa/Nairobi', t1.planned_start)) as date) as g2, t1.status as g3, count(*) as m4, count(distinct t1.unit_id) as m5, count(l6.quantity) as m7, avg(cast(l6.quantity as double precision)) as m8, max(cast(l6.quantity as double precision)) as m9, count(*) as n10
    from patrols as t1 join lateral (
      select date_part('epoch', t1.started_at - t1.planned_start) / cast(60 as double precision) as quantity
      limit all offset 0
    ) as l6 on true
    where true group by 1, 2
    limit 5001
  ) as q11
), 'UTF8') as r0;
