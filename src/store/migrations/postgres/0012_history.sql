-- Yesterday's contacts: of an administration the newest first.
create index contact_finished on contact (administration, finished_at, id) where finished_at is not null;
