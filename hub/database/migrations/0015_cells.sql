-- Cells that figures are grouped by: squares and hexagons of any size. Runs as hub_owner, in one transaction.

-- The county lies on the equator, where a degree of longitude has 111,319.49 m and one of latitude 110,574.27 m (WGS 84);
-- at its southern end, 0.6 degrees away, that is off by less than 0.01 %. So cells are cut from a plane with these two
-- scales, and no point needs a projection. A cell is named by two whole numbers in one.

create function cell_key(first bigint, second bigint) returns bigint
  language sql
  immutable
  strict
  parallel safe
return (first + 1073741824) * 2147483648 + (second + 1073741824);
comment on function cell_key(bigint, bigint) is 'The name of a cell, from its two numbers.';

create function square_key(place geometry, meters double precision) returns bigint
  language sql
  immutable
  strict
  parallel safe
return cell_key(
  floor(st_x(place) * 111319.4908 / meters)::bigint,
  floor(st_y(place) * 110574.2727 / meters)::bigint
);
comment on function square_key(geometry, double precision) is 'The square of so many metres a side that a point lies in.';

create function square_shape(key bigint, meters double precision) returns geometry
  language sql
  immutable
  strict
  parallel safe
return st_makeenvelope(
  (key / 2147483648 - 1073741824) * meters / 111319.4908,
  (key % 2147483648 - 1073741824) * meters / 110574.2727,
  (key / 2147483648 - 1073741823) * meters / 111319.4908,
  (key % 2147483648 - 1073741823) * meters / 110574.2727,
  4326
);
comment on function square_shape(bigint, double precision) is 'The outline of a square.';

-- Hexagons stand on a side; `meters` is from one side to the opposite one, so that an edge is meters / sqrt(3). The three
-- axes of a hexagonal grid add up to nought: of the rounded three the one that moved most follows from the others.
create function hexagon_key(place geometry, meters double precision) returns bigint
  language plpgsql
  immutable
  strict
  parallel safe
  set search_path = public, pg_temp
as $$
declare
  edge constant double precision := meters / 1.7320508075688772;
  x constant double precision := st_x(place) * 111319.4908 / edge;
  y constant double precision := st_y(place) * 110574.2727 / edge;
  a constant double precision := x * 2 / 3;
  b constant double precision := y / 1.7320508075688772 - x / 3;
  c constant double precision := -a - b;
  whole_a double precision := round(a);
  whole_b double precision := round(b);
  whole_c constant double precision := round(c);
begin
  if abs(whole_a - a) > abs(whole_b - b) and abs(whole_a - a) > abs(whole_c - c) then
    whole_a := -whole_b - whole_c;
  elsif abs(whole_b - b) > abs(whole_c - c) then
    whole_b := -whole_a - whole_c;
  end if;
  return cell_key(whole_a::bigint, whole_b::bigint);
end
$$;
comment on function hexagon_key(geometry, double precision) is
  'The hexagon of so many metres from side to side that a point lies in.';

create function hexagon_shape(key bigint, meters double precision) returns geometry
  language sql
  immutable
  strict
  parallel safe
  set search_path = public, pg_temp
begin atomic
  select st_setsrid(st_makepolygon(st_makeline(array_agg(
    st_makepoint(
      (middle.x + edge.meters * cosd(corner * 60)) / 111319.4908,
      (middle.y + edge.meters * sind(corner * 60)) / 110574.2727
    ) order by corner
  ))), 4326)
  from (select meters / 1.7320508075688772 as meters) as edge,
    (select key / 2147483648 - 1073741824 as a, key % 2147483648 - 1073741824 as b) as axes,
    lateral (
      select edge.meters * 1.5 * axes.a as x, edge.meters * 1.7320508075688772 * (axes.b + axes.a / 2.0) as y
    ) as middle,
    generate_series(0, 6) as corner;
end;
comment on function hexagon_shape(bigint, double precision) is 'The outline of a hexagon.';

grant execute on function cell_key(bigint, bigint), square_key(geometry, double precision),
  square_shape(bigint, double precision), hexagon_key(geometry, double precision), hexagon_shape(bigint, double precision)
  to hub_public, hub_own, hub_area, hub_county;
