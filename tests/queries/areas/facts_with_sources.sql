select convert_to(coalesce((
  select '{"name":' || cast(to_json(t1.name) as text) ||
  ',"names":' || (
    select '{"nodes":[' || coalesce(string_agg(p4.j0, ','), '') || (']}') as json
    from (
      select '{"name":' || cast(to_json(t2.name) as text) ||
      ',"kind":"' || upper(t2.kind collate "C") || '","validFrom":' || coalesce(cast(to_json(lower(t2.valid)) as text), 'null') ||
      ',"validTo":' || coalesce(cast(to_json(upper(t2.valid)) as text), 'null') ||
      ',"source":' || coalesce((
        select '{"slug":' || cast(to_json(t3.slug) as text) ||
        ',"title":' || cast(to_json(t3.title) as text) || '}' as json
        from sources as t3
        where t3.id = t2.source_id
      ), 'null') || '}' as j0
      from area_names as t2
      where t2.area_id = t1.id
      order by t2.kind asc, t2.name asc, t2.id asc
      limit $1::integer
    ) as p4
  ) ||
  ',"memberships":' || (
    select '{"nodes":[' || coalesce(string_agg(p8.j0, ','), '') || (']}') as json
    from (
      select '{"accepted":' || cast(t5.accepted as text) ||
      ',"validFrom":' || coalesce(cast(to_json(lower(t5.valid)) as text), 'null') ||
      ',"parent":' || coalesce((
        select '{"level":"' || upper(t6.level collate "C") || '","code":' || cast(to_json(t6.code) as text) ||
        ',"name":' || coalesce(cast(to_json(coalesce((
          select wards.name
          from wards
          where wards.id = t6.id
        ), (
          select sub_counties.name
          from sub_counties
          where sub_counties.id = t6.id
        ), (
          select counties.name
          from counties
          where counties.id = t6.id
        ))) as text), 'null') || '}' as json
        from areas as t6
        where t6.id = t5.parent_id
      ), 'null') ||
      ',"note":' || coalesce(cast(to_json(t5.note) as text), 'null') ||
      ',"source":' || coalesce((
        select '{"slug":' || cast(to_json(t7.slug) as text) || '}' as json
        from sources as t7
        where t7.id = t5.source_id
      ), 'null') || '}' as j0
      from area_memberships as t5
      where t5.area_id = t1.id
      order by t5.accepted asc, t5.id asc
      limit $2::integer
    ) as p8
  ) ||
  ',"figures":' || (
    select '{"nodes":[' || coalesce(string_agg(p11.j0, ','), '') || (']}') as json
    from (
      select '{"figure":"' || upper(t9.figure collate "C") || '","value":' || cast(to_json(t9.value) as text) ||
      ',"asOf":' || cast(to_json(t9.as_of) as text) ||
      ',"source":' || coalesce((
        select '{"slug":' || cast(to_json(t10.slug) as text) ||
        ',"attribution":' || cast(to_json(t10.attribution) as text) || '}' as json
        from sources as t10
        where t10.id = t9.source_id
      ), 'null') || '}' as j0
      from area_figures as t9
      where t9.area_id = t1.id
      order by t9.figure asc, t9.as_of asc, t9.id asc
      limit $3::integer
    ) as p11
  ) ||
  ',"boundaries":' || (
    select '{"nodes":[' || coalesce(string_agg(p14.j0, ','), '') || (']}') as json
    from (
      select '{"generalisedMeters":' || coalesce(cast(t12.generalised_meters as text), 'null') ||
      ',"validFrom":' || coalesce(cast(to_json(lower(t12.valid)) as text), 'null') ||
      ',"source":' || coalesce((
        select '{"slug":' || cast(to_json(t13.slug) as text) || '}' as json
        from sources as t13
        where t13.id = t12.source_id
      ), 'null') || '}' as j0
      from area_boundaries as t12
      where t12.area_id = t1.id
      order by t12.id asc
      limit $4::integer
    ) as p14
  ) || '}' as json
  from wards as t1
  where t1.code = $5::varchar
  order by t1.code, t1.id
  limit 1
), 'null'), 'UTF8') as r0;
-- $1 = 50
-- $2 = 50
-- $3 = 50
-- $4 = 50
-- $5 = '1189'
