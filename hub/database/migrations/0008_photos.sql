-- Photos: what an incident looked like. Runs as hub_owner, in one transaction.

create table photos (
  id uuid primary key default public.uuidv7(),
  incident_id uuid not null references incidents (id) on delete restrict,
  digest bytea,
  sent bytea,
  width integer not null,
  height integer not null,
  image bytea,
  thumbnail bytea,
  added_at timestamptz not null default now(),
  added_by uuid references people (id) on delete restrict,
  erased_at timestamptz,
  constraint photos_once unique (incident_id, sent),
  constraint photos_size check (width between 1 and 2560 and height between 1 and 2560),
  -- All three are at the hub that took the photo; at another one, or after erasure, none is.
  constraint photos_whole check (num_nulls(sent, image, thumbnail) in (0, 3)),
  constraint photos_sent_whole check (octet_length(sent) = 32),
  constraint photos_digest_of_image check (image is null or (digest is not null and digest = sha256(image))),
  constraint photos_digest_there check (digest is not null or erased_at is not null),
  constraint photos_erased_whole check (erased_at is null or image is null),
  constraint photos_are_jpeg check (
    substring(image from 1 for 3) = '\xffd8ff' and substring(thumbnail from 1 for 3) = '\xffd8ff'
    and octet_length(image) <= 16777216 and octet_length(thumbnail) <= 1048576
  )
);
-- They are compressed already: trying again would cost time at each reading and writing.
alter table photos alter column image set storage external;
alter table photos alter column thumbnail set storage external;
create index photos_added_by on photos (added_by);
call guard_table('photos');
comment on table photos is 'Photos of an incident, as the hub made them anew from what was sent: pixels and nothing else.';
comment on column photos.id is 'UUIDv7; never used again.';
comment on column photos.incident_id is 'The incident.';
comment on column photos.digest is 'SHA-256 of the image: what the journal proves. Null: erased.';
comment on column photos.sent is 'SHA-256 of the file as it was sent, so that the same file sent twice is one photo.';
comment on column photos.width is 'Width of the image in pixels.';
comment on column photos.height is 'Height of the image in pixels.';
comment on column photos.image is 'The photo, a JPEG with no side over 2,560 pixels. Null: erased, or kept at the hub that took it.';
comment on column photos.thumbnail is 'The same with no side over 320 pixels.';
comment on column photos.added_at is 'When it was added.';
comment on column photos.added_by is 'Who added it.';
comment on column photos.erased_at is 'Since when it is forgotten; null: it is not. Its image goes with it.';

create function admit_photo() returns trigger
  language plpgsql
  volatile
  security definer
  set search_path = public, pg_temp
as $$
begin
  -- One after the other for each incident; what is counted below is what was committed by then.
  perform from incidents i where i.id = new.incident_id for no key update;
  -- A file that is there already adds nothing, however many there are.
  if exists (select from photos p where p.incident_id = new.incident_id and p.sent = new.sent) then
    return new;
  end if;
  if (select count(*) from photos p where p.incident_id = new.incident_id and p.erased_at is null) >= 20 then
    raise exception using
      errcode = 'check_violation', constraint = 'photos_most', message = 'an incident holds twenty photos at most';
  end if;
  return new;
end
$$;
comment on function admit_photo() is 'Holds the most photos that an incident may have, whoever adds them at once.';
-- What another hub took is there: the journal's hand brings it in.
create trigger a_admit before insert on photos for each row
  when (current_user <> 'hub_journal') execute function admit_photo();

create function keep_photo() returns trigger
  language plpgsql
  volatile
  set search_path = public, pg_temp
as $$
begin
  -- erase() says when; what the journal leaves out goes by itself, whoever writes the row.
  if new.erased_at is not null then
    new.sent := null;
    new.image := null;
    new.thumbnail := null;
  end if;
  if current_user = 'hub_journal' then
    return new;
  end if;
  if current_user <> 'hub_owner' or new.erased_at is null or old.erased_at is not null
    or (new.id, new.incident_id, new.width, new.height, new.added_at)
      is distinct from (old.id, old.incident_id, old.width, old.height, old.added_at)
    or new.added_by is distinct from old.added_by
    or (new.digest is not null and new.digest is distinct from old.digest)
  then
    raise exception using
      errcode = 'restrict_violation', constraint = 'photos_final', message = 'a photo is never changed, only erased';
  end if;
  return new;
end
$$;
comment on function keep_photo() is 'A photo stays as it is, until it is erased: then its bytes go.';
create trigger b_keep before update on photos for each row execute function keep_photo();

-- The digest of what was sent stays out as well: whoever holds the file could prove by it that it was here.
call journal_table(
  'photos', areas => 'array(select i.ward_id from incidents i where i.id = it.incident_id)', audience => 'photos',
  left_out => '{sent,image,thumbnail}'
);
