-- Citizens' chats on web pages. The same table as migrations/postgres. The token is not kept: `id` is made of it under the
-- installation's secret. Name and address are the citizen's words; forgetting the row forgets them.

create table chat (
    administration text not null,
    id text not null,
    account text not null,
    name text not null,
    email text,
    topic text,
    language text,
    created_at integer not null,
    expires_at integer not null,
    present_until integer not null,
    gone integer not null default 0 check (gone in (0, 1)),
    ended integer not null default 0 check (ended in (0, 1)),
    operator_read integer not null default 0,
    citizen_read integer not null default 0,
    transcript_to text,
    transcript_sent integer not null default 0 check (transcript_sent in (0, 1)),
    primary key (administration, id)
) strict;
create index chat_absent on chat (administration, present_until) where gone = 0;
create index chat_transcript on chat (administration, created_at) where transcript_to is not null and transcript_sent = 0;
create index chat_expired on chat (administration, expires_at);
