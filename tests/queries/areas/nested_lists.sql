select convert_to((
  select '{"totalCount":' || cast((
    select count(*) as count_1
    from sub_counties as t8
  ) as text) ||
  ',"nodes":[' || coalesce(string_agg(p7.j0, ','), '') || (']}') as json
  from (
    select '{"code":' || cast(to_json(t1.code) as text) ||
    ',"name":' || cast(to_json(t1.name) as text) ||
    ',"wards":' || (
      select '{"totalCount":' || cast((
        select count(*) as count_2
        from wards as t6
        where t6.sub_county_id = t1.id and t6.population > $1::integer
      ) as text) ||
      ',"nodes":[' || coalesce(string_agg(p5.j0, ',') filter (where p5.n <= $2::integer), '') || '],"pageInfo":{"hasNextPage":' || cast(count(*) > $2::integer as text) || ('}}') as json
      from (
        select p4.j0 as j0, row_number() over () as n
        from (
          select '{"code":' || cast(to_json(t2.code) as text) ||
          ',"population":' || cast(t2.population as text) ||
          ',"subCounty":' || coalesce((
            select '{"code":' || cast(to_json(t3.code) as text) || '}' as json
            from sub_counties as t3
            where t3.id = t2.sub_county_id
          ), 'null') || '}' as j0
          from wards as t2
          where t2.sub_county_id = t1.id and t2.population > $1::integer
          order by t2.population desc, t2.id asc
          limit $2::integer + 1
        ) as p4
      ) as p5
    ) || '}' as j0
    from sub_counties as t1
    order by t1.code asc, t1.id asc
    limit $3::integer
  ) as p7
), 'UTF8') as r0;
-- $1 = 1000
-- $2 = 2
-- $3 = 2
