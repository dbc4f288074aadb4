select convert_to((
  select '{"nodes":[' || coalesce(string_agg(p7.j0, ','), '') || (']}') as json
  from (
    select '{"plate":' || cast(to_json(t1.plate) as text) ||
    ',"driver":' || coalesce((
      select '{"since":' || to_char(timezone('UTC', t2.since), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') ||
      ',"person":' || coalesce((
        select '{"displayName":' || cast(to_json(t3.display_name) as text) || '}' as json
        from people as t3
        where t3.id = t2.person_id
      ), 'null') || '}' as json
      from vehicle_drivers as t2
      where t2.vehicle_id = t1.id and t2.until is null
      order by t2.since, t2.id
      limit 1
    ), 'null') ||
    ',"drivers":' || (
      select '{"nodes":[' || coalesce(string_agg(p6.j0, ','), '') || (']}') as json
      from (
        select '{"since":' || to_char(timezone('UTC', t4.since), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""') ||
        ',"until":' || coalesce(to_char(timezone('UTC', t4.until), '"\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\""'), 'null') ||
        ',"person":' || coalesce((
          select '{"displayName":' || cast(to_json(t5.display_name) as text) || '}' as json
          from people as t5
          where t5.id = t4.person_id
        ), 'null') || '}' as j0
        from vehicle_drivers as t4
        where t4.vehicle_id = t1.id
        order by t4.since asc, t4.id asc
        limit $1::integer
      ) as p6
    ) || '}' as j0
    from vehicles as t1
    order by t1.plate asc, t1.id asc
    limit $2::integer
  ) as p7
), 'UTF8') as r0;
-- $1 = 50
-- $2 = 50
