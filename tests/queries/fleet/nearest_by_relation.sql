select convert_to((
  select '{"edges":[' || coalesce(string_agg(p6.j0, ','), '') || (']}') as json
  from (
    select '{"distanceMeters":' || coalesce(cast(to_json((
      select st_distance(cast(t2.location as geography(geometry,4326)), cast(st_setsrid(st_makepoint($1::float, $2::float), 4326) as geography(geometry,4326))) as "ST_Distance_1"
      from latest_positions as t2
      where t2.vehicle_id = t1.id
    )) as text), 'null') ||
    ',"node":' || '{"plate":' || cast(to_json(t1.plate) as text) ||
    ',"department":' || coalesce((
      select '{"name":' || cast(to_json(t3.name) as text) || '}' as json
      from departments as t3
      where t3.id = t1.department_id
    ), 'null') || '}' || '}' as j0
    from vehicles as t1
    order by (
      select st_distance(cast(t4.location as geography(geometry,4326)), cast(st_setsrid(st_makepoint($1::float, $2::float), 4326) as geography(geometry,4326))) as "ST_Distance_2"
      from latest_positions as t4
      where t4.vehicle_id = t1.id
    ) asc, (
      select t5.name
      from departments as t5
      where t5.id = t1.department_id
    ) desc, t1.id asc
    limit $3::integer
  ) as p6
), 'UTF8') as r0;
-- $1 = 34.75
-- $2 = -0.1
-- $3 = 50
