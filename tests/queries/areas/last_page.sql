select convert_to((
  select '{"edges":[' || coalesce(string_agg(p3.j0, ',' order by p3.n desc) filter (where p3.n <= $1::integer), '') || '],"pageInfo":{"hasNextPage":false,"hasPreviousPage":' || cast(count(*) > $1::integer as text) ||
  ',"startCursor":' || case when (least(count(*), $1::integer) > 0) then '"' || translate(encode(convert_to(cast(json_build_array('e716b32c8047', (array_agg(p3.k0))[cast(least(count(*), $1::integer) as integer)], cast((array_agg(p3.k1))[cast(least(count(*), $1::integer) as integer)] as text)) as text), 'UTF8'), 'base64'), e'\n', '') || '"' else 'null' end ||
  ',"endCursor":' || case when (least(count(*), $1::integer) > 0) then '"' || translate(encode(convert_to(cast(json_build_array('e716b32c8047', (array_agg(p3.k0))[1], cast((array_agg(p3.k1))[1] as text)) as text), 'UTF8'), 'base64'), e'\n', '') || '"' else 'null' end || ('}}') as json
  from (
    select p2.j0 as j0, p2.k0 as k0, p2.k1 as k1, row_number() over () as n
    from (
      select '{"cursor":"' || translate(encode(convert_to(cast(json_build_array('e716b32c8047', t1.code, cast(t1.id as text)) as text), 'UTF8'), 'base64'), e'\n', '') || '","node":' || '{"code":' || cast(to_json(t1.code) as text) || '}' || '}' as j0, t1.code as k0, t1.id as k1
      from wards as t1
      order by t1.code desc, t1.id desc
      limit $1::integer + 1
    ) as p2
  ) as p3
), 'UTF8') as r0;
-- $1 = 2
