//! The spool in a folder of its own: crashes, torn ends, full disks, many at once.

use super::*;

const MUCH: u64 = 1 << 30;

fn files(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder.join("0")).expect("a folder");
    names.filter(|name| number_of(&name.as_ref().expect("a file").path()).is_some()).count()
}

/// Waits until the thread of a spool that was dropped has given its place back.
async fn given_back(folder: &Path) {
    wait_for(|| {
        let lock = OpenOptions::new().write(true).open(folder.join("0").join(LOCK)).expect("a lock");
        lock.try_lock().is_ok()
    })
    .await;
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

    given_back(folder.path()).await;
    let (spool, mut entries) = open(folder.path(), MUCH).expect("opens again");
    spool.put("quattro".into()).await.expect("kept");
    // a file is done as a whole: its first entry may come twice
    for text in ["uno", "due", "tre", "quattro"] {
        let entry = next(&mut entries).await;
        assert_eq!(entry.content, text.as_bytes());
        entry.done();
    }
    assert_eq!(spool.depth().bytes, 0);
    assert!(
        std::fs::read_dir(folder.path().join("0"))
            .expect("a folder")
            .all(|file| file.expect("a file").metadata().expect("known").len() == 0)
    );
    spool.put("cinque".into()).await.expect("kept in the file that was cleared");
    let again = next(&mut entries).await;
    assert_eq!(again.content, &b"cinque"[..]);
    drop((spool, entries, again));
    given_back(folder.path()).await;
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
    let path = folder.path().join("0").join("000000000001.spool");
    let whole = std::fs::read(&path).expect("is there");
    for (len, damaged) in [(whole.len() - 1, None), (whole.len() - 9 - 12 + 3, None), (whole.len(), Some(whole.len() - 1))] {
        let mut bytes = whole[..len].to_vec();
        if let Some(place) = damaged {
            bytes[place] ^= 1;
        }
        std::fs::write(&path, bytes).expect("written");
        given_back(folder.path()).await;
        let (_spool, mut entries) = open(folder.path(), MUCH).expect("opens");
        assert_eq!(next(&mut entries).await.content, &b"intero"[..]);
        assert!(entries.try_recv().is_err(), "{len}");
    }
    std::fs::write(&path, [0xff; 64]).expect("written");
    given_back(folder.path()).await;
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
    std::os::unix::fs::symlink("/dev/full", folder.path().join("0").join("000000000001.spool")).expect("a device that is full");
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
    given_back(folder.path()).await;
    let (spool, mut entries) = open(folder.path(), MUCH).expect("opens again");
    assert_eq!(spool.depth().entries, 2, "a file is done as a whole");
    assert!(spool.depth().oldest.expect("something waits") <= now());
    for _ in 0..2 {
        next(&mut entries).await.done();
    }
    assert_eq!(spool.depth(), Depth { entries: 0, bytes: 0, oldest: None });
}

#[tokio::test]
async fn the_oldest_is_the_oldest_that_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, mut entries) = open(folder.path(), MUCH).expect("opens");
    let mut taken = Vec::new();
    for text in ["uno", "due", "tre"] {
        spool.put(text.into()).await.expect("kept");
        taken.push(next(&mut entries).await);
    }
    let [first, second, third] = <[Entry; 3]>::try_from(taken).expect("three");
    let (since_first, since_third) = (first.at, third.at);
    second.done();
    assert_eq!(spool.depth(), Depth { entries: 2, bytes: 6, oldest: Some(since_first) });
    first.done();
    assert_eq!(spool.depth(), Depth { entries: 1, bytes: 3, oldest: Some(since_third) });
    third.done();
    assert_eq!(spool.depth(), Depth { entries: 0, bytes: 0, oldest: None });
}

#[tokio::test]
async fn each_process_has_a_place_and_takes_up_what_the_dead_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, first_entries) = open(folder.path(), MUCH).expect("opens");
    let (second, mut second_entries) = open(folder.path(), MUCH).expect("opens beside");
    first.put("dal primo".into()).await.expect("kept");
    second.put("dal secondo".into()).await.expect("kept");
    assert_eq!(next(&mut second_entries).await.content, &b"dal secondo"[..], "and nothing of the first, who lives");
    assert!(second_entries.try_recv().is_err());
    drop((first, first_entries));
    given_back(folder.path()).await;
    second.take_over().expect("the first is dead");
    let left = next(&mut second_entries).await;
    assert_eq!(left.content, &b"dal primo"[..]);
    second.take_over().expect("nothing new");
    assert!(second_entries.try_recv().is_err(), "once is enough");
    let (_third, mut third_entries) = open(folder.path(), MUCH).expect("opens");
    assert!(third_entries.try_recv().is_err(), "it is being handed on");
    left.done();
    assert_eq!(files(folder.path()), 0);
}
