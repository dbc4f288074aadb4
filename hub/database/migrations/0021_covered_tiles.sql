-- What tiles of incidents are made from: see hub/docs/performance.md. Runs as hub_owner, in one transaction. The index is made
-- anew: about 5 s for a million open incidents, in which none is written.


-- ── Open incidents by their place, with all that a tile shows ──────────────────────────────────────────────────────

-- Neighbours on the map came at any time and lie anywhere in the table: a page of it for each incident. In the index they lie
-- side by side, and with these columns it answers alone. The place stands in it twice: as a box of single precision, by which
-- it is found, and as it is.
drop index incidents_open_location;
create index incidents_open_location on incidents using gist (location) include (id, kind, severity, status, location)
  where status not in ('closed', 'rejected');
