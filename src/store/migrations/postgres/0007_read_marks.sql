-- How far each operator has read each conversation: everything recorded up to then.
create table read_mark (
    administration text not null,
    conversation text not null,
    operator text not null,
    until bigint not null,
    primary key (administration, conversation, operator)
);

alter table read_mark enable row level security;
alter table read_mark force row level security;
create policy read_mark_scope on read_mark
    using (strpos((select ',' || current_setting('sportello.administrations', true) || ','), ',' || administration || ',') > 0)
    with check (strpos((select ',' || current_setting('sportello.administrations', true) || ','), ',' || administration || ',') > 0);
