-- The parts in which an attempt went out, by the provider's name of each, and whether they arrived: the message did when all have. An
-- attempt without rows here went out whole, or before there were any.
create table attempt_part (
    administration text not null,
    message text not null,
    attempt integer not null,
    number integer not null check (number > 0),
    total integer not null check (total >= number),
    provider_id text not null,
    arrived integer not null default 0 check (arrived in (0, 1)),
    primary key (administration, message, attempt, number),
    foreign key (administration, message, attempt) references attempt (administration, message, attempt) on delete cascade
) strict;

create index attempt_part_provider_id on attempt_part (administration, provider_id);
