select convert_to((
  select case when (count(*) <= 5000) then '[' || coalesce(string_agg('{"day":' || coalesce(cast(to_json(q8.g2) as text), 'null') ||
  ',"subCounty":' || coalesce((
    select '{"code":' || cast(to_json(t9.code) as text) ||
    ',"name":' || cast(to_json(t9.name) as text) || '}' as json
    from sub_counties as t9
    where t9.id = q8.g3
  ), 'null') ||
  ',"kind":' || coalesce('"' || upper(q8.g4 collate "C") || '"', 'null') ||
  ',"status":null,"count":' || coalesce(cast(q8.m5 as text), 'null') || '}', ',' order by q8.n6 desc, q8.g2, q8.g3, q8.g4), '') || ']' end as anon_1
  from (
    select cast(timezone('Africa/Nairobi', t1.occurred_at) as date) as g2, (
      select wards_1.sub_county_id
      from wards as wards_1
      where wards_1.id = t1.ward_id
    ) as g3, t1.kind as g4, count(*) as m5, count(*) as n6
    from incidents as t1
    where exists (
      select 1
      from wards as t7
      where t7.id = t1.ward_id and t7.code = $1::varchar
    ) group by 1, 2, 3
    limit 5001
  ) as q8
), 'UTF8') as r0;
-- $1 = '1208'
