//! The spool in a folder of its own: crashes, torn ends, full disks, many at once.

use super::*;

const MUCH: u64 = 1 << 30;

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("a folder").count()
}

async fn next(entries: &mut mpsc::UnboundedReceiver<Entry>) -> Entry {
    tokio::time::timeout(std::time::Duration::from_secs(10), entries.recv()).await.expect("in time").expect("an entry")
}

async fn wait_for(condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the condition did not come true");
}

#[tokio::test]
async fn what_was_not_handed_on_comes_again_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, mut entries) = open(folder.path(), MUCH).expect("opens");
    for text in ["uno", "due", "tre"] {
        spool.put(text.into()).await.expect("kept");
    }
    next(&mut entries).await.done();
    let unfinished = next(&mut entries).await;
    assert_eq!((&unfinished.content[..], spool.depth().bytes), (&b"due"[..], 6));
    drop((spool, entries, unfinished));

    let (spool, mut entries) = open(folder.path(), MUCH).expect("opens again");
    spool.put("quattro".into()).await.expect("kept");
    // a file is done as a whole: its first entry may come twice
    for text in ["uno", "due", "tre", "quattro"] {
        let entry = next(&mut entries).await;
        assert_eq!(entry.content, text.as_bytes());
        entry.done();
    }
    assert_eq!(spool.depth().bytes, 0);
    assert!(std::fs::read_dir(folder.path()).expect("a folder").all(|file| file.expect("a file").metadata().expect("known").len() == 0));
    spool.put("cinque".into()).await.expect("kept in the file that was cleared");
    let again = next(&mut entries).await;
    assert_eq!(again.content, &b"cinque"[..]);
    drop((spool, entries, again));
    let (spool, mut entries) = open(folder.path(), MUCH).expect("opens once more");
    let last = next(&mut entries).await;
    assert_eq!(last.content, &b"cinque"[..], "and nothing of what was done");
    last.done();
    drop((spool, entries));
    wait_for(|| files(folder.path()) == 0).await;
}

#[tokio::test]
async fn a_torn_end_hides_nothing_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, entries) = open(folder.path(), MUCH).expect("opens");
    spool.put("intero".into()).await.expect("kept");
    spool.put("strappato".into()).await.expect("kept");
    drop((spool, entries));
    let path = folder.path().join("000000000001.spool");
    let whole = std::fs::read(&path).expect("is there");
    for (len, damaged) in [(whole.len() - 1, None), (whole.len() - 9 - 12 + 3, None), (whole.len(), Some(whole.len() - 1))] {
        let mut bytes = whole[..len].to_vec();
        if let Some(place) = damaged {
            bytes[place] ^= 1;
        }
        std::fs::write(&path, bytes).expect("written");
        let (_spool, mut entries) = open(folder.path(), MUCH).expect("opens");
        assert_eq!(next(&mut entries).await.content, &b"intero"[..]);
        assert!(entries.try_recv().is_err(), "{len}");
    }
    std::fs::write(&path, [0xff; 64]).expect("written");
    let (_spool, mut entries) = open(folder.path(), MUCH).expect("opens");
    assert!(entries.try_recv().is_err());
}

#[tokio::test]
async fn a_limit_refuses_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, mut entries) = open(folder.path(), 10).expect("opens");
    spool.put("12345678".into()).await.expect("kept");
    assert!(matches!(spool.put("abc".into()).await, Err(SpoolError::Full(8))));
    assert!(matches!(spool.put(vec![0; ENTRY_BYTES_MAX + 1].into()).await, Err(SpoolError::TooLarge(_))));
    next(&mut entries).await.done();
    spool.put("abc".into()).await.expect("there is room again");
}

#[tokio::test]
async fn a_full_disk_refuses_and_the_next_file_is_tried() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, mut entries) = open(folder.path(), MUCH).expect("opens");
    std::os::unix::fs::symlink("/dev/full", folder.path().join("000000000001.spool")).expect("a device that is full");
    let refused = spool.put("prima".into()).await;
    assert!(matches!(refused, Err(SpoolError::Disk(_))), "{refused:?}");
    spool.put("dopo".into()).await.expect("the next file is on a disk with room");
    assert_eq!(next(&mut entries).await.content, &b"dopo"[..]);
}

#[tokio::test]
async fn many_at_once_are_all_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, mut entries) = open(folder.path(), MUCH).expect("opens");
    let puts = (0..2000).map(|number| {
        let spool = spool.clone();
        tokio::spawn(async move { spool.put(format!("{number}").repeat(1000).into()).await })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.expect("no panic").expect("kept");
    }
    for _ in 0..2000 {
        next(&mut entries).await.done();
    }
    wait_for(|| files(folder.path()) <= 1).await;
    assert_eq!(spool.depth().bytes, 0);
}

#[tokio::test]
async fn how_long_the_oldest_waits_outlives_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, mut entries) = open(folder.path(), MUCH).expect("opens");
    let before = now();
    spool.put("uno".into()).await.expect("kept");
    spool.put("due".into()).await.expect("kept");
    let Depth { entries: waiting, bytes, oldest } = spool.depth();
    assert_eq!((waiting, bytes), (2, 6));
    assert!(oldest.expect("something waits") >= before);
    next(&mut entries).await.done();
    assert_eq!(spool.depth().entries, 1);
    drop((spool, entries));
    let (spool, mut entries) = open(folder.path(), MUCH).expect("opens again");
    assert_eq!(spool.depth().entries, 2, "a file is done as a whole");
    assert!(spool.depth().oldest.expect("something waits") <= now());
    for _ in 0..2 {
        next(&mut entries).await.done();
    }
    assert_eq!(spool.depth(), Depth { entries: 0, bytes: 0, oldest: None });
}
