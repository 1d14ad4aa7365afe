-- Who helped a citizen last, however many contacts they have: the newest first.
drop index contact_citizen;
create index contact_citizen on contact (administration, citizen, finished_at) where citizen is not null;
alter table contact alter helper type text collate "C";
-- An operator's own history, however long the administration's is.
create index contact_helper on contact (administration, helper, finished_at, id) where finished_at is not null;
