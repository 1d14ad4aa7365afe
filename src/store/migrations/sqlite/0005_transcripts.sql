-- To how many addresses a chat's transcript was asked for: anybody may open a chat, so they are few.
alter table chat add column transcript_addresses integer not null default 0;
