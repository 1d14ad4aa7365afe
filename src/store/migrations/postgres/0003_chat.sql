-- Citizens' chats on web pages. The same table as migrations/sqlite. The token is not kept: `id` is made of it under the
-- installation's secret. Name and address are the citizen's words; forgetting the row forgets them.

create table chat (
    administration text not null,
    id text not null,
    account text not null,
    name text not null,
    email text,
    topic text,
    language text,
    created_at bigint not null,
    expires_at bigint not null,
    present_until bigint not null,
    gone bigint not null default 0 check (gone in (0, 1)),
    ended bigint not null default 0 check (ended in (0, 1)),
    operator_read bigint not null default 0,
    citizen_read bigint not null default 0,
    transcript_to text,
    transcript_sent bigint not null default 0 check (transcript_sent in (0, 1)),
    primary key (administration, id)
);
create index chat_absent on chat (administration, present_until) where gone = 0;
create index chat_transcript on chat (administration, created_at) where transcript_to is not null and transcript_sent = 0;
create index chat_expired on chat (administration, expires_at);

alter table chat enable row level security;
alter table chat force row level security;
create policy chat_scope on chat
    using (strpos((select ',' || current_setting('sportello.administrations', true) || ','), ',' || administration || ',') > 0)
    with check (strpos((select ',' || current_setting('sportello.administrations', true) || ','), ',' || administration || ',') > 0);
