select convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"ward":' || coalesce((
    select '{"code":' || cast(to_json(t8.code) as text) ||
    ',"name":' || cast(to_json(t8.name) as text) || '}' as json
    from wards as t8
    where t8.id = q7.g2
  ), 'null') ||
  ',"severity":' || coalesce('"' || upper(q7.g3 collate "C") || '"', 'null') ||
  ',"count":' || coalesce(cast(q7.m4 as text), 'null') ||
  ',"oldestReportedAt":' || coalesce(to_char(timezone('UTC', q7.m5), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""'), 'null') || '}', ',' order by q7.n6 desc, q7.g2, q7.g3), '') || ']' end as anon_1
  from (
    select t1.ward_id as g2, t1.severity as g3, count(*) as m4, min(t1.reported_at) as m5, count(*) as n6
    from incidents as t1
    where t1.status != all($1::text[]) group by 1, 2
    limit 5001
  ) as q7
), 'UTF8') as r0;
-- $1 = ['closed', 'rejected']
