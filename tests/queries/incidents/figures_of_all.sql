select convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"count":' || coalesce(cast(q5.m2 as text), 'null') ||
  ',"newestReportedAt":' || coalesce(to_char(timezone('UTC', q5.m3), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""'), 'null') ||
  ',"ward":null,"__typename":"IncidentStats"}', ',' order by q5.n4 desc), '') || ']' end as anon_1
  from (
    select count(*) as m2, max(t1.reported_at) as m3, count(*) as n4
    from incidents as t1
    where true
    limit 5001
  ) as q5
), 'UTF8') as r0;
