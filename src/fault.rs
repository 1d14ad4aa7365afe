//! Faults on demand, for the fault runs only: named points at which the process dies, and safeguards that can be broken to
//! prove that the tests would notice. Without the feature `faults` every call is empty.

/// A named point. Under the feature `faults`, `SPORTELLO_FAULT=die:<name>:<n>` kills the process the n-th time it is passed.
#[inline]
pub fn point(name: &str) {
    #[cfg(feature = "faults")]
    armed::point(name);
    #[cfg(not(feature = "faults"))]
    let _ = name;
}

/// Whether a safeguard is broken on purpose: `SPORTELLO_FAULT=broken:<name>`.
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
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    enum Fault {
        None,
        Die { name: String, left: AtomicU64 },
        Broken(String),
    }

    static FAULT: LazyLock<Fault> = LazyLock::new(|| {
        let text = std::env::var("SPORTELLO_FAULT").unwrap_or_default();
        let mut parts = text.split(':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("die"), Some(name), Some(count)) => Fault::Die { name: name.into(), left: AtomicU64::new(count.parse().unwrap_or(1)) },
            (Some("broken"), Some(name), None) => Fault::Broken(name.into()),
            _ => Fault::None,
        }
    });

    pub(super) fn point(name: &str) {
        if let Fault::Die { name: armed, left } = &*FAULT
            && armed == name
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            // as `kill -9` would: no destructor, no flush
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            std::process::abort();
        }
    }

    pub(super) fn is_broken(name: &str) -> bool {
        matches!(&*FAULT, Fault::Broken(broken) if broken == name)
    }
}
