-- The parts in which an attempt went out, by the provider's name of each, and whether they arrived: the message did when all have. An
-- attempt without rows here went out whole, or before there were any.
create table attempt_part (
    administration text collate "C" not null,
    message text collate "C" not null,
    attempt bigint not null,
    number bigint not null check (number > 0),
    total bigint not null check (total >= number),
    provider_id text collate "C" not null,
    arrived bigint not null default 0 check (arrived in (0, 1)),
    primary key (administration, message, attempt, number),
    foreign key (administration, message, attempt) references attempt (administration, message, attempt) on delete cascade
);

create index attempt_part_provider_id on attempt_part (administration, provider_id);

alter table attempt_part enable row level security;
alter table attempt_part force row level security;
create policy attempt_part_scope on attempt_part
    using (strpos((select ',' || current_setting('sportello.administrations', true) || ','), ',' || administration || ',') > 0)
    with check (strpos((select ',' || current_setting('sportello.administrations', true) || ','), ',' || administration || ',') > 0);
