select convert_to((
  select '{"edges":[' || coalesce(string_agg(p3.j0, ',' order by p3.n desc) filter (where p3.n <= $1::integer), '') || '],"pageInfo":{"hasNextPage":false,"hasPreviousPage":' || cast(count(*) > $1::integer as text) ||
  ',"startCursor":' || coalesce('"' || (array_agg(p3.cursor order by p3.n desc) filter (where p3.n <= $1::integer))[1] || '"', 'null') ||
  ',"endCursor":' || coalesce('"' || (array_agg(p3.cursor order by p3.n asc) filter (where p3.n <= $1::integer))[1] || '"', 'null') || '}}' as json
  from (
    select p2.j0 as j0, p2.cursor as cursor, row_number() over () as n
    from (
      select '{"cursor":"' || translate(encode(convert_to(cast(json_build_array('e716b32c8047', t1.code, cast(t1.id as text)) as text), 'UTF8'), 'base64'), e'\n', '') || '","node":' || '{"code":' || cast(to_json(t1.code) as text) || '}' || '}' as j0, translate(encode(convert_to(cast(json_build_array('e716b32c8047', t1.code, cast(t1.id as text)) as text), 'UTF8'), 'base64'), e'\n', '') as cursor
      from wards as t1
      order by t1.code desc, t1.id desc
      limit $1::integer + 1
    ) as p2
  ) as p3
), 'UTF8') as r0;
-- $1 = 2
