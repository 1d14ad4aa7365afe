//! Faults on demand, for the fault runs only: named points at which the process dies or stops, inputs that the database
//! refuses or that panic, and safeguards that can be broken to prove that the tests would notice. Without the feature `faults`
//! every call is empty.
//!
//! `SPORTELLO_FAULT` is a list, separated by commas, of
//! `die:<point>:<n>` (as `kill -9` the n-th time it is passed), `stop:<point>:<n>` (as `kill -STOP`), `happen:<name>:<n>` (the
//! n-th time), `mark:<name>:<word>` (inputs whose subject has the word), `mark:<name>:<word>:<file>` (the same, until there is such a
//! file) and `broken:<safeguard>`.

/// A named point, at which the process may die or stop.
#[inline]
pub fn point(name: &str) {
    #[cfg(feature = "faults")]
    armed::point(name);
    #[cfg(not(feature = "faults"))]
    let _ = name;
}

/// Whether a named mishap happens now.
#[inline]
pub fn happens(name: &str) -> bool {
    #[cfg(feature = "faults")]
    return armed::happens(name);
    #[cfg(not(feature = "faults"))]
    {
        let _ = name;
        false
    }
}

/// Whether a text carries the word that brings a named mishap on.
#[inline]
pub fn is_marked(name: &str, text: &str) -> bool {
    #[cfg(feature = "faults")]
    return armed::is_marked(name, text);
    #[cfg(not(feature = "faults"))]
    {
        let _ = (name, text);
        false
    }
}

/// Whether a safeguard is broken on purpose.
#[inline]
pub fn is_broken(name: &str) -> bool {
    #[cfg(feature = "faults")]
    return armed::is_broken(name);
    #[cfg(not(feature = "faults"))]
    {
        let _ = name;
        false
    }
}

#[cfg(feature = "faults")]
mod armed {
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    enum Fault {
        Die { point: String, left: AtomicI64 },
        Stop { point: String, left: AtomicI64 },
        Happen { name: String, left: AtomicI64 },
        Mark { name: String, word: String, healed_by: Option<PathBuf> },
        Broken(String),
    }

    static FAULTS: LazyLock<Vec<Fault>> = LazyLock::new(|| {
        let text = std::env::var("SPORTELLO_FAULT").unwrap_or_default();
        let faults = text.split(',').filter(|fault| !fault.is_empty());
        faults.map(|fault| parse(fault).expect("SPORTELLO_FAULT is a list of faults that exist")).collect()
    });

    fn parse(text: &str) -> Option<Fault> {
        let mut parts = text.split(':');
        let (kind, name, rest) = (parts.next()?, parts.next()?.to_owned(), parts.next());
        let left = || Some(AtomicI64::new(rest?.parse().ok()?));
        Some(match kind {
            "die" => Fault::Die { point: name, left: left()? },
            "stop" => Fault::Stop { point: name, left: left()? },
            "happen" => Fault::Happen { name, left: left()? },
            "mark" => Fault::Mark { name, word: rest?.to_owned(), healed_by: parts.next().map(PathBuf::from) },
            "broken" => Fault::Broken(name),
            _ => return None,
        })
    }

    fn is_due(left: &AtomicI64) -> bool {
        left.fetch_sub(1, Ordering::SeqCst) == 1
    }

    pub(super) fn point(name: &str) {
        for fault in &*FAULTS {
            match fault {
                Fault::Die { point, left } if point == name && is_due(left) => {
                    // as `kill -9` would: no destructor, no flush
                    let _ = kill_process(getpid(), Signal::KILL);
                    std::process::abort();
                }
                Fault::Stop { point, left } if point == name && is_due(left) => {
                    let _ = kill_process(getpid(), Signal::STOP);
                }
                _ => {}
            }
        }
    }

    pub(super) fn happens(name: &str) -> bool {
        FAULTS.iter().any(|fault| matches!(fault, Fault::Happen { name: armed, left } if armed == name && is_due(left)))
    }

    pub(super) fn is_marked(name: &str, text: &str) -> bool {
        FAULTS.iter().any(|fault| match fault {
            Fault::Mark { name: armed, word, healed_by } if armed == name && text.contains(word.as_str()) => {
                !healed_by.as_ref().is_some_and(|file| file.exists())
            }
            _ => false,
        })
    }

    pub(super) fn is_broken(name: &str) -> bool {
        FAULTS.iter().any(|fault| matches!(fault, Fault::Broken(broken) if broken == name))
    }
}
