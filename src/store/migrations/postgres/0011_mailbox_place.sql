-- Of which mailbox the watermark is: a fingerprint of server, user and folder. Earlier releases did not keep it.
alter table watermark add column place bigint;
