select convert_to((
  select '{"edges":[' || coalesce(string_agg(p3.j0, ',') filter (where p3.n <= $1::integer), '') || '],"pageInfo":{"hasNextPage":' || cast(count(*) > $1::integer as text) || ('}}') as json
  from (
    select p2.j0 as j0, row_number() over () as n
    from (
      select '{"distanceMeters":' || coalesce(cast(to_json(st_distance(cast(t1.location as geography(geometry,4326)), cast(st_setsrid(st_makepoint($2::float, $3::float), 4326) as geography(geometry,4326)))) as text), 'null') ||
      ',"node":' || '{"title":' || cast(to_json(t1.title) as text) || '}' || '}' as j0
      from incidents as t1
      order by st_distance(cast(t1.location as geography(geometry,4326)), cast(st_setsrid(st_makepoint($2::float, $3::float), 4326) as geography(geometry,4326))) asc, t1.id asc
      limit $1::integer + 1
    ) as p2
  ) as p3
), 'UTF8') as r0, convert_to((
  select '{"edges":[' || coalesce(string_agg(p5.j0, ','), '') || (']}') as json
  from (
    select '{"distanceMeters":null,"node":' || '{"title":' || cast(to_json(t4.title) as text) || '}' || '}' as j0
    from incidents as t4
    order by t4.reported_at desc, t4.id asc
    limit $4::integer
  ) as p5
), 'UTF8') as r1;
-- $1 = 2
-- $2 = 34.75
-- $3 = -0.1
-- $4 = 1
