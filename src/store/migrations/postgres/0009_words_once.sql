-- Citizens' words about text messages that were obeyed, by the id of what came, a key as well: one that comes again changes nothing.
create table opt_out_word (
    administration text collate "C" not null,
    source text collate "C" not null,
    primary key (administration, source)
);

alter table opt_out_word enable row level security;
alter table opt_out_word force row level security;
create policy opt_out_word_scope on opt_out_word
    using (strpos((select ',' || current_setting('sportello.administrations', true) || ','), ',' || administration || ',') > 0)
    with check (strpos((select ',' || current_setting('sportello.administrations', true) || ','), ',' || administration || ',') > 0);
