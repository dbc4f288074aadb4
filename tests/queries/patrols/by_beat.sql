select convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"beat":' || coalesce((
    select '{"name":' || cast(to_json(t10.name) as text) || '}' as json
    from beats as t10
    where t10.id = q9.g2
  ), 'null') ||
  ',"count":' || coalesce(cast(q9.m3 as text), 'null') ||
  ',"hours":' || coalesce(cast(to_json(q9.m4) as text), 'null') ||
  ',"plannedMeters":' || coalesce(cast(to_json(q9.m5) as text), 'null') ||
  ',"coveredMeters":' || coalesce(cast(to_json(q9.m6) as text), 'null') ||
  ',"ratio":' || coalesce(cast(to_json(q9.m7) as text), 'null') || '}', ',' order by q9.n8 desc, q9.g2), '') || ']' end as anon_1
  from (
    select t1.beat_id as g2, count(*) as m3, sum(date_part('epoch', t1.ended_at - t1.started_at)) / cast(3600::double precision as double precision) as m4, sum((
      select patrol_coverages_1.planned_meters
      from patrol_coverages as patrol_coverages_1
      where patrol_coverages_1.patrol_id = t1.id
    )) as m5, sum((
      select patrol_coverages_2.covered_meters
      from patrol_coverages as patrol_coverages_2
      where patrol_coverages_2.patrol_id = t1.id
    )) as m6, sum((
      select patrol_coverages_3.covered_meters
      from patrol_coverages as patrol_coverages_3
      where patrol_coverages_3.patrol_id = t1.id
    )) / cast(nullif(sum((
      select patrol_coverages_4.planned_meters
      from patrol_coverages as patrol_coverages_4
      where patrol_coverages_4.patrol_id = t1.id
    )), 0::double precision) as numeric) as m7, count(*) as n8
    from patrols as t1
    where t1.status != $1::varchar and t1.day <= $2::date and t1.day >= $3::date group by 1
    limit 5001
  ) as q9
), 'UTF8') as r0;
-- $1 = 'cancelled'
-- $2 = datetime.date(2026, 3, 8)
-- $3 = datetime.date(2026, 3, 2)
