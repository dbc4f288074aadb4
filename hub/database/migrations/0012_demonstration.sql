-- Whether this database is a demonstration, and how far its play has come. Runs as hub_owner, in one transaction.

create table demonstrations (
  single boolean primary key default true,
  began_at timestamptz not null default now(),
  script text,
  title text,
  time_of_day text,
  caption text,
  paused boolean not null default false,
  wish text,
  constraint demonstrations_single check (single),
  constraint demonstrations_caption_form check (length(caption) between 1 and 400),
  constraint demonstrations_wish check (wish in ('flood-night', 'ordinary-day'))
);
call guard_table('demonstrations');
comment on table demonstrations is
  'One row in a database that holds made-up data; none where the county works. Nothing else tells the two apart.';
comment on column demonstrations.single is 'There is one.';
comment on column demonstrations.began_at is 'When the demonstration was made.';
comment on column demonstrations.script is 'What is played: flood-night or ordinary-day.';
comment on column demonstrations.title is 'What it is called.';
comment on column demonstrations.time_of_day is 'The time of day in the play.';
comment on column demonstrations.caption is 'What happens in it, for those who watch.';
comment on column demonstrations.paused is 'Whether the play stands still.';
comment on column demonstrations.wish is 'What somebody wants to see from its beginning; null: nothing else.';
