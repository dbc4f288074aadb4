-- Ties, missing values, empty lists, letters to escape, more rows than a page: what the county's own data lacks.
update wards set
  generalised_meters = case when code::int % 3 = 0 then null else 100 * (code::int % 2 + 1) end,
  population = round(population, -4),
  area_km2 = case when code::int % 4 = 0 then 12.5 else area_km2 end,
  aliases = case code::int % 5
    when 0 then '{}'
    when 1 then array['O"Brien \ 50%_x', 'É' || code]
    when 2 then array[E'two\nlines', '']
    else aliases || name
  end,
  name = case when code in ('1190', '1191') then 'Same "name" \ 100%' when code = '1192' then E'É\tß 😀''' else name end;
update sub_counties set generalised_meters = null, population_year = 1999 where code in ('239', '241', '243');
insert into sources (slug, title, publisher, published, licence, attribution, note)
select 'extra-' || n, 'Title ' || n % 3, 'Publisher', case when n % 2 = 0 then date '2012-03-06' + n / 3 end,
  case when n % 3 = 0 then 'CC-BY' end, 'Attribution ' || n % 2, case when n % 4 = 0 then 'A note' end
from generate_series(1, 8) n;
insert into areas (level, code) values ('ward', '9999'), ('ward', '1001'), ('sub_county', '9998');
insert into sub_counties (id, code, name, aliases, county_id, population, population_year, area_km2, boundary, label_point)
select (select id from areas where code = '9998'), '9998', 'Empty', '{}', county_id, 0, 2009, 0, boundary, label_point
from sub_counties where code = '240';
insert into wards (id, code, name, aliases, sub_county_id, population, population_year, area_km2, boundary, label_point)
select areas.id, areas.code, 'Twin', '{}', sub_county_id, population, 2009, area_km2, boundary, label_point
from areas, wards where wards.code = '1197' and areas.code in ('9999', '1001');
insert into area_names (area_id, name, kind, valid, source_id, note)
select areas.id, 'Name ' || n % 60 || case when n % 7 = 0 then '%_\' else '' end, 'alias',
  daterange('1990-01-01', case when n % 2 = 0 then date '2000-01-01' + n end), s.id, case when n % 3 = 0 then 'n' || n % 5 end
from areas, sources s, generate_series(1, 60) n
where s.slug = 'extra-' || (n % 8 + 1) and areas.level = 'ward' and areas.code = '1186';
insert into area_names (area_id, name, kind, valid, source_id, note)
select areas.id, 'Old ' || right(code, 1), 'alias', daterange('1990-01-01', '1999-01-01'), s.id,
  case when right(code, 1) in ('1', '2', '3') then 'noted' end
from areas, sources s where s.slug = 'extra-1' and areas.code < '1200';
insert into area_memberships (area_id, parent_id, accepted, valid, source_id, note)
select w.id, s.id, false, daterange('2012-01-01', null), x.id, case when w.code < '1195' then 'disputed' end
from areas w, areas s, sources x
where w.level = 'ward' and w.code < '1200' and s.level = 'sub_county' and s.code in ('238', '239') and x.slug = 'extra-2';
insert into area_boundaries (area_id, boundary, label_point, generalised_meters, valid, source_id, note)
select w.id, w.boundary, w.label_point, case when w.code < '1195' then 50 end, daterange('1980-01-01', '1990-01-01'),
  x.id, case when w.code < '1190' then 'old' end
from wards w, sources x where w.code < '1200' and x.slug = 'extra-3';
insert into area_figures (area_id, figure, value, as_of, source_id, note)
select a.id, 'land_area_km2', n * 0.1234567890123456789012345678 + case when n % 2 = 0 then 0 else 1e-27 end,
  date '1999-08-24' + n / 3, x.id, case when n % 4 = 0 then 'measured' end
from areas a, sources x, generate_series(1, 8) n where a.code < '1196' and x.slug = 'extra-' || n;
insert into area_figures (area_id, figure, value, as_of, source_id)
select a.id, 'land_area_km2', 0.1000000000000000055511151231257827 + n * 1e-20, date '1989-08-24', x.id
from areas a, sources x, generate_series(1, 8) n where a.code = '1186' and x.slug = 'extra-' || n;
insert into waters (county_id, name, boundary, area_km2, approximate, valid, source_id, note)
select c.id, 'Pond ' || n, w.boundary, 3.5, n % 2 = 0, daterange('2000-01-01', null), x.id,
  case when n < 3 then 'A "pond"' end
from counties c, wards w, sources x, generate_series(1, 5) n where w.code = (1196 + n)::text and x.slug = 'extra-1';
